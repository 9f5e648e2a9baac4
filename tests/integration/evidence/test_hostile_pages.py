"""Pages that attack: a browser reaches nothing inside, and everything ends in bounds (T1, T2, T4, T5)."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web

from monitord.evidence.capture.chromium import Chromium, Limits
from monitord.evidence.shot import CaptureError, Image
from tests.integration.evidence.conftest import PUBLIC, Names, way
from tests.support import png
from tests.support.pages import Canary, Pages

pytestmark = pytest.mark.usefixtures("shots_folder")

GREEN = "<body style='margin:0;background:rgb(0,120,0)'>"

REACH = """
const port = PORT;
const tries = [];
const tell = (what) => fetch("/told/" + what);
for (const host of ["127.0.0.1", "localhost", "[::1]", "inside.example", "[::ffff:127.0.0.1]", "2130706433", "127.1"]) {
  tries.push(fetch(`http://${host}:${port}/fetch`, {mode: "no-cors"}).then(() => tell("reached"), () => {}));
  tries.push(new Promise((done) => {
    try {
      const socket = new WebSocket(`ws://${host}:${port}/ws`);
      socket.onopen = socket.onerror = socket.onclose = done;
    } catch { done(); }
  }));
  for (const kind of ["img", "script", "iframe"]) {
    const part = document.createElement(kind);
    tries.push(new Promise((done) => { part.onload = part.onerror = done; setTimeout(done, 500); }));
    part.src = `http://${host}:${port}/${kind}`;
    document.body.append(part);
  }
  for (const rel of ["preconnect", "dns-prefetch", "prefetch", "prerender"]) {
    const link = document.createElement("link");
    link.rel = rel; link.href = `http://${host}:${port}/${rel}`;
    document.head.append(link);
  }
  navigator.sendBeacon(`http://${host}:${port}/beacon`, "x");
  try { new EventSource(`http://${host}:${port}/events`); } catch {}
  try { new WebTransport(`https://${host}:${port}/wt`).ready.catch(() => {}); } catch {}
}
try {
  const peer = new RTCPeerConnection({iceServers: [
    {urls: `stun:127.0.0.1:${port}`},
    {urls: [`turn:127.0.0.1:${port}?transport=tcp`, `turn:127.0.0.1:${port}`], username: "a", credential: "b"},
  ]});
  peer.createDataChannel("x");
  peer.createOffer().then((offer) => peer.setLocalDescription(offer));
} catch {}
const worker = new Worker(URL.createObjectURL(new Blob([
  `fetch("http://127.0.0.1:${port}/worker", {mode: "no-cors"}).catch(() => 0).then(() => postMessage(1))`,
])));
tries.push(new Promise((done) => { worker.onmessage = worker.onerror = done; }));
Promise.allSettled(tries).then(() => tell("tried"));
"""


def reaching(port: int) -> str:
    return f"{GREEN}<script>{REACH.replace('PORT', str(port))}</script>"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitord.evidence.capture.page.LOAD_S", 3.0)


@pytest.fixture(params=["isolated", "plain"])
def isolate(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "isolated")


async def shot(browser: Chromium, url: str) -> Image | str:
    """Return what comes of it, whatever that is."""
    try:
        return await browser.capture(url)
    except CaptureError as error:
        return str(error)


async def test_a_page_reaches_nothing_that_is_denied(program: Path, pages: Pages, bird: Canary, isolate: bool) -> None:
    pages.pages["/"] = reaching(bird.port)
    denied = (f"127.0.0.1:{bird.port}", f"[::1]:{bird.port}")
    image = await shot(Chromium(program, way(*denied), PUBLIC, isolate=isolate), pages.url())
    assert isinstance(image, Image)
    assert png.first_pixel(image.content) == (0, 120, 0)
    await pages.told("/told/tried")
    assert bird.heard == []
    assert "/told/reached" not in pages.seen


async def test_that_page_would_reach_what_is_not_denied(program: Path, pages: Pages, bird: Canary) -> None:
    """The test above is worth nothing if the page doesn't really try."""
    pages.pages["/"] = reaching(bird.port)
    await shot(Chromium(program, way(), PUBLIC), pages.url())
    assert b"tcp" in bird.heard
    assert "/told/reached" in pages.seen


