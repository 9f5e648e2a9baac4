"""Monitors: from messages to the domain and back."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration

from monitord.domain.errors import Violation
from monitord.domain.monitor import AddressFamily, Header, HttpCheck, Monitor, MonitorSpec, StatusRange
from monitord.domain.queries import MonitorView
from monitord.domain.rules import MAX_STATUS_RANGES, Limits, quoted
from monitord.rpc.convert_log import check_log_pb
from monitord.rpc.convert_time import millis_of, millis_pb, seconds_of, timestamp_pb
from monitord.v1 import monitor_pb2 as pb

DEFAULT_INTERVAL_S = 60
DEFAULT_TIMEOUT_MS = 10_000
DEFAULT_RECHECK_INTERVAL_S = 10
DEFAULT_FAILURE_THRESHOLD = 2
DEFAULT_SUCCESS_THRESHOLD = 1
DEFAULT_MAX_REDIRECTS = 10
DEFAULT_STATUS = (StatusRange(200, 399),)

T = TypeVar("T")

_ETAG = re.compile(r"v([1-9][0-9]{0,17})")
_STATUS_RANGE = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?")
_NO_CHECK = HttpCheck(url="http://localhost/")
"""Stands in for the kind that is missing, so that the rest can be judged too."""

_FAMILIES: dict[int, AddressFamily] = {
    pb.ADDRESS_FAMILY_UNSPECIFIED: AddressFamily.ANY,
    pb.ADDRESS_FAMILY_ANY: AddressFamily.ANY,
    pb.ADDRESS_FAMILY_IPV4: AddressFamily.IPV4,
    pb.ADDRESS_FAMILY_IPV6: AddressFamily.IPV6,
}
_PATHS = {
    "check": "http",
    "interval_s": "interval",
    "timeout_ms": "timeout",
    "recheck_interval_s": "recheck_interval",
    "accepted_status": "accepted_status_codes",
    "follow_redirects": "redirect_policy",
    "expected_latency_ms": "expected_latency",
    "verify_tls": "tls_verification",
}
"""Where the API has another name for a field than the domain."""
_FAMILIES_PB = {
    AddressFamily.ANY: pb.ADDRESS_FAMILY_ANY,
    AddressFamily.IPV4: pb.ADDRESS_FAMILY_IPV4,
    AddressFamily.IPV6: pb.ADDRESS_FAMILY_IPV6,
}
_FOLLOW: dict[int, bool] = {
    pb.REDIRECT_POLICY_UNSPECIFIED: True,
    pb.REDIRECT_POLICY_FOLLOW: True,
    pb.REDIRECT_POLICY_NONE: False,
}
_VERIFY: dict[int, bool] = {
    pb.TLS_VERIFICATION_UNSPECIFIED: True,
    pb.TLS_VERIFICATION_FULL: True,
    pb.TLS_VERIFICATION_NONE: False,
}


def read_spec(message: pb.Monitor, limits: Limits, found: list[Violation]) -> MonitorSpec:
    """Return what a message says a monitor shall be, with a default for everything that is not set.

    What can't be read is added to ``found``, with its path from the monitor on, and replaced by a default: the rules
    (``domain.rules``) can then judge the rest.
    """
    interval_s = _read_interval_s(message, limits, found)
    timeout_ms = recheck_s = None
    if message.HasField("timeout"):
        timeout_ms = millis_of(message.timeout, "timeout", found)
    if message.HasField("recheck_interval"):
        recheck_s = seconds_of(message.recheck_interval, "recheck_interval", found)
    if timeout_ms is None:
        timeout_ms = min(DEFAULT_TIMEOUT_MS, max(interval_s, 1) * 1000)
    if recheck_s is None:
        recheck_s = min(max(DEFAULT_RECHECK_INTERVAL_S, limits.min_interval_s), interval_s)
    return MonitorSpec(
        name=message.name,
        check=_read_check(message, found),
        labels=dict(message.labels),
        interval_s=interval_s,
        timeout_ms=timeout_ms,
        failure_threshold=message.failure_threshold or DEFAULT_FAILURE_THRESHOLD,
        success_threshold=message.success_threshold or DEFAULT_SUCCESS_THRESHOLD,
        recheck_interval_s=recheck_s,
        active=message.active if message.HasField("active") else True,
    )


def _read_check(message: pb.Monitor, found: list[Violation]) -> HttpCheck:
    if message.WhichOneof("kind") is None:
        found.append(Violation("http", "must be set: it is what is checked, such as {url: 'https://example.org/'}"))
        return _NO_CHECK
    return _read_http(message.http, found)


def _read_interval_s(message: pb.Monitor, limits: Limits, found: list[Violation]) -> int:
    interval_s = seconds_of(message.interval, "interval", found) if message.HasField("interval") else None
    return max(DEFAULT_INTERVAL_S, limits.min_interval_s) if interval_s is None else interval_s


def _read_http(http: pb.HttpCheck, found: list[Violation]) -> HttpCheck:
    return HttpCheck(
        url=http.url,
        method=http.method or "GET",
        headers=tuple(Header(one.name, one.value, one.secret) for one in http.headers),
        body=http.body,
        accepted_status=_read_status_codes(http, found),
        keyword=http.keyword,
        keyword_absent=http.keyword_absent,
        follow_redirects=_read_enum(_FOLLOW, pb.RedirectPolicy, http.redirect_policy, "http.redirect_policy", found),
        max_redirects=http.max_redirects or DEFAULT_MAX_REDIRECTS,
        expected_latency_ms=_read_expected_latency_ms(http, found),
        verify_tls=_read_enum(_VERIFY, pb.TlsVerification, http.tls_verification, "http.tls_verification", found),
        address_family=_read_enum(_FAMILIES, pb.AddressFamily, http.address_family, "http.address_family", found),
    )


def _read_expected_latency_ms(http: pb.HttpCheck, found: list[Violation]) -> int:
    if not http.HasField("expected_latency"):
        return 0
    millis = millis_of(http.expected_latency, "http.expected_latency", found)
    if millis == 0:
        found.append(Violation("http.expected_latency", "must be more than 0; leave it out for no expectation"))
    return millis or 0


def _read_status_codes(http: pb.HttpCheck, found: list[Violation]) -> tuple[StatusRange, ...]:
    texts = http.accepted_status_codes
    if len(texts) > MAX_STATUS_RANGES:
        found.append(Violation("http.accepted_status_codes", f"must be at most {MAX_STATUS_RANGES}, not {len(texts)}"))
        return DEFAULT_STATUS
    ranges = []
    for index, text in enumerate(texts):
        match = _STATUS_RANGE.fullmatch(text)
        if match is None:
            found.append(
                Violation(
                    f"http.accepted_status_codes[{index}]",
                    f"must be a number such as 404 or a range such as 200-299, not {quoted(text)}",
                )
            )
        else:
            first = int(match[1])
            ranges.append(StatusRange(first, int(match[2]) if match[2] else first))
    return tuple(ranges) or DEFAULT_STATUS


def _read_enum(table: Mapping[int, T], kind: Any, number: int, field: str, found: list[Violation]) -> T:
    value = table.get(number)
    if value is None:
        names = ", ".join(kind.Name(known) for known in table if known)
        found.append(Violation(field, f"must be one of {names}, not {number}"))
        return table[0]
    return value


def monitor_pb(view: MonitorView) -> pb.Monitor:
    """Return a monitor as its owner sees it."""
    monitor, health = view.monitor, view.health
    message = spec_pb(monitor.spec)
    message.id = monitor.id
    message.status = health.status  # type: ignore[assignment]  # the same numbers; a test holds them together
    message.status_time.CopyFrom(timestamp_pb(health.since))
    if view.last is not None:
        message.last_check.CopyFrom(check_log_pb(view.last))
    message.create_time.CopyFrom(timestamp_pb(monitor.created_at))
    message.update_time.CopyFrom(timestamp_pb(monitor.updated_at))
    message.etag = etag_of(monitor)
    return message


def mask_path(field: str) -> str:
    """Return the path of an update mask for a field of ``MonitorSpec``, or one of the check's such as ``check.url``."""
    outer, dot, inner = field.partition(".")
    return _PATHS.get(outer, outer) + dot + _PATHS.get(inner, inner)


