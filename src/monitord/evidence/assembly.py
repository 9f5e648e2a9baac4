"""Puts together what takes and stores screenshots, from what an operator has set."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import aiohttp
import msgspec
import structlog

from monitord.domain.instant import Instant
from monitord.evidence.capture import screenshotone
from monitord.evidence.capture.chromium import Chromium, find_chromium
from monitord.evidence.capture.proxy import Policy, Way
from monitord.evidence.capture.screenshotone import ScreenshotOne
from monitord.evidence.screenshots import Camera, Screenshots, Store
from monitord.evidence.store import cloudinary
from monitord.evidence.store.cloudinary import Cloudinary
from monitord.evidence.store.folder import ScreenshotFolder
from monitord.evidence.store.links import Links

FOLDER = "screenshots"
"""Below the state folder."""

_log = structlog.get_logger(__name__)


class EvidenceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about screenshots. Empty: that is not set."""

    state_dir: Path
    public_url: str = ""
    """What stands before ``/screenshots/`` in links; ``Evidence.links.base`` may be set later."""
    link_lifetime_s: int = 30 * 24 * 3600
    """How long links to pictures in the state folder are valid, and those pictures kept."""
    chromium: str = ""
    """The browser's program; empty: that of the system, if there is one."""
    agent: str = ""
    """Added to the browser's User-Agent: who asks, and where people can complain."""
    screenshotone_key: str = ""
    screenshotone_secret: str = ""
    """Set it where the account demands signatures."""
    cloudinary_cloud_name: str = ""
    cloudinary_api_key: str = ""
    cloudinary_api_secret: str = ""
    screenshotone_base: str = screenshotone.BASE
    cloudinary_base: str = cloudinary.BASE

    def __repr__(self) -> str:
        """Show no secret (T15)."""
        return f"EvidenceSettings(state_dir={str(self.state_dir)!r})"


class Outbound(Way, Protocol):
    """The guarded way out; ``probes.outbound.Outbound``."""

    def session(self, *, connections: int = 20) -> aiohttp.ClientSession:
        """Return an HTTP client each of whose sockets the policy has passed."""
        ...


class Evidence:
    """All that there is for screenshots."""

    def __init__(
        self,
        settings: EvidenceSettings,
        way: Outbound,
        public: Policy,
        *,
        derive: Callable[[str], tuple[bytes, ...]],
        now: Callable[[], Instant],
    ) -> None:
        """Take the way out, which addresses are of the public internet, and where keys and the time come from."""
        self._way = way
        self._session: aiohttp.ClientSession | None = None
        self.links = Links(derive, settings.public_url, lifetime_s=settings.link_lifetime_s, now=now)
        self.folder = ScreenshotFolder(settings.state_dir / FOLDER, self.links, now=now)
        self.screenshots = Screenshots(
            self._vendors(settings),
            self._local(settings, public),
            [*self._clouds(settings, now), self.folder],
            way,
            public,
        )

    async def close(self) -> None:
        """Close the connections to vendors; safe twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _client(self) -> aiohttp.ClientSession:
        """Return the one HTTP client, which can be made only where a loop runs."""
        if self._session is None or self._session.closed:
            self._session = self._way.session(connections=4)
        return self._session

    def _vendors(self, settings: EvidenceSettings) -> list[Camera]:
        if not settings.screenshotone_key:
            return []
        key, secret = settings.screenshotone_key, settings.screenshotone_secret or None
        return [ScreenshotOne(self._client, key, secret, base=settings.screenshotone_base)]

    def _local(self, settings: EvidenceSettings, public: Policy) -> list[Camera]:
        program = find_chromium(settings.chromium or None)
        if program is None:
            if settings.chromium:
                _log.warning("chromium_not_found", program=settings.chromium)
            return []
        return [Chromium(program, self._way, public, hidden=[settings.state_dir], agent=settings.agent)]

    def _clouds(self, settings: EvidenceSettings, now: Callable[[], Instant]) -> list[Store]:
        account = {
            "CLOUDINARY_CLOUD_NAME": settings.cloudinary_cloud_name,
            "CLOUDINARY_API_KEY": settings.cloudinary_api_key,
            "CLOUDINARY_API_SECRET": settings.cloudinary_api_secret,
        }
        missing = [name for name, value in account.items() if not value]
        if missing:
            if len(missing) < len(account):
                _log.warning("cloudinary_not_used", missing=", ".join(missing))
            return []
        return [Cloudinary(self._client, *account.values(), now=now, base=settings.cloudinary_base)]
