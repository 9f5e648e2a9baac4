"""The series that only some kinds of check have, under blackbox_exporter's names where it has any."""

from collections.abc import Sequence

from monitord.domain.check import Category
from monitord.domain.kinds import DnsCheck, GroupCheck, GrpcCheck, HeartbeatCheck, HttpCheck, IcmpCheck, TcpCheck
from monitord.metrics.family import Family, measured, phases
from monitord.metrics.watched import Watched

_HTTP = (HttpCheck,)
_HTTP_AND_TCP = (HttpCheck, TcpCheck)
_ICMP = (IcmpCheck,)
_DNS = (DnsCheck,)
_GRPC = (GrpcCheck,)
_HEARTBEAT = (HeartbeatCheck,)
_GROUP = (GroupCheck,)
_UNDIALLED = (HeartbeatCheck, GroupCheck)


def _lookup(some: Sequence[Watched]) -> str:
    return "".join(
        [
            f"probe_dns_lookup_time_seconds{each.label}}} {(each.phases.dns or 0) / 1000:.6f}\n"
            for each in some
            if each.is_conclusive
        ]
    )


# HTTP, which is most of the monitors: written out, as each call counts.


def _http_phases(some: Sequence[Watched]) -> str:
    # A phase that did not happen is 0, as in blackbox_exporter: its dashboards add them up.
    return "".join(
        [
            f'{(head := f"probe_http_duration_seconds{each.label},phase=")}"resolve"}} {(took.dns or 0) / 1000:.6f}\n'
            f'{head}"connect"}} {(took.connect or 0) / 1000:.6f}\n'
            f'{head}"tls"}} {(took.tls or 0) / 1000:.6f}\n'
            f'{head}"processing"}} {(took.ttfb or 0) / 1000:.6f}\n'
            f'{head}"transfer"}} {(took.transfer or 0) / 1000:.6f}\n'
            for each in some
            if each.is_conclusive and (took := each.phases)
        ]
    )


def _status_code(some: Sequence[Watched]) -> str:
    return "".join(
        [f"probe_http_status_code{each.label}}} {each.status_code or 0}\n" for each in some if each.is_conclusive]
    )


def _redirects(some: Sequence[Watched]) -> str:
    return "".join([f"probe_http_redirects{each.label}}} {each.redirects}\n" for each in some if each.is_conclusive])


def _http_ssl(some: Sequence[Watched]) -> str:
    return "".join([f"probe_http_ssl{each.label}}} {each.ssl_ok or 0:d}\n" for each in some if each.is_conclusive])


def _http_version(some: Sequence[Watched]) -> str:
    return "".join(
        [
            f"probe_http_version{each.label}}} "
            f"{each.measurements.get('http.version', 1.1) if each.status_code is not None else 0:g}\n"
            for each in some
            if each.is_conclusive
        ]
    )


def _regex(some: Sequence[Watched]) -> str:
    regex = Category.ASSERT_REGEX
    return "".join(
        [
            f"probe_failed_due_to_regex{each.label}}} {1 if each.category is regex else 0}\n"
            for each in some
            if each.is_conclusive
        ]
    )


# The others


_ROUND_TRIPS = (
    ("min", "icmp.rtt_min_ms"),
    ("avg", "icmp.rtt_avg_ms"),
    ("max", "icmp.rtt_max_ms"),
    ("jitter", "icmp.jitter_ms"),
)


def _round_trips(some: Sequence[Watched]) -> str:
    return "".join(
        f'probe_icmp_rtt_seconds{each.label},stat="{stat}"}} {took_ms / 1000:.6f}\n'
        for each in some
        if each.is_conclusive
        for stat, figure in _ROUND_TRIPS
        if (took_ms := each.measurements.get(figure)) is not None
    )


def _query_succeeded(some: Sequence[Watched]) -> str:
    return "".join(
        f"probe_dns_query_succeeded{each.label}}} {'dns.rcode' in each.measurements:d}\n"
        for each in some
        if each.is_conclusive
    )


_SERVING = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
"""By their numbers in grpc.health.v1."""


def _serving(some: Sequence[Watched]) -> str:
    return "".join(
        f'probe_grpc_healthcheck_response{each.label},serving_status="{status}"}} '
        f"{each.measurements.get('grpc.serving_status') == number:d}\n"
        for each in some
        if each.is_conclusive
        for number, status in enumerate(_SERVING)
    )


