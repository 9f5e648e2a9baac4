"""CheckLogService: the check log, page by page, row by row, and as a stream."""

# ruff: noqa: N802 (the generated base class names the methods)

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

import grpc

from monitord.domain.errors import InvalidArgumentError, UnavailableError, Violation
from monitord.domain.instant import Instant
from monitord.domain.log import LogEntry
from monitord.domain.queries import LogQuery, MonitorView
from monitord.domain.tail import (
    FromCursor,
    FromInstant,
    FromLast,
    FromNow,
    TailEnd,
    TailEndReason,
    TailEvent,
    TailGap,
    TailHeartbeat,
    TailRow,
    TailStart,
)
from monitord.identity.principal import Principal
from monitord.rpc import context as call
from monitord.rpc.convert_log import check_log_pb
from monitord.rpc.convert_query import logs_token, read_log_query
from monitord.rpc.convert_time import bound_of, timestamp_pb
from monitord.rpc.ending import Endings
from monitord.rpc.paging import fill
from monitord.rpc.requests import require_id
from monitord.v1 import check_log_service_pb2 as pb
from monitord.v1 import check_log_service_pb2_grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

MAX_TAILED = 1000
"""How many monitors one tail may name."""
MAX_LAST = 10_000
"""How many stored rows a tail may begin with."""


class LogStore(Protocol):
    """Where the log is stored. Another's monitor is NotFoundError (T9)."""

    async def page(self, org_id: int, query: LogQuery) -> Sequence[LogEntry]:
        """Return at most ``query.limit`` rows, newest first."""
        ...

    async def get(self, org_id: int, monitor_id: int, seq: int) -> LogEntry:
        """Return one row with its evidence."""
        ...


class MonitorStore(Protocol):
    """Knows whose a monitor is."""

    async def get(self, org_id: int, monitor_id: int) -> MonitorView:
        """Return a monitor; raise NotFoundError if it is another's."""
        ...


class LogFeed(Protocol):
    """Follows the log."""

    def tail(self, org_id: int, monitor_ids: Sequence[int] | None, start: TailStart) -> AsyncGenerator[TailEvent, None]:
        """Yield rows as they are stored, in the order of their commits; None: of all monitors of the organisation.

        Raises InvalidArgumentError for a cursor of another tail, UnavailableError when the database stays away.
        """
        ...


class Sessions(Protocol):
    """Knows whether whoever opened a stream may still see it (T12)."""

    async def wait_until_invalid(self, principal: Principal) -> None:
        """Return as soon as the principal's credential stops being good."""
        ...


class CheckLogService(check_log_service_pb2_grpc.CheckLogServiceServicer):
    """Serves CheckLogService. Whose log is meant comes from the call's context alone (T10)."""

    def __init__(
        self,
        *,
        logs: LogStore,
        monitors: MonitorStore,
        feed: LogFeed,
        sessions: Sessions,
        now: Callable[[], Instant],
    ) -> None:
        self._logs = logs
        self._monitors = monitors
        self._feed = feed
        self._sessions = sessions
        self._now = now
        self._endings = Endings()

    def end_streams(self) -> None:
        """End the open tails, each with a cursor to come back with, and those that are opened from now on."""
        self._endings.end_all(TailEndReason.SHUTDOWN)

    async def ListCheckLogs(self, request: pb.ListCheckLogsRequest, context: Context) -> pb.ListCheckLogsResponse:
        """Return a page of a monitor's rows."""
        org_id = call.principal().org_id
        query, page = read_log_query(request, org_id)
        entries = await self._logs.page(org_id, query)
        messages = fill(entries, page.size, check_log_pb)
        return pb.ListCheckLogsResponse(check_logs=messages, next_page_token=logs_token(page, entries, len(messages)))

    async def GetCheckLog(self, request: pb.GetCheckLogRequest, context: Context) -> pb.GetCheckLogResponse:
        """Return one row with its evidence."""
        monitor_id = require_id(request.monitor_id, "monitor_id")
        if request.sequence < 1:
            raise InvalidArgumentError([Violation("sequence", "must be the number of a row, which is 1 or more")])
        entry = await self._logs.get(call.principal().org_id, monitor_id, request.sequence)
        return pb.GetCheckLogResponse(check_log=check_log_pb(entry, with_evidence=True))

    async def TailCheckLogs(
        self, request: pb.TailCheckLogsRequest, context: Context
    ) -> AsyncGenerator[pb.TailCheckLogsResponse, None]:
        """Send rows as they are stored, until the caller leaves or the stream has to end."""
        principal = call.principal()
        monitor_ids, start = read_tail(request)
        for monitor_id in monitor_ids or ():
            await self._monitors.get(principal.org_id, monitor_id)
        cursor = request.cursor
        with self._endings.one() as ending:
            async with (
                ending.when(partial(self._sessions.wait_until_invalid, principal), TailEndReason.UNAUTHENTICATED),
                contextlib.aclosing(self._feed.tail(principal.org_id, monitor_ids, start)) as events,
            ):
                try:
                    while (event := await ending.next_of(events)) is not None:
                        cursor = event.cursor
                        yield self._event_pb(event)
                        if isinstance(event, TailEnd):
                            return
                except UnavailableError:
                    if not cursor:
                        raise
                    ending.end(TailEndReason.STORAGE_UNAVAILABLE)
        yield self._event_pb(TailEnd(cursor, ending.reason or TailEndReason.SHUTDOWN))

    def _event_pb(self, event: TailEvent) -> pb.TailCheckLogsResponse:
        match event:
            case TailRow(cursor, entry):
                return pb.TailCheckLogsResponse(cursor=cursor, check_log=check_log_pb(entry))
            case TailHeartbeat(cursor):
                heartbeat = pb.TailHeartbeat(server_time=timestamp_pb(self._now()))
                return pb.TailCheckLogsResponse(cursor=cursor, heartbeat=heartbeat)
            case TailGap(cursor, message):
                return pb.TailCheckLogsResponse(cursor=cursor, gap=pb.TailGap(message=message))
            case TailEnd(cursor, reason):
                end = pb.TailEnd(reason=reason)  # type: ignore[arg-type]  # the same numbers; a test holds them together
                return pb.TailCheckLogsResponse(cursor=cursor, end=end)


def read_tail(request: pb.TailCheckLogsRequest) -> tuple[Sequence[int] | None, TailStart]:
    """Return which monitors a tail follows, None for all, and where it begins. Raises InvalidArgumentError."""
    found: list[Violation] = []
    if len(request.monitor_ids) > MAX_TAILED:
        found.append(Violation("monitor_ids", f"must be at most {MAX_TAILED}, not {len(request.monitor_ids)}"))
    else:
        for index, monitor_id in enumerate(request.monitor_ids):
            if monitor_id < 1:
                found.append(Violation(f"monitor_ids[{index}]", f"must be 1 or more, not {monitor_id}"))
    start: TailStart = FromNow()
    match request.WhichOneof("start"):
        case "cursor":
            start = FromCursor(request.cursor)
        case "start_time":
            start = FromInstant(bound_of(request.start_time, "start_time", found))
        case "last":
            start = FromLast(request.last)
            if not 1 <= request.last <= MAX_LAST:
                found.append(Violation("last", f"must be 1 to {MAX_LAST}, not {request.last}"))
    if found:
        raise InvalidArgumentError(found)
    return sorted(set(request.monitor_ids)) or None, start
