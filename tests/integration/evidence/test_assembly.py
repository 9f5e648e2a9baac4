"""Everything together: from settings to a picture that can be seen."""

import time
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from monitord.domain.instant import SECOND
from monitord.domain.kinds import HttpCheck
from monitord.evidence.assembly import Evidence, EvidenceSettings
from monitord.evidence.shot import Shot, Skipped
from monitord.identity.vault import Vault
from tests.integration.evidence.conftest import PUBLIC, way
from tests.support import png, screenshotone_server
from tests.support.cloudinary_server import serving_cloudinary
from tests.support.pages import Pages
from tests.support.screenshotone_server import serving_screenshotone

RED = "<body style='margin:0;background:rgb(200,30,40)'>"


class Everywhere:
    """Says that all addresses are public."""

    def check(self, ip: str, port: int) -> str | None:
        return None


def evidence(tmp_path: Path, public: object = PUBLIC, **settings: str) -> Evidence:
    return Evidence(
        EvidenceSettings(state_dir=tmp_path, **settings),
        way(),
        public,  # type: ignore[arg-type]
        derive=Vault([bytes(32)]).derive,
        now=lambda: int(time.time() * SECOND),
    )


async def test_by_vendors(tmp_path: Path, pages: Pages) -> None:
    async with serving_screenshotone() as camera, serving_cloudinary(now_s=time.time) as cloud:
        made = evidence(
            tmp_path,
            Everywhere(),
            screenshotone_key=camera.key,
            screenshotone_base=camera.base,
            cloudinary_cloud_name=cloud.cloud,
            cloudinary_api_key=cloud.key,
            cloudinary_api_secret=cloud.secret,
            cloudinary_base=cloud.base,
        )
        shot = await made.screenshots.of(HttpCheck(url=pages.url()))
        await made.close()
        await made.close()
        assert isinstance(shot, Shot)
        assert (shot.taken_by, shot.stored_by) == ("screenshotone", "cloudinary")
        assert shot.url.startswith("https://res.cloudinary.com/")
        assert list(cloud.kept.values()) == [shot.image.content]
    assert pages.seen == []


@pytest.mark.usefixtures("shots_folder", "program")
async def test_by_what_is_here(tmp_path: Path, pages: Pages) -> None:
    """A vendor that may not for a while is followed by the system's browser; the picture is served by us."""
    pages.pages["/"] = RED
    async with serving_screenshotone() as camera:
        camera.script = [lambda: screenshotone_server.refuse(429, "concurrency_limit_reached", "no")]
        made = evidence(tmp_path, Everywhere(), screenshotone_key=camera.key, screenshotone_base=camera.base)
        application = web.Application()
        application.add_routes(made.folder.routes())
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.links.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        shot = await made.screenshots.take(pages.url())
        await made.close()
        assert camera.requests == 1
    assert isinstance(shot, Shot)
    assert (shot.taken_by, shot.stored_by) == ("chromium", "folder")
    assert png.first_pixel(shot.image.content) == (200, 30, 40)
    async with ClientSession() as session, session.get(shot.url) as response:
        assert await response.read() == shot.image.content
    await runner.cleanup()


async def test_a_vendor_that_hangs_does_not_hold_an_alert_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving_screenshotone() as camera:
        camera.hung = True
        made = evidence(tmp_path, Everywhere(), screenshotone_key=camera.key, screenshotone_base=camera.base)
        monkeypatch.setattr("monitord.evidence.screenshots._STORE_S", 14.9)
        assert isinstance(await made.screenshots.take("http://127.0.0.1:9/"), Skipped)
        await made.close()


async def test_what_is_missing_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with capture_logs() as logs:
        made = evidence(tmp_path, cloudinary_cloud_name="demo", chromium="/nonexistent/chromium")
        assert not made.screenshots.can
        assert isinstance(await made.screenshots.take("https://a.example/"), Skipped)
    assert [each["event"] for each in logs] == ["chromium_not_found", "cloudinary_not_used", "no_screenshots"]
    assert logs[1]["missing"] == "CLOUDINARY_API_KEY, CLOUDINARY_API_SECRET"


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """(T15)"""
    settings = EvidenceSettings(state_dir=tmp_path, screenshotone_key="canary", cloudinary_api_secret="canary")
    assert "canary" not in f"{settings!r} {settings}"
