"""Rows of the log as COPY wants them. This runs for every check: it is written for speed, and measured."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec

from monitord.domain.check import CheckResult, Evidence, Observation, Trigger
from monitord.domain.instant import SECOND, Instant, to_datetime
from monitord.domain.log import LogEntry, entry_of_gap, entry_of_result
from monitord.storage.ledger_draft import Row
from monitord.storage.spool import GapRecord

EVIDENCE_COLUMNS = ["org_id", "monitor_id", "seq", "checked_at", "evidence"]

_encode = msgspec.msgpack.Encoder().encode
_UTC = dt.UTC
_fromtimestamp = dt.datetime.fromtimestamp
_EXACT_UNTIL = (1 << 32) * SECOND
"""Up to here (the year 2106) a float of seconds rounds to the right microsecond, at a third of the cost."""


def log_records(rows: Sequence[Row], shard: int, first_position: int) -> list[tuple[Any, ...]]:
    """Return the tuples for ``monitor_logs``, in the order of ``rows.LOG_COLUMNS``."""
    records = []
    position = first_position
    for row in rows:
        source = row.source
        if type(source) is CheckResult:
            records.append(_result_record(source, row.seq, shard, position, row.counted))
        else:
            records.append(_gap_record(source, row.seq, shard, position))  # type: ignore[arg-type]
        position += 1
    return records


def evidence_records(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Return the tuples for ``check_evidence``."""
    return [
        (source.org_id, source.monitor_id, row.seq, _moment(source.started_at), _encode(evidence))
        for row in rows
        if type(source := row.source) is CheckResult and (evidence := source.observation.evidence) is not None
    ]


def entries(rows: Sequence[Row], shard: int, first_position: int) -> list[LogEntry]:
    """Return the rows as readers see them, without evidence."""
    made = []
    for position, row in enumerate(rows, first_position):
        source = row.source
        if isinstance(source, CheckResult):
            entry = entry_of_result(source, seq=row.seq, shard=shard, position=position, counted=row.counted)
            made.append(entry if entry.evidence is None else msgspec.structs.replace(entry, evidence=None))
        else:
            recorded_at = source.recorded_at
            made.append(entry_of_gap(source.gap, recorded_at=recorded_at, seq=row.seq, shard=shard, position=position))
    return made


def storable(result: CheckResult) -> CheckResult:
    """Return a result with no text or number of the target's: what Postgres can't refuse."""
    seen = result.observation
    plain = Observation(
        verdict=seen.verdict,
        category=seen.category,
        message="What this check saw could not be stored; its verdict stands.",
        dns_ok=seen.dns_ok,
        ssl_ok=seen.ssl_ok,
        content_ok=seen.content_ok,
        evidence=None if seen.evidence is None else Evidence(),
    )
    return msgspec.structs.replace(result, observation=plain)


def _result_record(result: CheckResult, seq: int, shard: int, position: int, counted: bool) -> tuple[Any, ...]:
    seen = result.observation
    phases = seen.phases
    expires = seen.certificate_expires_at
    category = seen.category
    return (
        result.org_id,
        result.monitor_id,
        seq,
        position,
        shard,
        result.trigger,
        seen.verdict,
        counted,
        result.monitor_version,
        _moment(result.scheduled_at),
        _moment(result.started_at),
        None,
        None if category is None else category.value,
        text(seen.message) if seen.message else None,
        seen.status_code,
        result.duration_ms if seen.response_ms is None and seen.dialled else seen.response_ms,
        phases.dns,
        phases.connect,
        phases.tls,
        phases.ttfb,
        phases.transfer,
        seen.dns_ok,
        seen.ssl_ok,
        seen.content_ok,
        seen.address,
        None if expires is None else _moment(expires),
        seen.bytes_received,
        seen.redirects,
        None,
        seen.measurements,
        result.maintenance or None,
    )


def _gap_record(record: GapRecord, seq: int, shard: int, position: int) -> tuple[Any, ...]:
    entry = entry_of_gap(record.gap, recorded_at=record.recorded_at, seq=seq, shard=shard, position=position)
    assert entry.gap_until is not None
    assert entry.category is not None
    return (
        entry.org_id,
        entry.monitor_id,
        seq,
        position,
        shard,
        Trigger.GAP,
        None,
        False,
        entry.monitor_version,
        _moment(entry.scheduled_at),
        _moment(entry.checked_at),
        _moment(entry.gap_until),
        entry.category.value,
        entry.message,
        *(None,) * 17,
    )


def text(value: str) -> str:
    """Return a text that Postgres takes: it knows neither NUL nor half a surrogate pair."""
    if value.isascii():
        return value.replace("\0", "�") if "\0" in value else value
    return value.replace("\0", "�").encode("utf-8", "replace").decode()


def _moment(instant: Instant) -> dt.datetime:
    if 0 <= instant < _EXACT_UNTIL:
        return _fromtimestamp(instant / 1e6, _UTC)
    return to_datetime(instant)