class Mapped:
    """Says that one port is on the public internet: all that tests can dial is loopback."""

    def __init__(self, port: int) -> None:
        self.port = port

    def check(self, ip: str, port: int) -> str | None:
        return None if port == self.port else "it is not of the public internet"


async def test_a_page_from_outside_reaches_nothing_inside(program: Path, pages: Pages, bird: Canary) -> None:
    """Not even where the policy allows checks of what is inside."""
    pages.pages["/"] = reaching(bird.port)
    await shot(Chromium(program, way(), Mapped(pages.port)), pages.url())
    await pages.told("/told/tried")
    assert bird.heard == []


async def test_a_name_that_changes_its_address_moves_nothing(program: Path, pages: Pages, bird: Canary) -> None:
    """(T2)"""
    names = Names(rebinding=("127.0.0.1", "127.0.0.2"), inside=("127.0.0.2",))
    pages.pages["/"] = (
        f"{GREEN}<script>fetch('/again').then(() => fetch('http://rebinding.example:{bird.port}/'))</script>"
    )
    await shot(
        Chromium(program, way(f"127.0.0.1:{bird.port}", "127.0.0.2", names=names), PUBLIC),
        pages.url(host="rebinding.example"),
    )
    assert "/again" in pages.seen
    assert names.asked.count("rebinding.example") == 1
    assert bird.heard == []


SCHEMES = ("file:///etc/passwd", "chrome://version", "view-source:http://127.0.0.1/", "ftp://127.0.0.1/x")


async def test_other_schemes_lead_nowhere(program: Path, pages: Pages) -> None:
    """(T4): not by a redirect, nor in a frame, nor by going there."""

    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    page = GREEN + "<p style='margin: 50px'>"
    for scheme in SCHEMES:
        page += f"<iframe src='{scheme}'></iframe><iframe src='/away?to={scheme}'></iframe>"
        page += f"<object data='{scheme}'></object>"
        page += f"<script>fetch('{scheme}').then(() => fetch('/told/read'), () => fetch('/told/refused'))</script>"
        page += f"<script>setTimeout(() => {{ location = '{scheme}' }}, 200)</script>"
    pages.pages |= {"/away": away, "/": page}
    browser = Chromium(program, way(), PUBLIC)
    image = await shot(browser, pages.url())
    assert isinstance(image, Image)
    assert png.first_pixel(image.content) == (0, 120, 0)
    assert pages.seen.count("/told/refused") == len(SCHEMES)
    assert "/told/read" not in pages.seen
    for scheme in SCHEMES[:2]:
        assert "can't be shown" in str(await shot(browser, pages.url(f"/away?to={scheme}")))


class Seen(NamedTuple):
    """What the system tells of a process."""

    uid: int
    may_gain_nothing: bool
    is_apart: bool
    environment: bytes


def browsers(folder: Path) -> list[Seen]:
    """Return the browsers that run below a folder."""
    found = []
    own = Path("/proc/self/ns/net").readlink()
    for each in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            line = (each / "cmdline").read_bytes() if each.name.isdigit() else b""
            if b"--remote-debugging-pipe" in line and bytes(folder) in line and b"cage.py" not in line:
                rows = (each / "status").read_text().splitlines()
                status = dict(row.split(":\t", 1) for row in rows if ":\t" in row)
                environment = (each / "environ").read_bytes()
                apart = (each / "ns/net").readlink() != own
                found.append(Seen(int(status["Uid"].split()[0]), status["NoNewPrivs"] == "1", apart, environment))
    return found


