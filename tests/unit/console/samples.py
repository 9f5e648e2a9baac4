"""Commits that the tests of the console share."""

import io
from typing import NamedTuple

from monitord.domain.check import Category, Trigger, Verdict
from monitord.domain.health import Health, Status, Transition
from monitord.domain.instant import SECOND
from monitord.domain.kinds import HttpCheck
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment, Monitor, MonitorSpec

NOW = 1_800_000_000 * SECOND


class Change(NamedTuple):
    monitor_id: int
    health: Health
    transitions: tuple[Transition, ...]


class Commit(NamedTuple):
    entries: tuple[LogEntry, ...] = ()
    changes: tuple[Change, ...] = ()


class Terminal(io.StringIO):
    """A text stream with the encoding of one's choice."""

    def __init__(self, encoding: str = "utf-8", *, tty: bool = False) -> None:
        super().__init__()
        self._encoding = encoding
        self._tty = tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._tty

    def write(self, text: str, /) -> int:
        text.encode(self._encoding)
        return super().write(text)


def assignment(monitor_id: int = 1, name: str = "site", status: Status = Status.PENDING) -> Assignment:
    return Assignment(
        monitor=Monitor(
            id=monitor_id,
            org_id=1,
            spec=MonitorSpec(name=name, check=HttpCheck(url=f"http://127.0.0.1:80/{monitor_id}")),
            version=1,
            created_at=0,
            updated_at=0,
        ),
        health=Health(status=status, since=NOW),
        last_seq=0,
        covered_until=0,
    )


def entry(
    monitor_id: int = 1,
    verdict: Verdict | None = Verdict.UP,
    *,
    at: int = NOW,
    late: int = 0,
    message: str = "",
    category: Category | None = None,
) -> LogEntry:
    return LogEntry(
        org_id=1,
        monitor_id=monitor_id,
        seq=1,
        shard=0,
        position=1,
        trigger=Trigger.SCHEDULED if verdict else Trigger.GAP,
        verdict=verdict,
        counted=True,
        monitor_version=1,
        scheduled_at=at - late,
        checked_at=at,
        category=category,
        message=message,
        response_time_ms=1234.4 if verdict else None,
    )


def change(monitor_id: int, before: Status, after: Status, at: int = NOW) -> Change:
    return Change(monitor_id, Health(status=after, since=at), (Transition(before, after, at, before, after),))
