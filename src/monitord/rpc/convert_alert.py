"""Alerts and their history: from messages to the domain and back."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from monitord.domain.alert import AlertKind
from monitord.domain.alert_record import AlertQuery, AlertRecord, AlertState, AttemptRecord
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.instant import Instant, to_datetime
from monitord.rpc.convert_alert_settings import KINDS, NUMBERS
from monitord.rpc.convert_time import bound_of, timestamp_pb
from monitord.rpc.requests import read_enums, require_id
from monitord.v1 import alert_pb2 as pb
from monitord.v1 import alert_service_pb2 as service_pb
from monitord.v1 import contact_pb2

STATES: dict[int, AlertState] = {
    pb.ALERT_STATE_PENDING: AlertState.PENDING,
    pb.ALERT_STATE_SENT: AlertState.SENT,
    pb.ALERT_STATE_DEAD: AlertState.DEAD,
    pb.ALERT_STATE_CANCELLED: AlertState.CANCELLED,
}
_STATE_NUMBERS = {state: number for number, state in STATES.items()}

COLUMNS = (
    "id", "monitor_id", "monitor_name", "contact_id", "contact_name", "channel", "incident_id", "kind", "state",
    "reason", "create_time", "due_time", "settle_time", "attempt_count", "told_with_id",
)  # fmt: skip


def alert_pb(alert: AlertRecord) -> pb.Alert:
    """Return an alert, with its attempts as far as they were read."""
    message = pb.Alert(
        id=alert.id,
        monitor_id=alert.monitor_id,
        contact_id=alert.contact_id,
        incident_id=alert.incident_id or 0,
        kind=NUMBERS[alert.kind],  # type: ignore[arg-type]
        state=_STATE_NUMBERS[alert.state],  # type: ignore[arg-type]
        reason=alert.reason,
        create_time=timestamp_pb(alert.created_at),
        due_time=timestamp_pb(alert.due_at),
        attempt_count=alert.attempt_count,
        told_with_id=alert.told_with_id or 0,
        attempts=[_attempt_pb(attempt) for attempt in alert.attempts],
        channel=alert.channel,
        screenshot_url=alert.screenshot_url,
    )
    if alert.settled_at is not None:
        message.settle_time.CopyFrom(timestamp_pb(alert.settled_at))
    return message


def read_filter(
    message: service_pb.AlertFilter, *, limit: int, beyond_id: int | None = None, oldest_first: bool = False
) -> AlertQuery:
    """Return which alerts are meant. Raises InvalidArgumentError."""
    ids = {
        name: require_id(getattr(message, name), f"filter.{name}", name.removesuffix("_id"))
        for name in ("monitor_id", "contact_id", "incident_id")
        if getattr(message, name)
    }
    found: list[Violation] = []
    states = read_enums(STATES, pb.AlertState, message.states, "filter.states", found)
    kinds = read_enums(KINDS, contact_pb2.AlertKind, message.kinds, "filter.kinds", found)
    if AlertKind.SLOW in kinds:
        kinds.append(AlertKind.SLOW_OVER)
    start, end = read_span(message, "filter.", found)
    if found:
        raise InvalidArgumentError(found)
    return AlertQuery(
        limit=limit,
        beyond_id=beyond_id,
        oldest_first=oldest_first,
        states=tuple(states),
        kinds=tuple(kinds),
        start=start,
        end=end,
        **ids,
    )


def read_span(message: Any, prefix: str, found: list[Violation]) -> tuple[Instant | None, Instant | None]:
    """Return ``start_time`` and ``end_time`` of a message; what is wrong with them is told to ``found``."""
    start = bound_of(message.start_time, f"{prefix}start_time", found) if message.HasField("start_time") else None
    end = bound_of(message.end_time, f"{prefix}end_time", found) if message.HasField("end_time") else None
    if start is not None and end is not None and start >= end and not found:
        found.append(Violation(f"{prefix}end_time", "must be later than start_time"))
    return start, end


def csv_lines(alerts: Iterable[AlertRecord], *, with_header: bool) -> bytes:
    """Return alerts as lines of CSV (RFC 4180)."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if with_header:
        writer.writerow(COLUMNS)
    writer.writerows(_cells(alert) for alert in alerts)
    return text.getvalue().encode("utf-8", "replace")


def _cells(alert: AlertRecord) -> tuple[object, ...]:
    return (
        alert.id,
        alert.monitor_id,
        _plain(alert.monitor_name),
        alert.contact_id,
        _plain(alert.contact_name),
        alert.channel,
        alert.incident_id or "",
        alert.kind.value,
        alert.state.value,
        _plain(alert.reason),
        _rfc3339(alert.created_at),
        _rfc3339(alert.due_at),
        "" if alert.settled_at is None else _rfc3339(alert.settled_at),
        alert.attempt_count,
        alert.told_with_id or "",
    )


def _plain(text: str) -> str:
    """Keep a spreadsheet from taking somebody's text for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _rfc3339(at: Instant) -> str:
    return to_datetime(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _attempt_pb(attempt: AttemptRecord) -> pb.DeliveryAttempt:
    message = pb.DeliveryAttempt(
        number=attempt.number,
        begin_time=timestamp_pb(attempt.began_at),
        outcome=attempt.outcome,
        code=attempt.code,
        detail=attempt.detail,
    )
    if attempt.ended_at is not None:
        message.end_time.CopyFrom(timestamp_pb(attempt.ended_at))
    return message
