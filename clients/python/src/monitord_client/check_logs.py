"""The calls of CheckLogService."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from datetime import datetime

from monitord_client.calls import Calls
from monitord_client.tail import Start, TailEvent, follow
from monitord_client.times import timestamp
from monitord_client.v1 import check_log_service_pb2 as pb
from monitord_client.v1.check_log_pb2 import CheckLog, Verdict
from monitord_client.v1.check_log_service_pb2_grpc import CheckLogServiceStub


class CheckLogCalls:
    """The results of all checks, kept and streamed."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._logs = CheckLogServiceStub(calls.channel)

    def list_check_logs(
        self,
        monitor_id: int,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        verdicts: Iterable[Verdict.ValueType] = (),
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[CheckLog]:
        """Iterate over a monitor's rows in [start, end), newest first, fetching pages as needed.

        ``timeout_s`` is the deadline of each page.
        """
        request = pb.ListCheckLogsRequest(
            monitor_id=monitor_id,
            start_time=timestamp(start),
            end_time=timestamp(end),
            verdicts=verdicts,
            page_size=page_size,
        )

        async def fetch(token: str) -> pb.ListCheckLogsResponse:
            request.page_token = token
            return await self._calls.unary(self._logs.ListCheckLogs, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.check_logs, lambda page: page.next_page_token)

    async def get_check_log(self, monitor_id: int, sequence: int, *, timeout_s: float | None = None) -> CheckLog:
        """Return one row with its evidence."""
        request = pb.GetCheckLogRequest(monitor_id=monitor_id, sequence=sequence)
        answer = await self._calls.unary(self._logs.GetCheckLog, request, safe=True, timeout_s=timeout_s)
        return answer.check_log

    def tail(
        self,
        monitor_ids: Iterable[int] = (),
        *,
        cursor: str | None = None,
        since: datetime | None = None,
        last: int | None = None,
        heartbeats: bool = False,
        patience_s: float = 10.0,
        give_up_after_s: float | None = None,
    ) -> AsyncGenerator[TailEvent, None]:
        """Follow the log of some monitors (none given: all of yours), from now, a cursor, a moment or the last n rows.

        Connections that break are made anew, and the tail goes on where it stood: no row is lost or repeated
        without a ``Gap`` that says so. It raises when the first connection takes longer than ``patience_s``, when one
        that broke is away longer than ``give_up_after_s`` (None: never), or when no retry can help. Raises ValueError
        when more than one start is given.

        Leave it with ``contextlib.aclosing`` or by exhausting it, so that the server's stream ends at once.
        """
        start = Start(cursor=cursor, since=timestamp(since), last=last)
        return follow(
            self._calls,
            self._logs.TailCheckLogs,
            tuple(monitor_ids),
            start,
            heartbeats=heartbeats,
            patience_s=patience_s,
            give_up_after_s=give_up_after_s,
        )
