"""Screenshots by the real Chromium: what is seen, and that nothing of it stays."""

import asyncio
import os
import pwd
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from monitord.evidence.capture import cage, chromium
from monitord.evidence.capture.account import account
from monitord.evidence.capture.chromium import Chromium, Limits, find_chromium
from monitord.evidence.shot import HEIGHT, PNG, WIDTH, CaptureError
from tests.integration.evidence.conftest import PUBLIC, processes_of, way
from tests.support import png
from tests.support.pages import Pages

pytestmark = pytest.mark.usefixtures("shots_folder")

RED = "<body style='margin:0;background:rgb(200,30,40)'><h1>Down</h1>"


@pytest.fixture(params=["isolated", "plain"])
def browser(request: pytest.FixtureRequest, program: Path) -> Chromium:
    return Chromium(program, way(), PUBLIC, isolate=request.param == "isolated")


async def test_a_page_is_shown(browser: Chromium, pages: Pages, shots_folder: Path) -> None:
    pages.pages["/"] = RED
    left = shots_folder / "monitord-shot-left"
    left.mkdir()
    os.utime(left, (1, 1))
    image = await browser.capture(pages.url())
    assert image.media_type == PNG
    assert not left.exists()
    assert png.size(image.content) == (WIDTH, HEIGHT)
    assert png.first_pixel(image.content) == (200, 30, 40)
    assert pages.requests[0].headers["User-Agent"].startswith("Mozilla/")
    assert "Proxy-Authorization" not in pages.requests[0].headers


async def test_a_page_that_says_500_is_shown_with_its_parts(browser: Chromium, pages: Pages) -> None:
    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=500, text="<link rel=stylesheet href=/style.css>Oops", content_type="text/html")

    async def style(request: web.Request) -> web.Response:
        return web.Response(text="body { background: rgb(1, 2, 3) }", content_type="text/css")

    pages.pages |= {"/": broken, "/style.css": style}
    image = await browser.capture(pages.url())
    assert png.first_pixel(image.content) == (1, 2, 3)


async def test_redirects_and_forms_work(browser: Chromium, pages: Pages) -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/form"})

    async def posted(request: web.Request) -> web.Response:
        assert (await request.post())["a"] == "b"
        return web.Response(text=RED, content_type="text/html")

    form = "<form method=post action=/posted><input name=a value=b></form><script>document.forms[0].submit()</script>"
    pages.pages |= {"/": away, "/form": form, "/posted": posted}
    image = await browser.capture(pages.url())
    assert pages.seen[:3] == ["/", "/form", "/posted"]
    assert png.first_pixel(image.content) == (200, 30, 40)


async def test_a_site_that_is_not_there_has_no_picture(browser: Chromium, unused_tcp_port: int) -> None:
    with pytest.raises(CaptureError, match=r"can't be shown.*refused"):
        await browser.capture(f"http://127.0.0.1:{unused_tcp_port}/")
    with pytest.raises(CaptureError, match=r"can't be shown.*refused"):
        await browser.capture(f"https://127.0.0.1:{unused_tcp_port}/")