def _grpc_ssl(some: Sequence[Watched]) -> str:
    return "".join(f"probe_grpc_ssl{each.label}}} {each.ssl_ok or 0:d}\n" for each in some if each.is_conclusive)


def _measured(name: str, documentation: str, figure: str, kinds: tuple[type, ...], form: str = ".0f") -> Family:
    return Family(name, documentation, measured(name, figure, form), kinds)


def _of_millis(name: str, documentation: str, figure: str, kinds: tuple[type, ...]) -> Family:
    return Family(name, documentation, measured(name, figure, ".6f", 0.001), kinds)


def _phased(name: str, kinds: tuple[type, ...], *parts: tuple[str, tuple[str, ...]]) -> Family:
    return Family(name, "How long each phase of the newest check took.", phases(name, *parts), kinds)


FAMILIES = (
    Family("probe_dns_lookup_time_seconds", "How long the target's name took to resolve.", _lookup, but=_UNDIALLED),
    Family("probe_http_duration_seconds", "How long each phase of the newest check took.", _http_phases, _HTTP),
    Family("probe_http_status_code", "The status code of the newest answer; 0 without one.", _status_code, _HTTP),
    Family("probe_http_redirects", "How many redirects were followed.", _redirects, _HTTP),
    Family("probe_http_ssl", "Whether the last answer came over TLS.", _http_ssl, _HTTP),
    Family("probe_http_version", "The version of HTTP of the newest answer; 0 without one.", _http_version, _HTTP),
    Family("probe_failed_due_to_regex", "Whether a regular expression did not match.", _regex, _HTTP_AND_TCP),
    _phased("probe_icmp_duration_seconds", _ICMP, ("resolve", ("dns",)), ("setup", ("connect",)), ("rtt", ("ttfb",))),
    _measured("probe_icmp_reply_hop_limit", "The hop limit of the newest reply.", "icmp.hop_limit", _ICMP),
    _measured("probe_icmp_loss_ratio", "Which part went unanswered: 0 to 1.", "icmp.loss_ratio", _ICMP, ".6f"),
    Family("probe_icmp_rtt_seconds", "Round trips of the newest check, and their jitter.", _round_trips, _ICMP),
    _phased(
        "probe_dns_duration_seconds", _DNS, ("resolve", ("dns",)), ("connect", ("connect",)), ("request", ("ttfb",))
    ),
    _measured("probe_dns_answer_rrs", "Records in the section for answers.", "dns.answers", _DNS),
    _measured("probe_dns_authority_rrs", "Records in the section for authorities.", "dns.authorities", _DNS),
    _measured("probe_dns_additional_rrs", "Records in the additional section.", "dns.additionals", _DNS),
    Family("probe_dns_query_succeeded", "Whether the query was answered at all.", _query_succeeded, _DNS),
    _measured("probe_dns_serial", "The serial number of the zone, where the answer tells it.", "dns.serial", _DNS),
    _phased(
        "probe_grpc_duration_seconds",
        _GRPC,
        ("resolve", ("dns",)),
        ("connect", ("connect",)),
        ("tls", ("tls",)),
        ("check", ("ttfb", "transfer")),
    ),
    _measured("probe_grpc_status_code", "The status code of the newest call.", "grpc.status_code", _GRPC),
    Family("probe_grpc_healthcheck_response", "What the service says of its health.", _serving, _GRPC),
    Family("probe_grpc_ssl", "Whether the call was made over TLS.", _grpc_ssl, _GRPC),
    _of_millis(
        "monitord_heartbeat_age_seconds", "How long ago the job's last word came.", "heartbeat.age_ms", _HEARTBEAT
    ),
    _of_millis(
        "monitord_heartbeat_duration_seconds", "How long the job's last run took.", "heartbeat.duration_ms", _HEARTBEAT
    ),
    _measured(
        "monitord_group_members", "Members that are neither paused nor under maintenance.", "group.members", _GROUP
    ),
    _measured("monitord_group_members_up", "Those of them that are UP or DEGRADED.", "group.up", _GROUP),
    _measured("monitord_group_members_down", "Those of them that are DOWN or UNREACHABLE.", "group.down", _GROUP),
)
"""In the order in which they are shown."""
