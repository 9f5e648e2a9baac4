"""Screenshots of sites that went down: bounded in every way, and never in the way of a check or an alert."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec
import structlog

from monitord.domain.check import Category
from monitord.domain.connection import AddressFamily
from monitord.domain.kinds import Check, HttpCheck
from monitord.domain.secrets import secrets_of
from monitord.domain.target import InvalidTargetError, Target, parse_target
from monitord.evidence.shot import CaptureError, Image, LimitedError, Shot, Skipped, StoreError

WHOLE_S = 15.0
"""How long a screenshot may take in all, waiting included: an alert waits for it no longer."""
AT_ONCE = 2
PER_HOST = 1
MAX_WAITING = 64
NOBODY_THERE = frozenset(
    {
        Category.DNS_NXDOMAIN,
        Category.DNS_SERVFAIL,
        Category.DNS_TIMEOUT,
        Category.DNS_NO_ADDRESS,
        Category.DNS_INVALID_NAME,
        Category.CONNECT_REFUSED,
        Category.CONNECT_TIMEOUT,
        Category.CONNECT_UNREACHABLE,
    }
)
"""What is wrong where the check reached no server at all: a browser would have nothing to show but that."""
_LEAST_S = 2.0
"""With less time than this left, nothing is begun."""
_STORE_S = 4.0
"""So much of the time is kept for storing."""

_log = structlog.get_logger(__name__)


class Camera(Protocol):
    """Takes pictures."""

    @property
    def name(self) -> str:
        """What a ``Shot`` says it was taken by."""

    async def capture(self, url: str) -> Image:
        """Return a picture of a page. Raises CaptureError."""
        ...


class Store(Protocol):
    """Keeps pictures."""

    @property
    def name(self) -> str:
        """What a ``Shot`` says it was stored by."""

    async def keep(self, image: Image) -> str:
        """Return where a picture can be seen. Raises StoreError."""
        ...


class Way(Protocol):
    """The guarded dialler; ``probes.outbound.Outbound``."""

    async def find(self, host: str, port: int, family: AddressFamily) -> tuple[str, ...]:
        """Return the addresses of a host, each of which the policy allows. Raises OSError."""
        ...


class Policy(Protocol):
    """Which addresses are of the public internet."""

    def check(self, ip: str, port: int) -> str | None:
        """Return why an address is none, or None."""
        ...


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How screenshots are bounded."""

    whole_s: float = WHOLE_S
    at_once: int = AT_ONCE
    per_host: int = PER_HOST
    max_waiting: int = MAX_WAITING


Maker = TypeVar("Maker", Camera, Store)


