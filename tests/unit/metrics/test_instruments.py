import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from monitord.domain.check import Phases, Verdict
from monitord.domain.health import Health, Status
from monitord.metrics.exposition import Exposition
from monitord.metrics.histogram import Histogram
from monitord.metrics.instruments import MAX_RPC_SERIES, Gauges, Instruments
from tests.unit.metrics.samples import assignment, result

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def gauges(**known: float | None) -> Gauges:
    names = ("in_flight", "overdue", "spool_rows", "slots_uncovered", "outbox_pending", "outbox_oldest_s")
    values = dict.fromkeys((*names, "tail_streams", "paused_monitors", "network_up"), 0) | known
    return Gauges(**{name: (lambda value=value: value) for name, value in values.items()})


async def scrape(instruments: Instruments, *, per_monitor: bool = True) -> Samples:
    _, chunks = Exposition(instruments, per_monitor=per_monitor).scrape("")
    text = b"".join([chunk async for chunk in chunks]).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def at(name: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


async def test_a_check_is_counted_by_kind_and_verdict_and_shown_under_blackbox_exporters_names():
    instruments = Instruments()
    instruments.adopt(assignment(7, name='a "quoted"\nname\\', url="https://example.org/p?token=hunter2"))
    instruments.observe(result(7, Verdict.DEGRADED))
    seen = await scrape(instruments)
    assert seen[at("monitord_checks_total", type="http", verdict="degraded")] == 1
    assert seen[at("monitord_checks_total", type="http", verdict="down")] == 0
    assert seen[at("monitord_check_duration_seconds_sum", type="http")] == pytest.approx(0.123456)
    assert seen[at("probe_success", monitor_id="7")] == 1
    assert seen[at("probe_duration_seconds", monitor_id="7")] == 0.123456
    assert seen[at("probe_http_status_code", monitor_id="7")] == 200
    assert seen[at("probe_ssl_earliest_cert_expiry", monitor_id="7")] == 1_893_456_000
    phases = ("resolve", "connect", "tls", "processing", "transfer")
    assert [seen[at("probe_http_duration_seconds", monitor_id="7", phase=phase)] for phase in phases] == [
        0.001,
        0.002,
        0.003,
        0.004,
        0.005,
    ]
    info = at(
        "monitord_monitor_info",
        monitor_id="7",
        name='a "quoted"\nname\\',
        type="http",
        target="https://example.org/p",
    )
    assert seen[info] == 1


async def test_a_down_target_without_an_answer():
    instruments = Instruments()
    instruments.adopt(assignment())
    instruments.observe(result(verdict=Verdict.DOWN, phases=Phases(dns=1.5), status_code=None, expires_at=None))
    seen = await scrape(instruments)
    assert seen[at("probe_success", monitor_id="1")] == 0
    assert seen[at("probe_http_status_code", monitor_id="1")] == 0
    assert seen[at("probe_http_duration_seconds", monitor_id="1", phase="resolve")] == 0.0015
    assert seen[at("probe_http_duration_seconds", monitor_id="1", phase="transfer")] == 0
    assert at("probe_ssl_earliest_cert_expiry", monitor_id="1") not in seen


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.BLOCKED])
async def test_a_failure_of_our_own_says_nothing_of_the_target(verdict):
    """I9: a rule on `probe_success == 0` must not fire, and an old success must not be shown as new."""
    instruments = Instruments()
    instruments.adopt(assignment())
    instruments.observe(result())
    instruments.observe(result(verdict=verdict))
    seen = await scrape(instruments)
    assert at("probe_success", monitor_id="1") not in seen
    assert seen[at("monitord_checks_total", type="http", verdict=verdict.name.lower())] == 1


async def test_series_of_a_deleted_monitor_go_at_once_and_a_late_result_does_not_bring_them_back():
    instruments = Instruments()
    instruments.adopt(assignment(1))
    instruments.adopt(assignment(2))
    instruments.observe(result(1))
    instruments.observe(result(2))
    instruments.forget(1)
    instruments.forget(1)
    instruments.observe(result(1))
    seen = await scrape(instruments)
    assert {value for _, labels in seen for name, value in labels if name == "monitor_id"} == {"2"}
    assert seen[at("monitord_checks_total", type="unknown", verdict="up")] == 1
    assert seen[at("monitord_monitors", status="up")] == 1


