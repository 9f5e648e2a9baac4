"""What one check saw, and what is kept of it."""

from enum import IntEnum, StrEnum

import msgspec

from monitord.domain.instant import Instant


class Verdict(IntEnum):
    """What one check says of its target. The numbers are stored and sent: never reuse one."""

    UP = 1
    DEGRADED = 2
    DOWN = 3
    INCONCLUSIVE = 4
    """Our own side failed; says nothing of the target (I9)."""
    BLOCKED = 5
    """The policy on addresses refused the target; says nothing of it either."""
    UNREACHABLE = 6
    """It does not work, and something that it depends on does not either."""


class Trigger(IntEnum):
    """Why a row of the check log exists. The numbers are stored and sent: never reuse one."""

    SCHEDULED = 1
    RECHECK = 2
    """A quick look again while a change of status is suspected."""
    MANUAL = 3
    """Someone asked for it (CheckNow)."""
    GAP = 4
    """Not a check: slots that went unchecked, with the reason (I5)."""


class Category(StrEnum):
    """What exactly was wrong with a check that is not plainly UP. Users filter and alert on these."""

    DNS_NXDOMAIN = "dns.nxdomain"
    DNS_SERVFAIL = "dns.servfail"
    DNS_TIMEOUT = "dns.timeout"
    DNS_NO_ADDRESS = "dns.no_address"
    DNS_MISMATCH = "dns.mismatch"
    DNS_INVALID_NAME = "dns.invalid_name"
    CONNECT_REFUSED = "connect.refused"
    CONNECT_TIMEOUT = "connect.timeout"
    CONNECT_RESET = "connect.reset"
    CONNECT_UNREACHABLE = "connect.unreachable"
    TLS_EXPIRED = "tls.expired"
    TLS_NOT_YET_VALID = "tls.not_yet_valid"
    TLS_SELF_SIGNED = "tls.self_signed"
    TLS_UNTRUSTED = "tls.untrusted"
    TLS_HOSTNAME = "tls.hostname"
    TLS_WEAK = "tls.weak"
    TLS_PROTOCOL = "tls.protocol"
    TLS_ALERT = "tls.alert"
    TLS_TIMEOUT = "tls.timeout"
    TLS_NOT_TLS = "tls.not_tls"
    TLS_CLIENT_CERT = "tls.client_cert"
    TLS_EXPIRING = "tls.expiring"
    """The certificate is good, and has fewer days left than the monitor asks for."""
    TLS_REQUIRED = "tls.required"
    """There was no TLS where it is demanded, or there was where it is forbidden."""
    HTTP_PROTOCOL = "http.protocol"
    HTTP_HEADERS_TOO_LARGE = "http.headers_too_large"
    HTTP_STATUS = "http.status"
    HTTP_REDIRECT_LOOP = "http.redirect_loop"
    HTTP_REDIRECT_INVALID = "http.redirect_invalid"
    HTTP_EMPTY = "http.empty"
    BODY_TRUNCATED = "body.truncated"
    BODY_DECODE = "body.decode"
    BODY_TOO_LARGE = "body.too_large"
    TIMEOUT_TTFB = "timeout.ttfb"
    TIMEOUT_TOTAL = "timeout.total"
    ASSERT_KEYWORD = "assert.keyword"
    ASSERT_REGEX = "assert.regex"
    ASSERT_JSON = "assert.json"
    ASSERT_HEADER = "assert.header"
    ASSERT_LATENCY = "assert.latency"
    ASSERT_SIZE = "assert.size"
    PROTOCOL_INVALID = "protocol.invalid"
    """What answered does not speak the protocol of this kind (for HTTP: ``http.protocol``)."""
    PROTOCOL_CLOSED = "protocol.closed"
    """The server hung up before it had answered (for HTTP: ``http.empty``)."""
    PROTOCOL_REFUSED = "protocol.refused"
    """The server answered, by its protocol, that it won't serve: too many clients, starting up, no such subprotocol."""
    AUTH_REFUSED = "auth.refused"
    """The monitor's credentials were not accepted."""
    QUERY_FAILED = "query.failed"
    """The server refused the query."""
    GRPC_STATUS = "grpc.status"
    """The call ended with a status other than OK."""
    GRPC_NOT_SERVING = "grpc.not_serving"
    ICMP_LOSS = "icmp.loss"
    ICMP_UNREACHABLE = "icmp.unreachable"
    HEARTBEAT_MISSED = "heartbeat.missed"
    HEARTBEAT_AWAITED = "heartbeat.awaited"
    """No word has come yet, and none is overdue."""
    HEARTBEAT_FAILED = "heartbeat.failed"
    """The job itself told of a failure."""
    GROUP_DOWN = "group.down"
    """Too few members of the group work."""
    GROUP_DEGRADED = "group.degraded"
    """Enough members of the group work, but not all, or not all well."""
    GROUP_UNKNOWN = "group.unknown"
    """What is not known of members of the group decides."""
    DEPENDENCY_DOWN = "dependency.down"
    """Something that the monitor depends on is down: what the check saw says little of its own target."""
    POLICY_BLOCKED = "policy.blocked"
    ENGINE_NETWORK_DOWN = "engine.network_down"
    ENGINE_FD = "engine.fd"
    ENGINE_OVERLOAD = "engine.overload"
    ENGINE_UNSUPPORTED = "engine.unsupported"
    """This machine gives monitord no means for this kind of check."""
    ENGINE_INTERNAL = "engine.internal"
    ENGINE_GAP = "engine.gap"


