"""A page on another origin, in a real browser with Connect's own client, against the process as a user starts it."""

import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from monitord_client import Monitor
from monitord_client.times import duration
from monitord_client.v1.check_log_pb2 import VERDICT_UP
from monitord_client.v1.check_log_service_pb2 import TAIL_END_REASON_SHUTDOWN
from monitord_client.v1.heartbeat_check_pb2 import HeartbeatCheck
from tests.e2e.conftest import FAST
from tests.e2e.target import Target
from tests.support.browser import Page, chromium, packages
from tests.support.process import Monitord, monitord


@pytest.fixture
def page(pytestconfig: pytest.Config) -> Page:
    assert pytestconfig.cache is not None
    return Page(packages(Path(pytestconfig.cache.mkdir("browser"))))


async def bridge_of(process: Monitord) -> str:
    """Return the URL of the HTTP listener, which that of a job's heartbeat begins with."""
    async with process.client() as client:
        job = Monitor(name="job", interval=duration(3600), heartbeat=HeartbeatCheck(period=duration(3600)))
        made = await client.create_monitor(job)
        await client.delete_monitor(made.id)
    parts = urlsplit(made.heartbeat.ping_url)
    return f"{parts.scheme}://{parts.netloc}"


async def test_a_page_that_is_listed_creates_lists_reads_errors_and_follows_a_tail(
    database_url: str, up: Target, tmp_path: Path, page: Page
) -> None:
    async with page.served():
        settings = {**FAST, "MONITORD_DATABASE_URL": database_url, "MONITORD_CORS_ORIGINS": page.origin}
        async with monitord(tmp_path, settings=settings) as process:
            base = await bridge_of(process)
            assert urlsplit(base).netloc != urlsplit(page.origin).netloc
            async with chromium(page.url(base=base, key=process.key, target=up.url()), tmp_path):
                made = await page.told("created")
                assert made["url"] == up.url()
                assert await page.told("listed") == ["made by a page"]
                for _ in ("in JSON", "in protobuf"):
                    assert_as_good_as_grpcs(await page.told("wrong"))
                unknown = await page.told("unknown")
                assert (unknown["code"], unknown["reasons"]) == ("Unauthenticated", ["monitord/UNAUTHENTICATED"])
                rows = await page.told("rows")
                assert rows == [{"monitor": made["id"], "verdict": VERDICT_UP}] * 2
                assert await page.told("resumed") is True
                process.process.send_signal(signal.SIGTERM)
                end = await page.told("end")
                assert (end["reason"], end["cursor"]) == (TAIL_END_REASON_SHUTDOWN, end["before"])
                assert await page.told("closed") is True
            assert await process.ended() == 0


def assert_as_good_as_grpcs(error: dict[str, Any]) -> None:
    assert (error["code"], error["reasons"]) == ("InvalidArgument", ["monitord/INVALID_FIELD"]), error["message"]
    assert set(error["violations"]) == {"monitor.name", "monitor.http.url"}, error["message"]
    assert "monitor.http.url" in error["message"]


async def test_a_page_that_is_not_listed_learns_nothing(database_url: str, tmp_path: Path, page: Page) -> None:
    settings = {"MONITORD_DATABASE_URL": database_url, "MONITORD_CORS_ORIGINS": "http://localhost:1"}
    async with page.served(), monitord(tmp_path, settings=settings) as process:
        async with chromium(page.url(base=await bridge_of(process)), tmp_path):
            refused = await page.told("a page that may not call")
        assert (refused["code"], refused["reasons"]) == ("Unknown", [])
        assert "fetch" in refused["message"]
