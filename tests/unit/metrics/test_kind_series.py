"""What each kind of check tells Prometheus, under which names; and nothing that belongs to another kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitord.domain.check import Category, Phases, Verdict
from monitord.domain.kinds import (
    Check,
    DnsCheck,
    GroupCheck,
    GrpcCheck,
    HeartbeatCheck,
    HttpCheck,
    IcmpCheck,
    MysqlCheck,
    PostgresCheck,
    RedisCheck,
    TcpCheck,
    TlsCheck,
    WebsocketCheck,
)
from monitord.metrics.instruments import Instruments
from monitord.metrics.series import render
from monitord.metrics.watched import MAX_MEASUREMENTS
from tests.unit.metrics.samples import PHASES, assignment, result

CHECKS: dict[str, Check] = {
    "http": HttpCheck(url="https://example.org/"),
    "tcp": TcpCheck(host="example.org", port=25),
    "tls": TlsCheck(host="example.org"),
    "icmp": IcmpCheck(host="example.org"),
    "dns": DnsCheck(name="example.org"),
    "grpc": GrpcCheck(host="example.org", port=50051),
    "websocket": WebsocketCheck(url="wss://example.org/"),
    "heartbeat": HeartbeatCheck(period_s=60),
    "group": GroupCheck(monitor_ids=(1,)),
    "postgres": PostgresCheck(host="db.example", port=5432),
    "mysql": MysqlCheck(host="db.example", port=3306),
    "redis": RedisCheck(host="db.example", port=6379),
}
GENERAL = {"monitord_monitor_info", "probe_success", "probe_duration_seconds"}

Samples = dict[tuple[str, ...], float]


def series(check: Check, verdict: Verdict = Verdict.UP, *, openmetrics: bool = False, **seen: object) -> Samples:
    """Return the samples of one monitor, by their names and the values of their further labels."""
    instruments = Instruments()
    instruments.adopt(assignment(7, check=check))
    instruments.observe(result(7, verdict, **seen))  # type: ignore[arg-type]
    return parsed("".join(render(instruments.watched, openmetrics=openmetrics)), openmetrics=openmetrics)


def parsed(text: str, *, openmetrics: bool = False) -> Samples:
    families = parse_openmetrics(text + "# EOF\n") if openmetrics else parse_text(text)
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            labels = dict(sample.labels)
            del labels["monitor_id"]
            if sample.name == "monitord_monitor_info":
                labels = {}
            key = (sample.name, *labels.values())
            assert key not in found
            found[key] = sample.value
    return found


def bare(check: Check, verdict: Verdict = Verdict.UP, **seen: object) -> Samples:
    """Return what is told of a check that saw nothing more than ``seen``."""
    nothing: dict[str, object] = {"status_code": None, "expires_at": None, "address": None, "phases": Phases()}
    return series(check, verdict, **(nothing | seen))


def without_general(samples: Samples) -> Samples:
    return {key: value for key, value in samples.items() if key[0] not in GENERAL}


@pytest.mark.parametrize("kind", CHECKS)
def test_a_kind_has_its_own_series_and_no_others(kind: str) -> None:
    names = {key[0] for key in series(CHECKS[kind], address=None, expires_at=None)}
    of_kind = {
        "http": {
            "probe_http_duration_seconds",
            "probe_http_status_code",
            "probe_http_redirects",
            "probe_http_ssl",
            "probe_http_version",
            "probe_failed_due_to_regex",
        },
        "tcp": {"probe_failed_due_to_regex"},
        "icmp": {"probe_icmp_duration_seconds"},
        "dns": {"probe_dns_duration_seconds", "probe_dns_query_succeeded"},
        "grpc": {"probe_grpc_duration_seconds", "probe_grpc_healthcheck_response", "probe_grpc_ssl"},
    }.get(kind, set())
    looked_up = set() if kind in ("heartbeat", "group") else {"probe_dns_lookup_time_seconds"}
    assert names == GENERAL | looked_up | of_kind


@pytest.mark.parametrize("kind", CHECKS)
@pytest.mark.parametrize("openmetrics", [False, True])
def test_nothing_is_told_of_a_target_by_a_check_that_says_nothing_of_it(kind: str, openmetrics: bool) -> None:
    for verdict in (Verdict.INCONCLUSIVE, Verdict.BLOCKED):
        seen = series(CHECKS[kind], verdict, openmetrics=openmetrics, measurements={"tls.version": 1.3})
        assert set(seen) == {("monitord_monitor_info",)}


def test_http() -> None:
    seen = bare(
        CHECKS["http"],
        status_code=204,
        phases=PHASES,
        redirects=3,
        ssl_ok=True,
        measurements={"http.version": 2.0, "tls.version": 1.2},
    )
    assert without_general(seen) == {
        ("probe_dns_lookup_time_seconds",): 0.001,
        ("probe_http_duration_seconds", "resolve"): 0.001,
        ("probe_http_duration_seconds", "connect"): 0.002,
        ("probe_http_duration_seconds", "tls"): 0.003,
        ("probe_http_duration_seconds", "processing"): 0.004,
        ("probe_http_duration_seconds", "transfer"): 0.005,
        ("probe_http_status_code",): 204,
        ("probe_http_redirects",): 3,
        ("probe_http_ssl",): 1,
        ("probe_http_version",): 2,
        ("probe_failed_due_to_regex",): 0,
        ("probe_tls_version_info", "TLS 1.2"): 1,
    }
    plain = bare(CHECKS["http"], status_code=200)
    assert (plain["probe_http_ssl",], plain["probe_http_version",]) == (0, 1.1)
    # A handshake that failed is none, and without an answer there is no version.
    failed = bare(CHECKS["http"], Verdict.DOWN, ssl_ok=False)
    assert (failed["probe_http_ssl",], failed["probe_http_version",], failed["probe_success",]) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_regular_expressions(kind: str) -> None:
    for category, expected in ((Category.ASSERT_REGEX, 1), (Category.ASSERT_KEYWORD, 0), (None, 0)):
        seen = bare(CHECKS[kind], Verdict.DOWN, category=category)
        assert seen["probe_failed_due_to_regex",] == expected


@pytest.mark.parametrize("kind", CHECKS)
@pytest.mark.parametrize("openmetrics", [False, True])
def test_tls_of_any_kind(kind: str, openmetrics: bool) -> None:
    seen = series(CHECKS[kind], openmetrics=openmetrics, measurements={"tls.version": 1.3})
    assert seen["probe_tls_version_info", "TLS 1.3"] == 1
    assert seen["probe_ssl_earliest_cert_expiry",] == 1_893_456_000


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1:443", 4),
        ("[2001:db8::1]:443", 6),
        ("192.0.2.1", 4),
        ("2001:db8::1", 6),
        ("[::1]:0", 6),
        (None, None),
    ],
)
def test_which_ip(address: str | None, expected: int | None) -> None:
    assert bare(CHECKS["tcp"], address=address).get(("probe_ip_protocol",)) == expected


def test_icmp() -> None:
    seen = bare(
        CHECKS["icmp"],
        phases=Phases(dns=1, ttfb=12.5),
        measurements={
            "icmp.loss_ratio": 1 / 3,
            "icmp.rtt_min_ms": 10.0,
            "icmp.rtt_avg_ms": 12.5,
            "icmp.rtt_max_ms": 15.0,
            "icmp.jitter_ms": 2.5,
            "icmp.hop_limit": 57.0,
        },
    )
    assert without_general(seen) == {
        ("probe_dns_lookup_time_seconds",): 0.001,
        ("probe_icmp_duration_seconds", "resolve"): 0.001,
        ("probe_icmp_duration_seconds", "setup"): 0,
        ("probe_icmp_duration_seconds", "rtt"): 0.0125,
        ("probe_icmp_reply_hop_limit",): 57,
        ("probe_icmp_loss_ratio",): 0.333333,
        ("probe_icmp_rtt_seconds", "min"): 0.01,
        ("probe_icmp_rtt_seconds", "avg"): 0.0125,
        ("probe_icmp_rtt_seconds", "max"): 0.015,
        ("probe_icmp_rtt_seconds", "jitter"): 0.0025,
    }
    lost = bare(CHECKS["icmp"], Verdict.DOWN, measurements={"icmp.loss_ratio": 1.0})
    assert lost["probe_icmp_loss_ratio",] == 1
    assert not any(key[0] == "probe_icmp_rtt_seconds" for key in lost), "nothing came back: there is no time to tell"


def test_dns() -> None:
    figures = {
        "dns.answers": 2.0,
        "dns.authorities": 1.0,
        "dns.additionals": 3.0,
        "dns.serial": 4_294_967_295.0,
        "dns.rcode": 0.0,
    }
    seen = bare(CHECKS["dns"], phases=Phases(dns=1, connect=2, ttfb=3), measurements=figures)
    assert without_general(seen) == {
        ("probe_dns_lookup_time_seconds",): 0.001,
        ("probe_dns_duration_seconds", "resolve"): 0.001,
        ("probe_dns_duration_seconds", "connect"): 0.002,
        ("probe_dns_duration_seconds", "request"): 0.003,
        ("probe_dns_answer_rrs",): 2,
        ("probe_dns_authority_rrs",): 1,
        ("probe_dns_additional_rrs",): 3,
        ("probe_dns_query_succeeded",): 1,
        ("probe_dns_serial",): 4_294_967_295,
    }
    assert bare(CHECKS["dns"], Verdict.DOWN)["probe_dns_query_succeeded",] == 0


def test_grpc() -> None:
    figures = {"grpc.status_code": 0.0, "grpc.serving_status": 2.0, "tls.version": 1.3}
    seen = bare(CHECKS["grpc"], Verdict.DOWN, phases=PHASES, ssl_ok=True, measurements=figures)
    assert without_general(seen) == {
        ("probe_dns_lookup_time_seconds",): 0.001,
        ("probe_tls_version_info", "TLS 1.3"): 1,
        ("probe_grpc_duration_seconds", "resolve"): 0.001,
        ("probe_grpc_duration_seconds", "connect"): 0.002,
        ("probe_grpc_duration_seconds", "tls"): 0.003,
        ("probe_grpc_duration_seconds", "check"): 0.009,
        ("probe_grpc_status_code",): 0,
        ("probe_grpc_healthcheck_response", "UNKNOWN"): 0,
        ("probe_grpc_healthcheck_response", "SERVING"): 0,
        ("probe_grpc_healthcheck_response", "NOT_SERVING"): 1,
        ("probe_grpc_healthcheck_response", "SERVICE_UNKNOWN"): 0,
        ("probe_grpc_ssl",): 1,
    }
    silent = bare(CHECKS["grpc"], Verdict.DOWN)
    assert ("probe_grpc_status_code",) not in silent, "0 would be OK"
    assert sum(value for key, value in silent.items() if key[0] == "probe_grpc_healthcheck_response") == 0


def test_heartbeat() -> None:
    figures = {"heartbeat.age_ms": 61_500.0, "heartbeat.duration_ms": 1_250.0}
    assert without_general(bare(CHECKS["heartbeat"], measurements=figures)) == {
        ("monitord_heartbeat_age_seconds",): 61.5,
        ("monitord_heartbeat_duration_seconds",): 1.25,
    }


def test_group() -> None:
    figures = {"group.members": 5.0, "group.up": 3.0, "group.down": 1.0}
    assert without_general(bare(CHECKS["group"], measurements=figures)) == {
        ("monitord_group_members",): 5.0,
        ("monitord_group_members_up",): 3.0,
        ("monitord_group_members_down",): 1.0,
    }


def crowd(each: int, **seen: object) -> Instruments:
    instruments = Instruments()
    for index, check in enumerate(list(CHECKS.values()) * each):
        instruments.adopt(assignment(index, check=check))
        instruments.observe(result(index, **seen))  # type: ignore[arg-type]
    return instruments


@pytest.mark.parametrize("openmetrics", [False, True])
def test_all_kinds_together_have_each_family_once_in_bounded_chunks(openmetrics: bool) -> None:
    figures = dict.fromkeys(
        ("icmp.loss_ratio", "dns.answers", "grpc.status_code", "heartbeat.age_ms", "tls.version"), 1.0
    )
    chunks = list(render(crowd(300, measurements=figures).watched, openmetrics=openmetrics))
    text = "".join(chunks)
    assert max(chunk.count("\n") for chunk in chunks) <= 250 * 5
    assert all(chunk.endswith("\n") for chunk in chunks)
    families = list(parse_openmetrics(text + "# EOF\n") if openmetrics else parse_text(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert all(family.documentation for family in families)
    sizes = {family.name: len({sample.labels["monitor_id"] for sample in family.samples}) for family in families}
    assert sizes["probe_icmp_loss_ratio"] == 300
    assert sizes["probe_failed_due_to_regex"] == 600
    assert sizes["probe_success"] == 300 * len(CHECKS)


def test_without_monitors_of_a_kind_its_families_are_not_there() -> None:
    text = "".join(render([], openmetrics=False))
    assert "probe_success" in text
    for name in ("probe_http", "probe_icmp", "probe_dns", "probe_grpc", "heartbeat"):
        assert name not in text


def test_a_new_result_replaces_all_of_the_old_one_and_is_bounded() -> None:
    instruments = Instruments()
    instruments.adopt(assignment(7))
    many = {f"x.{number}": 1.0 for number in range(MAX_MEASUREMENTS + 10)}
    instruments.observe(result(7, redirects=2, ssl_ok=True, category=Category.ASSERT_REGEX, measurements=many))
    (one,) = instruments.watched
    assert len(one.measurements) == MAX_MEASUREMENTS
    instruments.observe(result(7, address=None, expires_at=None, status_code=None))
    assert (one.redirects, one.ssl_ok, one.category, one.ip_version, dict(one.measurements)) == (0, None, None, 0, {})


@given(
    figures=st.dictionaries(
        st.sampled_from(["tls.version", "http.version", "icmp.loss_ratio", "icmp.jitter_ms", "dns.serial", "x"]),
        st.floats(0, 1e12),
    ),
    kind=st.sampled_from(sorted(CHECKS)),
    openmetrics=st.booleans(),
)
def test_no_figure_breaks_the_exposition(figures: dict[str, float], kind: str, openmetrics: bool) -> None:
    series(CHECKS[kind], openmetrics=openmetrics, measurements=figures)