class GapReason(StrEnum):
    """Why slots went unchecked. Stored as the message of a GAP row, after ``engine.gap``."""

    RESTART = "monitord was not running"
    OVERRUN = "the check before was still running"
    OVERLOAD = "monitord was overloaded"
    SUSPENDED = "the machine slept, or its clock was set forward"
    CRASHED = "the monitor's task crashed and was restarted"
    STOPPED = "the monitor or monitord was stopped before the check was over"
    PARKED = "the monitor's task crashed five times in a row and is parked"
    SPOOL_FULL = "the database was away for longer than results could be held"


class Phases(msgspec.Struct, frozen=True, gc=False):
    """Durations of a check's phases in milliseconds; None where the phase did not happen."""

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    ttfb: float | None = None
    transfer: float | None = None


class Certificate(msgspec.Struct, frozen=True):
    """The facts of one certificate, recorded also when verification failed."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: Instant
    not_after: Instant
    serial: str
    fingerprint_sha256: str


class Step(msgspec.Struct, frozen=True):
    """One line of the explanation of a check."""

    at_ms: float
    """Milliseconds since the check began."""
    phase: str
    text: str


class Evidence(msgspec.Struct, frozen=True):
    """What explains a verdict. Texts from the target are sanitised and capped by the prober (T19)."""

    steps: tuple[Step, ...] = ()
    resolved: tuple[str, ...] = ()
    header_lines: tuple[str, ...] = ()
    body_excerpt: bytes = b""
    """At most 1 KiB of the body, as received after decoding."""
    certificates: tuple[Certificate, ...] = ()
    """The chain as the server sent it, leaf first."""


class Observation(msgspec.Struct, frozen=True):
    """What a probe saw. A target's failure is a value of this type, never an exception."""

    verdict: Verdict
    category: Category | None = None
    message: str = ""
    """A sentence for a person; empty when UP with nothing to say."""
    phases: Phases = Phases()
    status_code: int | None = None
    dns_ok: bool | None = None
    ssl_ok: bool | None = None
    content_ok: bool | None = None
    address: str | None = None
    """The address dialled last, as ``192.0.2.1:443`` or ``[2001:db8::1]:443``."""
    certificate_expires_at: Instant | None = None
    bytes_received: int = 0
    redirects: int = 0
    response_ms: float | None = None
    """What the target took, where that is not the time of the whole check, such as a mean of several round trips."""
    dialled: bool = True
    """Whether anything was asked of a target: if not, the time of the check is no response time."""
    measurements: dict[str, float] | None = None
    """Figures of the kind, by names such as ``icmp.loss_ratio``; lengths of time are in milliseconds (``_ms``)."""
    evidence: Evidence | None = None
    """Present when the verdict is not UP, or when a trace was asked for."""


class CheckResult(msgspec.Struct, frozen=True):
    """One observation with its place in the monitor's schedule."""

    monitor_id: int
    org_id: int
    monitor_version: int
    """The version of the configuration the check ran with (I10)."""
    trigger: Trigger
    scheduled_at: Instant
    """The slot for SCHEDULED; otherwise the moment the check was asked for."""
    started_at: Instant
    duration_ms: float
    """From the passing of the gate to the verdict, on the monotonic clock (I18)."""
    observation: Observation
    maintenance: bool = False
    """Whether it began within a maintenance window: kept, and judged by nobody."""

    @property
    def response_ms(self) -> float | None:
        """What is told as the target's response time; None: there is none."""
        seen = self.observation
        if seen.response_ms is None and seen.dialled:
            return self.duration_ms
        return seen.response_ms


class Gap(msgspec.Struct, frozen=True):
    """Slots in [first_slot, until) of one monitor that were not checked."""

    monitor_id: int
    org_id: int
    monitor_version: int
    first_slot: Instant
    until: Instant
    slots: int
    reason: GapReason
