"""Screenshots by the Chromium of the system: a caged process for each, gone when the picture is there (T5)."""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import structlog

from monitord.evidence.capture import cage
from monitord.evidence.capture.account import Account, account
from monitord.evidence.capture.devtools import BrowserGoneError, DevTools, DevToolsError
from monitord.evidence.capture.flags import command_line
from monitord.evidence.capture.page import Page
from monitord.evidence.capture.process import END_S, Cage, end, folder_for, receive, start, words_of
from monitord.evidence.capture.proxy import Policy, Proxy, Way
from monitord.evidence.shot import CaptureError, Image

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
"""Names under which systems have it."""

_CAGED_PORT = 3128
"""Of the proxy, on the loopback of the browser's own network."""
_NO_SANDBOX = "No usable sandbox"

_log = structlog.get_logger(__name__)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the machine one shot may use."""

    memory_bytes: int = 1536 * 1024 * 1024
    """All its processes together."""
    process_bytes: int = 1024 * 1024 * 1024
    """Each of them: its writable memory."""
    disk_bytes: int = 128 * 1024 * 1024
    cpu_s: int = 30
    """Each process."""
    processes: int = 512
    """And threads, of its user."""
    limit_s: float = 20.0
    """In all; whoever asks for the shot usually has less patience."""


def find_chromium(setting: str | None) -> Path | None:
    """Return the browser that a setting names, or else one of the system; None: there is none."""
    if setting is not None:
        found = shutil.which(setting)
        return None if found is None else Path(found)
    return next((Path(found) for name in PROGRAMS if (found := shutil.which(name))), None)


class Chromium:
    """Takes screenshots, each in a browser of its own."""

    name = "chromium"

    def __init__(
        self,
        program: Path,
        way: Way,
        public: Policy,
        *,
        hidden: Sequence[Path] = (),
        isolate: bool = sys.platform == "linux",
        limits: Limits | None = None,
        agent: str = "",
    ) -> None:
        """Take the browser and its way out.

        ``hidden`` are folders that it must not see, such as the state folder; ``agent`` is added to its User-Agent.
        """
        self._program = program
        self._way = way
        self._public = public
        self._hidden = hidden
        self._isolate = isolate
        self._limits = limits or Limits()
        self._sandbox = True
        self._agent = agent
        self._useless = ""
        """Why there is no sense in trying again."""

    async def capture(self, url: str) -> Image:
        """Return a picture of a page. Raises CaptureError. Cancelled, it leaves nothing running."""
        if self._useless:
            raise CaptureError(self._useless)
        while True:
            before = (self._isolate, self._sandbox)
            try:
                return await self._capture(url)
            except CaptureError:
                if before == (self._isolate, self._sandbox):
                    raise  # nothing was learned by which another attempt could go better

    async def _capture(self, url: str) -> Image:
        password = secrets.token_urlsafe(24)
        proxy = Proxy(self._way, self._public, password)
        user = account()
        page = Page(password, self._agent)
        try:
            async with folder_for(user) as folder, self._browser(folder, user, proxy, page):
                return await page.shoot(url)
        except CaptureError as error:
            if proxy.last_error and "can't be shown" in str(error):
                raise CaptureError(f"{error}: {proxy.last_error}") from None
            raise
        finally:
            await proxy.stop()

    @contextlib.asynccontextmanager
    async def _browser(self, folder: Path, user: Account, proxy: Proxy, page: Page) -> AsyncIterator[None]:
        """Run a browser, caged, connected to its proxy and to the page that steers it."""
        isolate, sandbox = self._isolate, self._sandbox
        port = _CAGED_PORT if isolate else await proxy.start()
        command = command_line(self._program, folder, port, sandbox=sandbox)
        devtools, control = socket.socketpair(), socket.socketpair()
        process = None
        try:
            configuration = self._configuration(
                folder, user, isolate, command, control=control[1].fileno(), devtools=devtools[1].fileno()
            )
            process = await start(configuration)
            control[1].close()
            devtools[1].close()
            async with words_of(process) as words:
                try:
                    if isolate:
                        await proxy.start(await receive(control[0]))
                    async with _conversation(devtools[0], page):
                        yield
                except (BrowserGoneError, OSError, EOFError) as error:
                    raise CaptureError(await self._learn(process, words, user, str(error))) from None
                except DevToolsError as error:
                    raise CaptureError(f"the browser refuses: {error}") from None
        finally:
            for each in (*control, *devtools):
                each.close()
            if process is not None:
                await end(process)

    def _configuration(
        self, folder: Path, user: Account, isolate: bool, command: list[str], *, control: int, devtools: int
    ) -> Cage:
        limits = self._limits
        return Cage(
            parent=os.getpid(),
            uid=user.uid,
            gid=user.gid,
            folder=str(folder),
            hidden=[str(each) for each in self._hidden if each.is_dir()],
            isolate=isolate,
            port=_CAGED_PORT,
            control=control,
            devtools=devtools,
            memory_bytes=limits.memory_bytes,
            disk_bytes=limits.disk_bytes,
            limit_s=limits.limit_s,
            limits={
                "RLIMIT_CORE": 0,
                "RLIMIT_CPU": limits.cpu_s,
                "RLIMIT_DATA": limits.process_bytes,
                "RLIMIT_FSIZE": limits.disk_bytes,
                "RLIMIT_NOFILE": 1024,
                "RLIMIT_NPROC": limits.processes,
            },
            command=command,
            # Nothing of our own environment: it holds secrets.
            environment={
                "HOME": str(folder),
                "LC_ALL": "C.UTF-8",
                "PATH": os.defpath,
                "TMPDIR": str(folder),
                "TZ": "UTC",
                "XDG_CACHE_HOME": str(folder),
                "XDG_CONFIG_HOME": str(folder),
                "DBUS_SESSION_BUS_ADDRESS": "disabled:",
                "DBUS_SYSTEM_BUS_ADDRESS": "disabled:",
            },
        )

    async def _learn(self, process: asyncio.subprocess.Process, words: deque[str], user: Account, error: str) -> str:
        """Return why a browser ended, and change what would make the next one end too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await process.wait()
        code = process.returncode
        if code == cage.NO_NAMESPACES and self._isolate:
            self._isolate = False
            _log.warning("browser_not_isolated", reason=words[-1] if words else "")
            return "this system has no namespaces for the browser"
        if any(_NO_SANDBOX in line for line in words) and self._sandbox:
            if user.own:
                self._sandbox = False
                _log.warning("browser_without_sandbox", reason="the system allows none", user=user.uid)
                return "the system allows no sandbox for the browser"
            self._useless = "Chromium's sandbox can't be used here, and without it it would run as monitord's own user"
            _log.warning("browser_not_used", reason=self._useless)
            return self._useless
        known = {cage.TOO_MUCH_MEMORY: "the page wants too much memory", cage.TOO_LONG: "the page takes too long"}
        return known.get(code or 0) or f"the browser ended ({error}, {words[-1] if words else 'without a word'})"


@contextlib.asynccontextmanager
async def _conversation(sock: socket.socket, page: Page) -> AsyncIterator[None]:
    """Let the page speak with its browser."""
    sock.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=sock)
    devtools = page.devtools = DevTools(reader, writer, page.heard)
    task = asyncio.create_task(devtools.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.transport.abort()
