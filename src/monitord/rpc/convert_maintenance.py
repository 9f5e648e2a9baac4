"""Maintenance windows: from messages to the domain and back."""

from collections.abc import Iterable, Iterator

from google.protobuf.duration_pb2 import Duration

from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.instant import SECOND, Instant
from monitord.domain.kinds.heartbeat import CronSchedule
from monitord.domain.maintenance import MaintenanceSpec, MaintenanceWindow, Once, Recurring, next_start, span_at
from monitord.domain.rules.maintenance import violations
from monitord.rpc.convert_time import bound_of, seconds_of, timestamp_pb
from monitord.rpc.field_mask import replace_field, written_paths
from monitord.rpc.kinds.heartbeat import DEFAULT_TIME_ZONE
from monitord.v1 import heartbeat_check_pb2
from monitord.v1 import maintenance_pb2 as pb

WRITABLE = ("name", "once", "recurring", "monitor_ids", "labels", "active")
"""Fields of a window that a user decides (T11)."""
OUTPUT_ONLY = frozenset({"id", "open", "next_start_time", "create_time", "update_time", "etag"})

_NO_SCHEDULE = Once(0, SECOND)


def read_window(message: pb.MaintenanceWindow, prefix: str = "window.") -> MaintenanceSpec:
    """Return what a message says a window shall be. Raises InvalidArgumentError with everything that is wrong."""
    found: list[Violation] = []
    spec = MaintenanceSpec(
        name=message.name,
        schedule=_read_schedule(message, found),
        monitor_ids=tuple(dict.fromkeys(message.monitor_ids)),
        labels=dict(message.labels),
        active=message.active if message.HasField("active") else True,
    )
    wrong = [Violation(prefix + one.field, one.description) for one in found]
    told = {one.field for one in wrong}
    wrong += [one for one in violations(spec, prefix) if one.field not in told]
    if wrong:
        raise InvalidArgumentError(wrong)
    return spec


def edited(stored: MaintenanceSpec, request: pb.MaintenanceWindow, paths: Iterable[str]) -> MaintenanceSpec:
    """Return ``stored`` with the fields that ``paths`` name replaced by those of the request."""
    merged = _spec_pb(stored)
    for path in paths:
        replace_field(merged, request, path)
    return read_window(merged)


def paths_of(request: pb.MaintenanceWindow, mask: Iterable[str]) -> list[str]:
    """Return which fields an update replaces; see ``field_mask.written_paths``."""
    return written_paths(request, mask, WRITABLE, "schedule")


def window_pb(window: MaintenanceWindow, now: Instant) -> pb.MaintenanceWindow:
    """Return a window as its owner sees it."""
    message = _spec_pb(window.spec)
    message.id = window.id
    message.open = span_at(window.spec, now).is_open
    opens_at = next_start(window.spec, now)
    if opens_at is not None:
        message.next_start_time.CopyFrom(timestamp_pb(opens_at))
    message.create_time.CopyFrom(timestamp_pb(window.created_at))
    message.update_time.CopyFrom(timestamp_pb(window.updated_at))
    message.etag = f"v{window.version}"
    return message


def _spec_pb(spec: MaintenanceSpec) -> pb.MaintenanceWindow:
    message = pb.MaintenanceWindow(name=spec.name, monitor_ids=spec.monitor_ids, labels=spec.labels, active=spec.active)
    match spec.schedule:
        case Once(start, end):
            message.once.CopyFrom(pb.OneTime(start_time=timestamp_pb(start), end_time=timestamp_pb(end)))
        case Recurring(cron, duration_s):
            message.recurring.CopyFrom(
                pb.RecurringTime(
                    cron=heartbeat_check_pb2.CronSchedule(expression=cron.expression, time_zone=cron.time_zone),
                    duration=Duration(seconds=duration_s),
                )
            )
    return message


def _read_schedule(message: pb.MaintenanceWindow, found: list[Violation]) -> Once | Recurring:
    match message.WhichOneof("schedule"):
        case "once":
            return _read_once(message.once, found)
        case "recurring":
            recurring = message.recurring
            seconds = seconds_of(recurring.duration, "recurring.duration", found)
            cron = CronSchedule(recurring.cron.expression, recurring.cron.time_zone or DEFAULT_TIME_ZONE)
            return Recurring(cron, seconds or 0)
        case _:
            found.append(Violation("once", "must be set, or recurring: when the window is open"))
            return _NO_SCHEDULE


def _read_once(once: pb.OneTime, found: list[Violation]) -> Once:
    missing = [field for field in ("start_time", "end_time") if not once.HasField(field)]
    if missing:
        found.extend(Violation(f"once.{field}", "must be set") for field in missing)
        return _NO_SCHEDULE
    start, end = _bounds(once, found)
    return Once(start, end)


def _bounds(once: pb.OneTime, found: list[Violation]) -> Iterator[Instant]:
    yield bound_of(once.start_time, "once.start_time", found)
    yield bound_of(once.end_time, "once.end_time", found)
