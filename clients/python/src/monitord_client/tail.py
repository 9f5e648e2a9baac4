"""Following the check log across broken connections: every row once, and every hole announced (I15)."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from monitord_client.calls import Calls
from monitord_client.resuming import Disconnected as Disconnected
from monitord_client.resuming import Gap as Gap
from monitord_client.resuming import Heartbeat as Heartbeat
from monitord_client.resuming import Reconnected as Reconnected
from monitord_client.resuming import resume
from monitord_client.times import moment_of
from monitord_client.v1 import check_log_service_pb2 as pb
from monitord_client.v1.check_log_pb2 import CheckLog


@dataclass(frozen=True, slots=True)
class Row:
    """A row was stored."""

    check_log: CheckLog
    cursor: str
    """Where to go on after this event; so in every kind of event."""


TailEvent = Row | Gap | Disconnected | Reconnected | Heartbeat
TailMethod = grpc.aio.UnaryStreamMultiCallable[pb.TailCheckLogsRequest, pb.TailCheckLogsResponse]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a tail begins: at most one of these; none: now."""

    cursor: str | None = None
    since: Timestamp | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.cursor, self.since, self.last)) > 1:
            raise ValueError("a tail begins at a cursor, at a moment, or with the last n rows: choose one")


def follow(
    calls: Calls,
    method: TailMethod,
    monitor_ids: tuple[int, ...],
    start: Start,
    *,
    heartbeats: bool = False,
    patience_s: float = 10.0,
    give_up_after_s: float | None = None,
) -> AsyncGenerator[TailEvent, None]:
    """Return the events of a tail; see ``Client.tail``."""
    return resume(
        calls,
        method,
        Place(monitor_ids, start),
        heartbeats=heartbeats,
        patience_s=patience_s,
        give_up_after_s=give_up_after_s,
    )


class Place:
    """Where a tail stands, and what it has already passed on.

    The server promises to repeat nothing and to leave nothing out. Rows are numbered per monitor without holes (I7), so
    this end can see for itself, at the price of one number per monitor.
    """

    def __init__(self, monitor_ids: tuple[int, ...], start: Start) -> None:
        self._monitor_ids = monitor_ids
        self._start = start
        self.cursor = ""
        """The last cursor that was received; empty before the first."""
        self.begun = False
        """Whether the server has said anything yet."""
        self._newest: dict[int, int] = {}
        self._expected: dict[int, int] = {}

    def request(self) -> pb.TailCheckLogsRequest:
        """Return what to ask for on the next connection."""
        request = pb.TailCheckLogsRequest(monitor_ids=self._monitor_ids)
        if self.cursor:
            request.cursor = self.cursor
        elif self.begun:
            pass  # the place is lost (see `forget`): on from now
        elif self._start.cursor is not None:
            request.cursor = self._start.cursor
        elif self._start.since is not None:
            request.start_time.CopyFrom(self._start.since)
        elif self._start.last is not None:
            request.last = self._start.last
        return request

    def take(self, message: pb.TailCheckLogsResponse) -> Iterator[TailEvent]:
        """Move past a message and yield what it tells."""
        self.cursor, self.begun = message.cursor or self.cursor, True
        match message.WhichOneof("event"):
            case "check_log":
                yield from self._row(message.check_log)
            case "gap":
                self._expected.clear()
                yield Gap(message.gap.message, self.cursor)
            case "heartbeat":
                yield Heartbeat(moment_of(message.heartbeat.server_time), self.cursor)

    def forget(self) -> None:
        """Go on from now: nothing is known any more of what the server will send."""
        self.cursor = ""
        self._newest.clear()
        self._expected.clear()

    def _row(self, row: CheckLog) -> Iterator[TailEvent]:
        if row.sequence <= self._newest.get(row.monitor_id, 0):
            return
        expected = self._expected.get(row.monitor_id, row.sequence)
        if expected < row.sequence:
            missing = f"row {expected}" if expected == row.sequence - 1 else f"rows {expected} to {row.sequence - 1}"
            yield Gap(f"{missing} of monitor {row.monitor_id} did not come", self.cursor)
        self._newest[row.monitor_id] = row.sequence
        self._expected[row.monitor_id] = row.sequence + 1
        yield Row(row, self.cursor)
