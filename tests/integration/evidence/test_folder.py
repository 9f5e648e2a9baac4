"""Screenshots in the state folder, and how they are served."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from monitord.domain.instant import SECOND
from monitord.evidence.shot import JPEG, PNG, Image, StoreError
from monitord.evidence.store.folder import ScreenshotFolder
from monitord.evidence.store.links import Links
from monitord.identity.vault import Vault
from tests.support import png

PICTURE = Image(png.make(4, 4, 1, 2, 3), PNG)
NOT_FOUND = "There is no screenshot at this link, or not any more.\n"


class Kept:
    """A folder, and an HTTP server that serves it."""

    def __init__(self, folder: Path, max_bytes: int = 1_000_000) -> None:
        self.now_s = time.time()
        self.path = folder / "screenshots"
        self.links = Links(Vault([bytes(32)]).derive, "", lifetime_s=3600, now=self.now)
        self.folder = ScreenshotFolder(self.path, self.links, now=self.now, max_bytes=max_bytes)
        self.http: ClientSession

    def now(self) -> int:
        return int(self.now_s * SECOND)

    def names(self) -> list[str]:
        return sorted(each.name for each in self.path.iterdir())

    async def get(self, url: str) -> tuple[int, bytes, str]:
        async with self.http.get(url) as response:
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            return response.status, await response.read(), response.content_type


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    made = Kept(tmp_path)
    application = web.Application()
    application.add_routes(made.folder.routes())
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.links.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with ClientSession() as made.http:
        yield made
    await runner.cleanup()


async def test_what_is_kept_is_served(kept: Kept) -> None:
    jpeg = Image(b"\xff\xd8\xff\xe0rest", JPEG)
    urls = [await kept.folder.keep(each) for each in (PICTURE, jpeg)]
    assert [await kept.get(url) for url in urls] == [(200, PICTURE.content, PNG), (200, jpeg.content, JPEG)]
    async with kept.http.head(urls[0]) as response:
        assert response.status == 200


async def test_only_monitord_reads_the_folder(kept: Kept) -> None:
    await kept.folder.keep(PICTURE)
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o700
    (name,) = kept.names()
    assert stat.S_IMODE((kept.path / name).stat().st_mode) == 0o600


async def test_wrong_expired_and_unknown_are_told_apart_by_nobody(kept: Kept) -> None:
    url = await kept.folder.keep(PICTURE)
    (name,) = kept.names()
    unknown = kept.links.url("f" * 32)
    forged = url.replace(name, "0" * 32)
    path = url.rpartition("/")[0]
    wrong = [unknown, forged, url + "x", url[:-1], f"{path}/{name}", f"{path}/..%2Fsecret.key", f"{path}/%00"]
    for each in wrong:
        assert await kept.get(each) == (404, NOT_FOUND.encode(), "text/plain")
    assert (await kept.get(url))[0] == 200
    kept.now_s += 3600
    assert await kept.get(url) == (404, NOT_FOUND.encode(), "text/plain")


async def test_what_is_no_picture_is_not_served(kept: Kept) -> None:
    """(T19): whoever could write there still couldn't make pages of it."""
    url = await kept.folder.keep(PICTURE)
    (name,) = kept.names()
    (kept.path / name).write_bytes(b"<script>alert(1)</script>")
    assert (await kept.get(url))[0] == 404


async def test_the_oldest_makes_room(tmp_path: Path) -> None:
    """(I16)"""
    kept = Kept(tmp_path, max_bytes=len(PICTURE.content) * 3)
    names: list[str] = []
    for age in range(5, 0, -1):
        await kept.folder.keep(PICTURE)
        (new,) = set(kept.names()) - set(names)
        os.utime(kept.path / new, (kept.now_s - age * 60,) * 2)
        names.append(new)
    assert kept.names() == sorted(names[2:])


async def test_what_is_over_goes_and_so_do_halves(kept: Kept) -> None:
    await kept.folder.keep(PICTURE)
    (old,) = kept.names()
    (kept.path / ".partial-abc").write_bytes(b"half")
    (kept.path / "of-somebody-else").write_bytes(b"stays")
    kept.now_s += 3601
    await kept.folder.keep(PICTURE)
    assert old not in kept.names()
    assert ".partial-abc" not in kept.names()
    assert "of-somebody-else" in kept.names()


async def test_many_at_once(kept: Kept) -> None:
    urls = await asyncio.gather(*(kept.folder.keep(PICTURE) for _ in range(20)))
    assert len(set(urls)) == len(kept.names()) == 20


async def test_a_folder_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    (tmp_path / "screenshots").write_text("a file")
    with pytest.raises(StoreError, match="can't be kept"):
        await Kept(tmp_path).folder.keep(PICTURE)
