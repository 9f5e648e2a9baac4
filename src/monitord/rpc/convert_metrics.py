"""Figures of a monitor over a window of time."""

from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.instant import DAY, Instant
from monitord.domain.queries import MonitorMetrics
from monitord.rpc.convert_time import bound_of, duration_pb, timestamp_pb
from monitord.v1 import monitor_service_pb2 as pb

DEFAULT_WINDOW = DAY
MAX_WINDOW = 400 * DAY


def window_of(request: pb.GetMonitorMetricsRequest, now: Instant) -> tuple[Instant, Instant]:
    """Return the window [start, end) that is asked for, its future left out: nobody knows that yet.

    Raises InvalidArgumentError.
    """
    found: list[Violation] = []
    end = min(bound_of(request.end_time, "end_time", found), now) if request.HasField("end_time") else now
    start = (
        bound_of(request.start_time, "start_time", found) if request.HasField("start_time") else end - DEFAULT_WINDOW
    )
    if not found and start >= end:
        found.append(Violation("start_time", "must be earlier than end_time, and than now"))
    elif not found and end - start > MAX_WINDOW:
        found.append(Violation("start_time", "must be at most 400 days before end_time"))
    if found:
        raise InvalidArgumentError(found)
    return start, end


def metrics_pb(metrics: MonitorMetrics) -> pb.GetMonitorMetricsResponse:
    """Return the figures as a message."""
    time, times = metrics.time, metrics.response_times
    uptime = time.uptime
    return pb.GetMonitorMetricsResponse(
        start_time=timestamp_pb(metrics.start),
        end_time=timestamp_pb(metrics.end),
        uptime_percent=None if uptime is None else 100.0 * uptime,
        up_duration=duration_pb(time.up),
        degraded_duration=duration_pb(time.degraded),
        down_duration=duration_pb(time.down),
        unknown_duration=duration_pb(time.unknown),
        maintenance_duration=duration_pb(time.maintenance),
        paused_duration=duration_pb(time.paused),
        downtime_last_24h=duration_pb(metrics.downtime_last_24h),
        response_times=pb.ResponseTimes(average_ms=times.average, p50_ms=times.p50, p95_ms=times.p95, p99_ms=times.p99),
        check_count=metrics.check_count,
        down_check_count=metrics.down_check_count,
    )
