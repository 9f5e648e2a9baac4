"""Prometheus' view of the instruments, except for the series of single monitors (``series``)."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from monitord.domain.check import Verdict
from monitord.domain.health import Status
from monitord.metrics.histogram import Histogram
from monitord.metrics.instruments import Gauges, Instruments


class InstrumentsCollector(Collector):
    """Makes metric families of the instruments' numbers at each scrape."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def describe(self) -> Iterator[Metric]:
        """Describe nothing ahead: the names are known to be unique (a test parses the whole exposition)."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        now = self._instruments
        yield from self._checks()
        yield _histogram("monitord_schedule_lag_seconds", "How late scheduled checks began.", now.lateness)
        yield _histogram("monitord_loop_lag_seconds", "How late the event loop fired a timer.", now.loop_lag)
        yield _histogram("monitord_log_batch_seconds", "Duration of the transactions of the log writer.", now.batches)
        yield _counter("monitord_log_rows_total", "Rows committed to the check log.", now.log_rows)
        yield _counter("monitord_actor_restarts_total", "Crashes of monitors' tasks.", now.restarts)
        yield self._deliveries()
        yield _histogram("monitord_alert_dwell_seconds", "From a change to its alert's acceptance.", now.dwell)
        yield self._rpcs()
        yield self._monitors()
        if now.gauges is not None:
            yield from _gauges(now.gauges)

    def _checks(self) -> Iterator[Metric]:
        checks = CounterMetricFamily("monitord_checks_total", "Checks made.", labels=("type", "verdict"))
        seconds = HistogramMetricFamily("monitord_check_duration_seconds", "Duration of checks.", labels=("type",))
        for kind, totals in self._instruments.kinds:
            for verdict in Verdict:
                checks.add_metric((kind, verdict.name.lower()), totals.verdicts[verdict])
            seconds.add_metric((kind,), totals.seconds.cumulative(), totals.seconds.sum)
        yield checks
        yield seconds

    def _deliveries(self) -> Metric:
        family = CounterMetricFamily(
            "monitord_deliveries_total", "Attempts to deliver an alert.", labels=("channel", "outcome")
        )
        for labels, count in self._instruments.deliveries:
            family.add_metric(labels, count)
        return family

    def _rpcs(self) -> Metric:
        family = HistogramMetricFamily("monitord_rpc_seconds", "Duration of gRPC calls.", labels=("method", "code"))
        for labels, histogram in self._instruments.rpcs:
            family.add_metric(labels, histogram.cumulative(), histogram.sum)
        return family

    def _monitors(self) -> Metric:
        family = GaugeMetricFamily("monitord_monitors", "Monitors by status.", labels=("status",))
        gauges = self._instruments.gauges
        for status, count in self._instruments.statuses.items():
            if status is not Status.PAUSED:
                family.add_metric((status.name.lower(),), count)
            # A paused monitor does not run, so it has to be counted elsewhere.
            elif gauges is not None and (paused := gauges.paused_monitors()) is not None:
                family.add_metric(("paused",), paused)
        return family


def _gauges(gauges: Gauges) -> Iterator[Metric]:
    for name, documentation, value in (
        ("monitord_checks_in_flight", "Checks that run now.", gauges.in_flight()),
        ("monitord_monitors_overdue", "Monitors whose check should have begun over a second ago.", gauges.overdue()),
        ("monitord_spool_rows", "Results held in memory until they can be committed.", gauges.spool_rows()),
        ("monitord_slots_uncovered", "Past slots with neither a result, a gap nor a pause.", gauges.slots_uncovered()),
        ("monitord_outbox_pending", "Alerts not yet delivered or given up.", gauges.outbox_pending()),
        ("monitord_outbox_oldest_seconds", "Age of the oldest of them.", gauges.outbox_oldest_s()),
        ("monitord_tail_streams", "Open tails of the check log.", gauges.tail_streams()),
        ("monitord_network_up", "Whether the anchors could be reached when last asked.", gauges.network_up()),
    ):
        family = GaugeMetricFamily(name, documentation)
        if value is not None:
            family.add_metric((), value)
        yield family


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(name, documentation, value=value)


def _histogram(name: str, documentation: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, documentation, buckets=histogram.cumulative(), sum_value=histogram.sum)