async def test_what_an_older_configuration_saw_is_not_shown_of_the_new_one():
    instruments = Instruments()
    instruments.adopt(assignment(version=1))
    instruments.observe(result(version=1))
    instruments.adopt(assignment(version=2))
    instruments.observe(result(version=1))
    assert at("probe_success", monitor_id="1") not in await scrape(instruments)
    instruments.observe(result(version=2))
    assert at("probe_success", monitor_id="1") in await scrape(instruments)


async def test_per_monitor_series_can_be_switched_off():
    instruments = Instruments()
    instruments.adopt(assignment())
    instruments.observe(result())
    seen = await scrape(instruments, per_monitor=False)
    assert not [name for name, labels in seen if "monitor_id" in dict(labels)]
    assert seen[at("monitord_checks_total", type="http", verdict="up")] == 1


async def test_monitors_are_counted_by_status():
    instruments = Instruments()
    instruments.attach(gauges(paused_monitors=4))
    for monitor_id in (1, 2, 3):
        instruments.adopt(assignment(monitor_id, status=Status.PENDING))
    instruments.settled(1, Health(status=Status.UP, judged=Status.UP))
    instruments.settled(2, Health(status=Status.DOWN, judged=Status.DOWN))
    instruments.settled(99, Health(status=Status.DOWN, judged=Status.DOWN))
    instruments.forget(3)
    seen = await scrape(instruments)
    counts = {status: seen[at("monitord_monitors", status=status.name.lower())] for status in Status}
    assert {status: count for status, count in counts.items() if count} == {
        Status.UP: 1,
        Status.DOWN: 1,
        Status.PAUSED: 4,
    }


async def test_what_others_know_is_asked_for_at_each_scrape_and_absent_when_not_known():
    instruments = Instruments()
    assert at("monitord_spool_rows") not in await scrape(instruments)
    instruments = Instruments()
    instruments.attach(gauges(spool_rows=3, outbox_pending=None))
    seen = await scrape(instruments)
    assert seen[at("monitord_spool_rows")] == 3
    assert at("monitord_outbox_pending") not in seen


async def test_every_name_of_the_convention_is_there():
    instruments = Instruments()
    instruments.attach(gauges())
    instruments.adopt(assignment())
    instruments.observe(result())
    instruments.lag(0.003)
    instruments.restarted()
    instruments.batch(500, 0.02)
    instruments.rpc("/monitord.v1.MonitorService/GetMonitor", "OK", 0.01)
    instruments.loop_lag.observe(0.001)
    seen = await scrape(instruments)
    names = {name for name, _ in seen}
    assert names >= {
        "monitord_checks_total",
        "monitord_check_duration_seconds_bucket",
        "monitord_checks_in_flight",
        "monitord_schedule_lag_seconds_bucket",
        "monitord_monitors",
        "monitord_monitors_overdue",
        "monitord_slots_uncovered",
        "monitord_actor_restarts_total",
        "monitord_spool_rows",
        "monitord_log_batch_seconds_bucket",
        "monitord_log_rows_total",
        "monitord_outbox_pending",
        "monitord_outbox_oldest_seconds",
        "monitord_tail_streams",
        "monitord_rpc_seconds_bucket",
        "monitord_loop_lag_seconds_bucket",
        "process_resident_memory_bytes",
        "python_gc_collections_total",
        "python_info",
    }
    assert seen[at("monitord_log_rows_total")] == 500
    assert seen[at("monitord_actor_restarts_total")] == 1
    call = {"method": "/monitord.v1.MonitorService/GetMonitor", "code": "OK"}
    assert seen[at("monitord_rpc_seconds_count", **call)] == 1
    assert seen[at("monitord_schedule_lag_seconds_bucket", le="0.002")] == 0
    assert seen[at("monitord_schedule_lag_seconds_bucket", le="0.005")] == 1


async def test_invented_method_names_do_not_make_memory_grow():
    """T18"""
    instruments = Instruments()
    for n in range(MAX_RPC_SERIES + 100):
        instruments.rpc(f"/x/{n}", "UNIMPLEMENTED", 0.001)
    assert len(instruments.rpcs) <= MAX_RPC_SERIES + 1
    assert dict(instruments.rpcs)[("other", "UNIMPLEMENTED")].cumulative()[-1] == ("+Inf", 100)


@given(st.lists(st.floats(min_value=0, max_value=100), max_size=50))
def test_a_bucket_counts_the_values_that_are_at_most_its_bound(values):
    bounds = (0.1, 1, 10)
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    assert histogram.cumulative() == [
        *((str(float(bound)), sum(value <= bound for value in values)) for bound in bounds),
        ("+Inf", len(values)),
    ]
    assert histogram.sum == pytest.approx(sum(values))