def etag_of(monitor: Monitor) -> str:
    """Return what changes with every change to what a user decides."""
    return f"v{monitor.version}"


def version_of(etag: str) -> int | None:
    """Return the version that an etag stands for: None for the empty one, and 0, which no monitor has, for others."""
    if not etag:
        return None
    match = _ETAG.fullmatch(etag)
    return int(match[1]) if match else 0


def spec_pb(spec: MonitorSpec) -> pb.Monitor:
    """Return what a user decided about a monitor, without the values of its secret headers (T15)."""
    return pb.Monitor(
        name=spec.name,
        labels=spec.labels,
        interval=Duration(seconds=spec.interval_s),
        timeout=millis_pb(spec.timeout_ms),
        failure_threshold=spec.failure_threshold,
        success_threshold=spec.success_threshold,
        recheck_interval=Duration(seconds=spec.recheck_interval_s),
        active=spec.active,
        http=_http_pb(spec.check),
    )


def _http_pb(check: HttpCheck) -> pb.HttpCheck:
    return pb.HttpCheck(
        url=check.url,
        method=check.method,
        headers=[
            pb.HttpHeader(name=one.name, value="" if one.secret else one.value, secret=one.secret)
            for one in check.headers
        ],
        body=check.body,
        accepted_status_codes=[
            str(codes.first) if codes.first == codes.last else f"{codes.first}-{codes.last}"
            for codes in check.accepted_status
        ],
        keyword=check.keyword,
        keyword_absent=check.keyword_absent,
        redirect_policy=pb.REDIRECT_POLICY_FOLLOW if check.follow_redirects else pb.REDIRECT_POLICY_NONE,
        max_redirects=check.max_redirects,
        expected_latency=millis_pb(check.expected_latency_ms) if check.expected_latency_ms else None,
        tls_verification=pb.TLS_VERIFICATION_FULL if check.verify_tls else pb.TLS_VERIFICATION_NONE,
        address_family=_FAMILIES_PB[check.address_family],
    )