async def test_a_site_that_never_answers_has_no_picture(
    program: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty page would be shown as if it were what is there."""

    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("monitord.evidence.capture.page.LOAD_S", 1.0)
    pages.pages["/"] = never
    with pytest.raises(CaptureError, match="no answer within 1 s"):
        await Chromium(program, way(), PUBLIC).capture(pages.url())
    assert pages.seen == ["/"]


async def test_it_says_who_it_is(program: Path, pages: Pages) -> None:
    """(T17)"""
    await Chromium(program, way(), PUBLIC, agent="monitord/1 (+https://m.example)").capture(pages.url())
    assert pages.requests[0].headers["User-Agent"].endswith("Safari/537.36 monitord/1 (+https://m.example)")


async def test_what_the_policy_denies_has_no_picture(program: Path, pages: Pages) -> None:
    """(T1)"""
    browser = Chromium(program, way(f"127.0.0.1:{pages.port}"), PUBLIC)
    with pytest.raises(CaptureError, match="the operator's policy denies this address"):
        await browser.capture(pages.url())
    assert pages.seen == []


async def test_cancelled_it_leaves_nothing(browser: Chromium, pages: Pages, shots_folder: Path) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    pages.pages["/"] = never
    shot = asyncio.create_task(browser.capture(pages.url()))
    await pages.told("/")
    assert processes_of(str(shots_folder).encode())
    shot.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shot


async def test_a_browser_that_does_not_start_is_explained(tmp_path: Path) -> None:
    for program, words in (
        ("/nonexistent", "No such file"),
        ("/bin/false", "the browser ended"),
        ("/bin/cat", "ended"),
    ):
        browser = Chromium(Path(program), way(), PUBLIC)
        with pytest.raises(CaptureError, match=words):
            await browser.capture("http://127.0.0.1:1234/")


CAGE = Path(cage.__file__).read_text()


async def test_without_namespaces_it_goes_on_without_and_says_so_once(
    program: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "cage.py"
    script.write_text(CAGE.replace("    uid, gid = os.getuid(), os.getgid()\n", "    raise OSError('none here')\n", 1))
    monkeypatch.setattr("monitord.evidence.capture.process._CAGE", script)
    pages.pages["/"] = RED
    browser = Chromium(program, way(), PUBLIC)
    with capture_logs() as logs:
        for _ in range(2):
            assert png.first_pixel((await browser.capture(pages.url())).content) == (200, 30, 40)
    assert [each["event"] for each in logs] == ["browser_not_isolated"]


@pytest.mark.parametrize("own", [True, False])
async def test_without_a_sandbox_it_runs_only_as_somebody_else(
    own: bool, pages: Pages, monkeypatch: pytest.MonkeyPatch, entered: Path, program: Path
) -> None:
    script = entered / "browser"
    script.write_text(
        '#!/bin/sh\ncase "$*" in *--no-sandbox*) exec '
        f'{program} "$@";; esac\necho "FATAL: No usable sandbox! Update your kernel" >&2\nexit 1\n'
    )
    script.chmod(0o755)
    user = account()
    monkeypatch.setattr(chromium, "account", lambda: type(user)(user.uid, user.gid, own))
    pages.pages["/"] = RED
    browser = Chromium(script, way(), PUBLIC)
    with capture_logs() as logs:
        if not own:
            for _ in range(2):
                with pytest.raises(CaptureError, match="monitord's own user"):
                    await browser.capture(pages.url())
            assert [each["event"] for each in logs] == ["browser_not_used"]
            return
        for _ in range(2):
            assert png.first_pixel((await browser.capture(pages.url())).content) == (200, 30, 40)
    assert [each["event"] for each in logs] == ["browser_without_sandbox"]


async def test_its_time_has_an_end_of_its_own(program: Path, pages: Pages) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    pages.pages["/"] = never
    browser = Chromium(program, way(), PUBLIC, limits=Limits(limit_s=1.5))
    with pytest.raises(CaptureError, match="takes too long"):
        await browser.capture(pages.url())


def test_the_browser_is_found(tmp_path: Path) -> None:
    assert find_chromium("/bin/sh") == Path("/bin/sh")
    assert find_chromium(str(tmp_path)) is None
    assert find_chromium("no-such-browser") is None


def test_as_root_each_browser_is_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    users = [account() for _ in range(30)]
    assert all(each.own and each.uid not in (0, os.getuid()) for each in users)
    assert len({each.uid for each in users}) > 1
    monkeypatch.setattr("monitord.evidence.capture.account._mapped", lambda: [range(1000)])
    monkeypatch.setattr(pwd, "getpwnam", dict[str, object]().__getitem__)
    with pytest.raises(CaptureError, match="must not be root"):
        account()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not account().own
