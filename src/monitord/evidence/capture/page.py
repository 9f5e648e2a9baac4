"""One page in a browser: opened, waited for, and shown, whatever it does against that."""

import asyncio
import base64
import contextlib
from typing import Any

from monitord.evidence.capture.devtools import BrowserGoneError, DevTools, DevToolsError
from monitord.evidence.shot import HEIGHT, JPEG, MAX_IMAGE_BYTES, PNG, WIDTH, CaptureError, Image

LOAD_S = 5.0
"""How long a page may take to load: afterwards it is shown as it is."""
SETTLE_S = 0.7
"""How long it may go on fetching after that."""
SHOW_S = 2.0
"""How long it may take to be drawn, before its scripts are stopped, and again after."""

_SCHEMES = ("http://", "https://", "about:", "data:", "blob:")
_MAX_LOGINS = 32
_AGAIN_S = 0.05
_MAX_DIALOGS = 50

_QUIET = """
for (const name of ["alert", "confirm", "prompt", "print", "open"]) {
  try { Object.defineProperty(window, name, {value: () => null, writable: false, configurable: false}); } catch {}
}
"""
"""Dialogs stop a page: a site in trouble may show one at once, and a hostile one shows them without end."""


class Page:
    """Takes the picture of one URL; for one use."""

    def __init__(self, password: str, agent: str = "") -> None:
        """Take the password of the browser's proxy, and what to add to the browser's User-Agent."""
        self._password = password
        self._agent = agent
        self._logins = 0
        self._dialogs = 0
        self._loaded = asyncio.Event()
        self._idle = asyncio.Event()
        self._crashed = asyncio.Event()
        self._session = ""
        self.devtools: DevTools | None = None
        """To be set before the first event."""

    def heard(self, session: str, method: str, params: dict[str, Any]) -> None:
        """Take an event; see ``devtools.Event``."""
        with contextlib.suppress(DevToolsError):
            match method:
                case "Fetch.requestPaused":
                    self._paused(session, params)
                case "Fetch.authRequired":
                    self._asked(session, params)
                case "Page.javascriptDialogOpening":
                    self._dialogs += 1
                    if self._dialogs <= _MAX_DIALOGS:
                        self._send("Page.handleJavaScriptDialog", session, accept=False)
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Page.lifecycleEvent" if params.get("name") in ("networkAlmostIdle", "networkIdle"):
                    self._idle.set()
                case "Inspector.targetCrashed" if session == self._session:
                    self._crashed.set()

    async def shoot(self, url: str) -> Image:
        """Return a picture of a URL. Raises CaptureError, or DevToolsError when the browser has gone."""
        await self._open()
        await self._visit(url)
        return await self._show()

    async def _open(self) -> None:
        targets = (await self._call("Target.getTargets"))["targetInfos"]
        found = [each["targetId"] for each in targets if each["type"] == "page"]
        target = found[0] if found else (await self._call("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = session = attached["sessionId"]
        await self._call("Browser.setDownloadBehavior", behavior="deny")
        version = await self._call("Browser.getVersion")
        agent = f"{version['userAgent']} {self._agent}".rstrip()
        for method, params in (
            ("Page.enable", {}),
            ("Page.setLifecycleEventsEnabled", {"enabled": True}),
            ("Emulation.setUserAgentOverride", {"userAgent": agent}),
            ("Page.addScriptToEvaluateOnNewDocument", {"source": _QUIET}),
            # The picture shows what is served, and no secret is sent: an expired certificate is no reason to show none.
            ("Security.setIgnoreCertificateErrors", {"ignore": True}),
            (
                "Emulation.setDeviceMetricsOverride",
                {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False},
            ),
            (
                "Fetch.enable",
                {"handleAuthRequests": True, "patterns": [{"urlPattern": "*", "resourceType": "Document"}]},
            ),
        ):
            await self._call(method, session, **params)

    async def _visit(self, url: str) -> None:
        """Go there, and wait until it is loaded, or long enough. Raises CaptureError if it can't be shown at all."""
        self._loaded.clear()
        self._idle.clear()
        answers = False
        try:
            async with asyncio.timeout(LOAD_S) as limit:
                gone = await self._call("Page.navigate", self._session, url=url)
                if error := gone.get("errorText"):
                    raise CaptureError(f"the page can't be shown ({error})")
                answers = True
                await self._first_of(self._loaded)
                limit.reschedule(asyncio.get_running_loop().time() + SETTLE_S)
                await self._first_of(self._idle)
        except TimeoutError:
            if self._crashed.is_set():
                raise CaptureError("the page crashed the browser") from None
            if not answers:  # what could be drawn is the empty page before it
                raise CaptureError(f"the page can't be shown (no answer within {LOAD_S:g} s)") from None

    async def _first_of(self, event: asyncio.Event) -> None:
        """Wait for an event. Raises CaptureError when the page crashes before."""
        waits = [asyncio.ensure_future(each.wait()) for each in (event, self._crashed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        if self._crashed.is_set():
            raise CaptureError("the page crashed the browser")

    async def _show(self) -> Image:
        """Draw it; if it doesn't let itself be drawn, stop its scripts and try once more."""
        try:
            async with asyncio.timeout(SHOW_S):
                return await self._drawn()
        except TimeoutError:
            if self._crashed.is_set():
                raise CaptureError("the page crashed the browser") from None
        for method, params in (
            ("Emulation.setScriptExecutionDisabled", {"value": True}),
            ("Runtime.terminateExecution", {}),
            ("Page.stopLoading", {}),
        ):
            self._send(method, self._session, **params)
        try:
            async with asyncio.timeout(SHOW_S):
                return await self._drawn()
        except TimeoutError:
            raise CaptureError("the page keeps the browser too busy to be shown") from None

    async def _drawn(self) -> Image:
        """Draw it as soon as there is something to be drawn: a page that reloads itself often isn't there."""
        while True:
            try:
                return await self._draw()
            except BrowserGoneError:
                raise
            except DevToolsError:
                await asyncio.sleep(_AGAIN_S)

    async def _draw(self) -> Image:
        for media_type, params in ((PNG, {"format": "png"}), (JPEG, {"format": "jpeg", "quality": 75})):
            drawn = await self._call("Page.captureScreenshot", self._session, **params)
            content = base64.b64decode(drawn["data"])
            if len(content) <= MAX_IMAGE_BYTES:
                return Image(content, media_type)
        raise CaptureError("the picture is too large")

    def _paused(self, session: str, params: dict[str, Any]) -> None:
        request = params["requestId"]
        if params["request"]["url"].startswith(_SCHEMES):
            self._send("Fetch.continueRequest", session, requestId=request)
        else:
            self._send("Fetch.failRequest", session, requestId=request, errorReason="BlockedByClient")

    def _asked(self, session: str, params: dict[str, Any]) -> None:
        answer = {"response": "CancelAuth"}
        if params["authChallenge"].get("source") == "Proxy" and self._logins < _MAX_LOGINS:
            self._logins += 1
            answer = {"response": "ProvideCredentials", "username": "shot", "password": self._password}
        self._send("Fetch.continueWithAuth", session, requestId=params["requestId"], authChallengeResponse=answer)

    async def _call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        assert self.devtools is not None
        return await self.devtools.call(method, session, **params)

    def _send(self, method: str, session: str, **params: Any) -> None:
        assert self.devtools is not None
        self.devtools.send(method, session, **params)