async def test_the_browser_is_nobody_and_sees_nothing_of_ours(
    program: Path, pages: Pages, tmp_path: Path, isolate: bool, shots_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment holds no secrets, and its user and its namespaces are its own."""
    monkeypatch.setenv("SCREENSHOTONE_KEY", "canary-of-the-environment")
    seen: list[Seen] = []

    async def look(request: web.Request) -> web.Response:
        seen.extend(await asyncio.to_thread(browsers, shots_folder))
        return web.Response(text=GREEN, content_type="text/html")

    pages.pages["/"] = look
    hidden = tmp_path / "state"
    hidden.mkdir()
    assert isinstance(
        await shot(Chromium(program, way(), PUBLIC, hidden=[hidden], isolate=isolate), pages.url()), Image
    )
    assert seen
    for each in seen:
        assert b"canary-of-the-environment" not in each.environment
        assert each.may_gain_nothing
        assert each.is_apart or not isolate
        assert each.uid != 0
        if os.getuid() == 0:
            assert 62_000 <= each.uid < 65_000


PATIENCE = """
{green}<script>
{script}
</script>
"""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "script",
    [
        "for (;;) alert('hello');",
        "onload = () => { for (;;) {} };",
        "setInterval(() => { const end = Date.now() + 400; while (Date.now() < end); }, 1);",
        "setTimeout(function again() { history.pushState(0, 0, Math.random()); setTimeout(again); });",
        "onload = () => { location.reload(); };",
        # All that asks people for something, or brings something to their machine.
        "onbeforeunload = () => 'stay'; for (let i = 0; i < 50; i++) open('/', '_blank');"
        "document.documentElement.requestFullscreen?.(); print(); confirm(1); prompt(2);"
        "for (let i = 0; i < 200; i++) { const a = document.createElement('a'); a.href = '/big'; a.download = 'x';"
        " document.body.append(a); a.click(); }"
        "navigator.serviceWorker?.register('/worker.js'); Notification?.requestPermission?.();"
        "navigator.mediaDevices?.getUserMedia?.({video: true});navigator.geolocation?.getCurrentPosition(x => x);",
    ],
)
async def test_a_page_that_keeps_the_browser_busy_ends_in_bounds(program: Path, pages: Pages, script: str) -> None:
    async def big(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 100_000, headers={"Content-Disposition": "attachment"})

    pages.pages |= {"/": PATIENCE.format(green=GREEN, script=script), "/big": big}
    result = await shot(Chromium(program, way(), PUBLIC), pages.url())
    assert isinstance(result, Image) or "too busy" in result


@pytest.mark.usefixtures("impatient")
async def test_a_page_that_never_ends_is_shown_as_it_is(program: Path, pages: Pages) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        await response.write(GREEN.encode() + b"<p style='margin: 50px'>so far <img src=/silent>" * 3)
        await asyncio.Event().wait()
        return response

    pages.pages |= {"/": endless, "/silent": endless}
    image = await shot(Chromium(program, way(), PUBLIC), pages.url())
    assert isinstance(image, Image)
    assert png.first_pixel(image.content) == (0, 120, 0)


async def test_a_page_without_end_is_cut_off(program: Path, pages: Pages) -> None:
    """(T8)"""
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        while sent < 1 << 30:
            await response.write(b"<p>" * 100_000)
            sent += 300_000
        return response

    pages.pages |= {"/": f"{GREEN}<script>fetch('/flood').then(r => r.arrayBuffer())</script>", "/flood": flood}
    await shot(Chromium(program, way(), PUBLIC), pages.url())
    assert 0 < sent < 1 << 28


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "script",
    [
        "const kept = []; for (;;) kept.push(new Uint8Array(16 << 20).fill(7));",
        "for (let i = 0; i < 1e6; i++) { const c = document.createElement('canvas'); c.width = c.height = 4096;"
        " c.getContext('2d').fillRect(0, 0, 4096, 4096); document.body.append(c); }",
        "for (let i = 0; i < 64; i++) new Worker(URL.createObjectURL(new Blob(["
        "'const k = []; for (;;) k.push(new Uint8Array(1 << 24).fill(1))'])));",
    ],
)
async def test_a_page_that_wants_all_memory_gets_little(program: Path, pages: Pages, script: str) -> None:
    pages.pages["/"] = PATIENCE.format(green=GREEN, script=script)
    limits = Limits(memory_bytes=1024 * 1024 * 1024, process_bytes=700 * 1024 * 1024)
    result = await shot(Chromium(program, way(), PUBLIC, limits=limits), pages.url())
    assert isinstance(result, Image) or any(words in result for words in ("memory", "crashed", "too busy", "ended"))


async def test_a_site_that_asks_to_log_in_gets_no_credential(program: Path, pages: Pages) -> None:
    """(T15): the proxy's own is for the proxy."""
    asked: list[str | None] = []

    async def login(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization") or request.headers.get("Proxy-Authorization"))
        status = int(request.query.get("status", "401"))
        name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
        return web.Response(status=status, headers={name: "Basic realm=x"}, text=GREEN, content_type="text/html")

    pages.pages["/"] = login
    browser = Chromium(program, way(), PUBLIC)
    await shot(browser, pages.url("/?status=401"))
    await shot(browser, pages.url("/?status=407"))
    assert asked
    assert set(asked) == {None}
