"""A monitor: what to check, how often, and how to judge it."""

from enum import IntEnum

import msgspec

from monitord.domain.health import Health, Policy
from monitord.domain.instant import SECOND, Instant
from monitord.domain.schedule import Grid, grid_of


class AddressFamily(IntEnum):
    """Which addresses of a name may be dialled."""

    ANY = 1
    IPV4 = 2
    IPV6 = 3


class StatusRange(msgspec.Struct, frozen=True, array_like=True):
    """HTTP status codes ``first`` to ``last``, both included, 100 to 999."""

    first: int
    last: int


class Header(msgspec.Struct, frozen=True):
    """A request header. A secret one is write-only: stored sealed, dropped when a redirect leaves the origin."""

    name: str
    value: str
    secret: bool = False

    def __repr__(self) -> str:
        """Show a secret to nobody, logs and tracebacks included (T15)."""
        return f"Header({self.name!r}, {'<secret>' if self.secret else repr(self.value)})"


class HttpCheck(msgspec.Struct, frozen=True, tag="http", kw_only=True, weakref=True):
    """Ask for a URL and judge the answer. Fields are validated before they get here (``domain.rules``)."""

    url: str
    method: str = "GET"
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    accepted_status: tuple[StatusRange, ...] = (StatusRange(200, 399),)
    keyword: str = ""
    """Text that must appear in the body (or must not: ``keyword_absent``); empty: no condition."""
    keyword_absent: bool = False
    follow_redirects: bool = True
    max_redirects: int = 10
    expected_latency_ms: int = 0
    """Slower answers are DEGRADED; 0: no expectation."""
    verify_tls: bool = True
    address_family: AddressFamily = AddressFamily.ANY


Check = HttpCheck
"""Every kind of check; a union once there is a second one."""


class MonitorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a user decides about a monitor."""

    name: str
    check: Check
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    interval_s: int = 60
    timeout_ms: int = 10_000
    failure_threshold: int = 2
    success_threshold: int = 1
    recheck_interval_s: int = 10
    active: bool = True


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """A stored monitor."""

    id: int
    org_id: int
    spec: MonitorSpec
    version: int
    """Grows with every change, pause and resume: the etag, and the guard of I10."""
    created_at: Instant
    updated_at: Instant

    @property
    def grid(self) -> Grid:
        """The slots of this monitor."""
        return grid_of(self.id, self.spec.interval_s * SECOND)

    @property
    def policy(self) -> Policy:
        """How many results in a row change this monitor's status."""
        return Policy(self.spec.failure_threshold, self.spec.success_threshold)


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor with all that its actor and its writer need to go on where the last ones stopped."""

    monitor: Monitor
    health: Health
    last_seq: int
    """The sequence number of its newest log row; 0 before the first."""
    covered_until: Instant
    """Every slot of the current schedule before this has a row, or is not owed one (I5)."""
