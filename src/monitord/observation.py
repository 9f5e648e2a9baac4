"""Builds what photographs sites that are down, where an operator wants that."""

from collections.abc import Callable, Sequence

from aiohttp import web
from pydantic import SecretStr

from monitord import __version__
from monitord.domain.check import Category
from monitord.domain.health import Transition
from monitord.domain.instant import Instant
from monitord.domain.notice import Picture
from monitord.evidence.assembly import Evidence, EvidenceSettings
from monitord.evidence.photographer import Photographer
from monitord.followers import Follower
from monitord.identity.vault import Vault
from monitord.probes.egress import EgressPolicy
from monitord.probes.outbound import Outbound
from monitord.settings import Settings
from monitord.storage.database import Database
from monitord.storage.ledger_commit import Change
from monitord.storage.screenshots import ScreenshotAlbum

_DAY_S = 86_400


class Observation:
    """Screenshots, or that there are none. Construction wires; ``close`` ends what is open."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        vault: Vault,
        outbound: Outbound,
        own_addresses: Sequence[str],
        *,
        now: Callable[[], Instant],
        recorded: Callable[[], None],
    ) -> None:
        """``recorded`` is told when alerts that waited for a picture may go."""
        self._evidence: Evidence | None = None
        self._photographer: Photographer | None = None
        if settings.screenshots:
            public = EgressPolicy("public", deny=settings.egress_deny, own_addresses=own_addresses)
            self._evidence = Evidence(_evidence_settings(settings), outbound, public, derive=vault.derive, now=now)
            self._photographer = Photographer(
                self._evidence.screenshots,
                ScreenshotAlbum(database, recorded),
                recoveries=settings.screenshots_of_recoveries,
            )

    @property
    def followers(self) -> list[Follower]:
        """Who wants to know which monitors are checked."""
        return [] if self._photographer is None else [self._photographer]

    def hold_s(self, monitor_id: int, transition: Transition, category: Category | None) -> int:
        """Return how long alerts of a transition wait for a picture, in seconds."""
        return 0 if self._photographer is None else self._photographer.hold_s(monitor_id, transition, category)

    def committed(self, changes: Sequence[Change]) -> None:
        """Take pictures of what is durable now; returns at once."""
        if self._photographer is not None:
            self._photographer.committed(changes)

    def routes(self) -> list[web.RouteDef]:
        """Return what is to be served: the pictures in the state folder, under links that expire."""
        return [] if self._evidence is None else self._evidence.folder.routes()

    def linked_at(self, base: str) -> None:
        """Take what stands before the path in links, where no setting says so."""
        if self._evidence is not None and not self._evidence.links.base:
            self._evidence.links.base = base

    async def picture(self, url: str) -> Picture | None:
        """Return a picture of the state folder, to stand in a mail; None for others, and for what is gone."""
        if self._evidence is None:
            return None
        name = self._evidence.links.read(url.rpartition("/")[2])
        image = None if name is None else await self._evidence.folder.load(name)
        return None if image is None else Picture(url=url, content=image.content, media_type=image.media_type)

    async def drain(self) -> None:
        """Give up pictures under way: their alerts go without."""
        if self._photographer is not None:
            await self._photographer.close()

    async def close(self) -> None:
        """End what is open."""
        await self.drain()
        if self._evidence is not None:
            await self._evidence.close()


def _evidence_settings(settings: Settings) -> EvidenceSettings:
    return EvidenceSettings(
        state_dir=settings.state_dir,
        public_url=settings.public_url or "",
        link_lifetime_s=settings.screenshot_link_days * _DAY_S,
        chromium=str(settings.chromium or ""),
        agent=f"monitord/{__version__} (+{settings.operator_url})",
        screenshotone_key=_text(settings.screenshotone_key),
        screenshotone_secret=_text(settings.screenshotone_secret),
        cloudinary_cloud_name=settings.cloudinary_cloud_name or "",
        cloudinary_api_key=_text(settings.cloudinary_api_key),
        cloudinary_api_secret=_text(settings.cloudinary_api_secret),
    )


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
