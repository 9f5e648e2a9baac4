"""Screenshots kept in the state folder, and served under links that expire."""

import asyncio
import contextlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from monitord.domain.instant import SECOND, Instant
from monitord.evidence.shot import MAX_IMAGE_BYTES, Image, StoreError, image_of
from monitord.evidence.store.links import Links

MAX_FOLDER_BYTES = 256 * 1024 * 1024

_NAME = re.compile(r"[0-9a-f]{32}")
_PARTIAL = ".partial-"
_NOT_FOUND = "There is no screenshot at this link, or not any more.\n"
_HEADERS = {
    "Cache-Control": "no-store",
    # The bytes come from a site that nobody vouches for: they are a picture and nothing else (T19).
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class ScreenshotFolder:
    """Keeps pictures as files, as many as have room, for as long as their links are valid."""

    name = "folder"

    def __init__(
        self, folder: Path, links: Links, *, now: Callable[[], Instant], max_bytes: int = MAX_FOLDER_BYTES
    ) -> None:
        """Take a folder that is made when needed, with mode 0700."""
        self._folder = folder
        self._links = links
        self._now = now
        self._max_bytes = max_bytes
        self._lock = asyncio.Lock()

    async def keep(self, image: Image) -> str:
        """Return a link to the picture, once it is on the disk. Raises StoreError."""
        name = secrets.token_hex(16)
        try:
            async with self._lock:
                await asyncio.to_thread(self._write, name, image.content)
        except OSError as error:
            raise StoreError(f"the screenshot can't be kept: {error.strerror or error}") from None
        return self._links.url(name)

    async def load(self, name: str) -> Image | None:
        """Return a picture by its name; None: there is none."""
        if not _NAME.fullmatch(name):
            return None
        return await asyncio.to_thread(self._read, name)

    def routes(self) -> list[web.RouteDef]:
        """Return what an HTTP listener serves: GET and HEAD of ``/screenshots/<token>``."""
        return [web.get("/screenshots/{token}", self._serve)]

    async def _serve(self, request: web.Request) -> web.Response:
        name = self._links.read(request.match_info["token"])
        image = None if name is None else await self.load(name)
        if image is None:  # the same for what never was, what is over and what is forged: nothing is told
            return web.Response(status=404, text=_NOT_FOUND, headers=_HEADERS)
        return web.Response(body=image.content, content_type=image.media_type, headers=_HEADERS)

    def _read(self, name: str) -> Image | None:
        try:
            with (self._folder / name).open("rb") as file:
                return image_of(file.read(MAX_IMAGE_BYTES + 1))
        except OSError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        """Write it whole or not at all: a crash leaves a partial file, which the next write removes."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(len(content))
        partial = self._folder / f"{_PARTIAL}{name}"
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123 -- a descriptor is no path
                file.write(content)
            partial.rename(self._folder / name)
        finally:
            partial.unlink(missing_ok=True)

    def _make_room(self, coming: int) -> None:
        """Remove what is over, and the oldest until there is room: links to those end early."""
        oldest_kept = self._now() / SECOND - self._links.lifetime_s
        kept = []
        for entry in os.scandir(self._folder):
            if entry.name.startswith(_PARTIAL):
                _remove(entry.path)
            elif _NAME.fullmatch(entry.name):
                status = entry.stat(follow_symlinks=False)
                if status.st_mtime < oldest_kept:
                    _remove(entry.path)
                else:
                    kept.append((status.st_mtime, status.st_size, entry.path))
        total = coming + sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= self._max_bytes:
                return
            _remove(path)
            total -= size


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108