class _Rests:
    """Who asked to be left alone, and until when."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def rest(self, name: str, wait_s: float) -> None:
        self._until[name] = asyncio.get_running_loop().time() + wait_s

    def awake(self, makers: Sequence[Maker]) -> list[Maker]:
        now = asyncio.get_running_loop().time()
        return [each for each in makers if self._until.get(each.name, 0.0) <= now]


class Screenshots:
    """Takes and stores them: each way that there is, in order, until one works."""

    def __init__(
        self,
        vendors: Sequence[Camera],
        local: Sequence[Camera],
        stores: Sequence[Store],
        way: Way,
        public: Policy,
        *,
        options: Options | None = None,
    ) -> None:
        """Take the ways of taking and storing them, the best first.

        Vendors are asked for what is on the public internet alone: what is inside they can't see, and should not hear
        of. ``public`` tells the two apart.
        """
        self._vendors = vendors
        self._local = local
        self._stores = stores
        self._way = way
        self._public = public
        self._options = options or Options()
        self._turn = asyncio.Semaphore(self._options.at_once)
        self._waiting = 0
        self._hosts: Counter[str] = Counter()
        self._rests = _Rests()
        if not (vendors or local):
            _log.warning("no_screenshots", reason="there is no SCREENSHOTONE_KEY, and no Chromium on this system")

    @property
    def can(self) -> bool:
        """Whether there is any way to take one."""
        return bool((self._vendors or self._local) and self._stores)

    @property
    def is_full(self) -> bool:
        """Whether so many wait that another one would not be taken."""
        return self._waiting >= self._options.max_waiting

    async def of(self, check: Check) -> Shot | Skipped:
        """Return a screenshot of what a monitor watches; see ``take``."""
        reason = unfit(check)
        if reason is not None or not isinstance(check, HttpCheck):
            return Skipped(reason or "only HTTP monitors have screenshots")
        return await self.take(check.url)

    async def take(self, url: str) -> Shot | Skipped:
        """Return a screenshot of a URL within ``Options.whole_s``. It raises nothing for what sites or vendors do."""
        if not self.can:
            return Skipped("there is no way to take screenshots here")
        try:
            target = parse_target(url)
        except InvalidTargetError as error:
            return Skipped(f"the URL can't be shown: {error}")
        options = self._options
        if self.is_full:
            return Skipped("too many screenshots are wanted at the moment")
        if self._hosts[target.host] >= options.per_host:
            return Skipped("a screenshot of this host is being taken already")
        self._waiting += 1
        self._hosts[target.host] += 1
        try:
            return await self._bounded(target, asyncio.get_running_loop().time() + options.whole_s)
        finally:
            self._waiting -= 1
            self._hosts[target.host] -= 1
            if not self._hosts[target.host]:
                del self._hosts[target.host]

    async def _bounded(self, target: Target, until: float) -> Shot | Skipped:
        shown = target.url.partition("?")[0]  # people put tokens in queries (T15)
        try:
            async with asyncio.timeout_at(until), self._turn:
                return await self._taken(target, shown, until)
        except TimeoutError:
            result = Skipped("it took too long")
        except (CaptureError, StoreError) as error:
            result = Skipped(str(error))
        except Exception:  # the guard of this task: an alert must not wait for a bug (I11)
            _log.exception("screenshot_failed", url=shown)
            result = Skipped("something went wrong within monitord")
        _log.info("screenshot_skipped", url=shown, reason=result.reason)
        return result

    async def _taken(self, target: Target, shown: str, until: float) -> Shot:
        cameras = [*self._local] if await self._is_inside(target) else [*self._vendors, *self._local]
        image, taken_by = await self._captured(target.url, shown, cameras, until)
        url, stored_by = await self._kept(image, shown)
        return Shot(url=url, image=image, taken_by=taken_by, stored_by=stored_by)

    async def _captured(self, url: str, shown: str, cameras: list[Camera], until: float) -> tuple[Image, str]:
        error = CaptureError("there is no way to take a screenshot of it at the moment")
        for camera in self._rests.awake(cameras):
            left = until - _STORE_S - asyncio.get_running_loop().time()
            if left < min(_LEAST_S, self._options.whole_s / 4):
                break
            try:
                async with asyncio.timeout(left):
                    return await camera.capture(url), camera.name
            except TimeoutError:
                error = CaptureError("it took too long")
            except CaptureError as failed:
                error = failed
                if isinstance(failed, LimitedError):
                    self._rests.rest(camera.name, failed.wait_s)
            _log.info("screenshot_not_taken", by=camera.name, url=shown, reason=str(error))
        raise error

    async def _kept(self, image: Image, shown: str) -> tuple[str, str]:
        error = StoreError("there is no place to store a screenshot at the moment")
        for store in self._rests.awake(self._stores):
            try:
                async with asyncio.timeout(_STORE_S - 1):
                    return await store.keep(image), store.name
            except TimeoutError:
                error = StoreError("storing it took too long")
            except StoreError as failed:
                error = failed
                if isinstance(failed, LimitedError):
                    self._rests.rest(store.name, failed.wait_s)
            _log.warning("screenshot_not_stored", by=store.name, url=shown, reason=str(error))
        raise error

    async def _is_inside(self, target: Target) -> bool:
        """Return whether any address of the host is not of the public internet. Raises CaptureError if none may be."""
        try:
            found = await self._way.find(target.host, target.port, AddressFamily.ANY)
        except OSError as error:
            raise CaptureError(f"the page can't be shown: {error.strerror or error}") from None
        return any(self._public.check(ip, target.port) is not None for ip in found)


def unfit(check: Check) -> str | None:
    """Return why there is no screenshot of what a check sees, or None.

    A browser asks for the bare URL. Where the check says more than that, the picture would show something else, such
    as a page to log in; and secrets are never given to a browser or a vendor (T15).
    """
    if not isinstance(check, HttpCheck):
        return "only HTTP monitors have screenshots"
    if secrets_of(check) or check.auth is not None or check.tls.client_certificate_pem:
        return "the monitor signs in: a screenshot of the bare URL would show something else"
    if check.method not in ("GET", "HEAD") or check.body:
        return f"the monitor sends {check.method}: a screenshot of the bare URL would show something else"
    return None
