"""CheckLogService as a client sees it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from monitord.domain.errors import InvalidArgumentError, UnavailableError, Violation
from monitord.domain.instant import SECOND
from monitord.domain.tail import (
    FromCursor,
    FromInstant,
    FromLast,
    FromNow,
    TailEnd,
    TailEndReason,
    TailGap,
    TailHeartbeat,
    TailRow,
    TailStart,
)
from monitord.v1 import check_log_pb2, monitor_pb2
from monitord.v1 import check_log_service_pb2 as pb
from tests.support.rpc_server import NOW, Api, User, log_entry, refusal, refusal_of

INSERT = """
INSERT INTO monitor_logs (org_id, monitor_id, seq, position, shard, trigger, verdict, counted, monitor_version,
                          scheduled_at, checked_at)
SELECT $1, $2, n, n, 0, 1, CASE WHEN n % 2 = 0 THEN 3 ELSE 1 END, true, 1, at, at
FROM (SELECT n, timestamptz '2026-01-01 00:00:00Z' + n * interval '1 second' AS at
      FROM generate_series(1, $3) AS n) AS s
"""
JANUARY = 1_767_225_600


@pytest.fixture
async def monitor(api: Api) -> monitor_pb2.Monitor:
    return await api.create()


async def rows(api: Api, monitor: monitor_pb2.Monitor, count: int) -> None:
    async with api.database.transaction() as tx:
        await tx.execute(INSERT, api.ann.principal.org_id, monitor.id, count)


async def pages(api: Api, monitor: monitor_pb2.Monitor, **conditions: Any) -> list[list[int]]:
    request, found = pb.ListCheckLogsRequest(monitor_id=monitor.id, **conditions), []
    while True:
        response = await api.check_logs.ListCheckLogs(request, metadata=api.ann.metadata)
        found.append([log.sequence for log in response.check_logs])
        if not response.next_page_token:
            return found
        request.page_token = response.next_page_token


async def test_rows_are_listed_newest_first_by_time_and_verdict(api: Api, monitor: monitor_pb2.Monitor) -> None:
    await rows(api, monitor, 6)
    assert await pages(api, monitor) == [[6, 5, 4, 3, 2, 1]]
    assert await pages(api, monitor, page_size=4) == [[6, 5, 4, 3], [2, 1]]
    assert await pages(api, monitor, verdicts=[check_log_pb2.VERDICT_DOWN], page_size=2) == [[6, 4], [2]]
    window = {"start_time": Timestamp(seconds=JANUARY + 2), "end_time": Timestamp(seconds=JANUARY + 5)}
    assert await pages(api, monitor, **window) == [[4, 3, 2]]
    after = {"start_time": Timestamp(seconds=JANUARY + 2, nanos=1)}
    assert await pages(api, monitor, **after) == [[6, 5, 4, 3]]


WRONG_CONDITIONS: list[tuple[dict[str, Any], str]] = [
    ({"monitor_id": 0}, "monitor_id"),
    ({"monitor_id": -(2**63)}, "monitor_id"),
    ({"page_size": -5}, "page_size"),
    ({"verdicts": [1, 0]}, "verdicts[1]"),
    ({"start_time": Timestamp(seconds=5), "end_time": Timestamp(seconds=5)}, "end_time"),
    ({"start_time": Timestamp(nanos=10**9)}, "start_time"),
    ({"page_token": "nonsense"}, "page_token"),
]


async def test_wrong_conditions_are_named(api: Api) -> None:
    for conditions, field in WRONG_CONDITIONS:
        request = pb.ListCheckLogsRequest(**({"monitor_id": 1} | conditions))
        refused = await refusal(api.check_logs.ListCheckLogs(request, metadata=api.ann.metadata))
        assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, [field])


async def test_the_edges_of_time_are_no_bug(api: Api, monitor: monitor_pb2.Monitor) -> None:
    window = {
        "start_time": Timestamp(seconds=-62_135_596_800),
        "end_time": Timestamp(seconds=253_402_300_799, nanos=999_999_999),
    }
    await rows(api, monitor, 1)
    assert await pages(api, monitor, **window) == [[1]]


async def test_one_row_is_found_by_its_number(api: Api, monitor: monitor_pb2.Monitor) -> None:
    await rows(api, monitor, 2)
    request = pb.GetCheckLogRequest(monitor_id=monitor.id, sequence=2)
    log = (await api.check_logs.GetCheckLog(request, metadata=api.ann.metadata)).check_log
    assert (log.sequence, log.verdict, log.trigger) == (2, check_log_pb2.VERDICT_DOWN, 1)
    assert log.start_time == Timestamp(seconds=JANUARY + 2)
    for wrong, user in (
        (pb.GetCheckLogRequest(monitor_id=monitor.id, sequence=2**63 - 1), api.ann),
        (pb.GetCheckLogRequest(monitor_id=2**63 - 1, sequence=1), api.ann),
        (request, api.bob),
    ):
        assert (await refusal(api.check_logs.GetCheckLog(wrong, metadata=user.metadata))).code is StatusCode.NOT_FOUND
    wrong = pb.GetCheckLogRequest(monitor_id=monitor.id)
    refused = await refusal(api.check_logs.GetCheckLog(wrong, metadata=api.ann.metadata))
    assert refused.violations == {"sequence": "must be the number of a row, which is 1 or more"}


class Tail:
    """An open stream."""

    def __init__(self, api: Api, user: User | None = None, **fields: Any) -> None:
        request = pb.TailCheckLogsRequest(**fields)
        self.call = api.check_logs.TailCheckLogs(request, metadata=(user or api.ann).metadata)
        self.messages: AsyncIterator[pb.TailCheckLogsResponse] = aiter(self.call)

    async def next(self) -> pb.TailCheckLogsResponse:
        async with asyncio.timeout(5):
            return await anext(self.messages)

    async def is_over(self) -> bool:
        async with asyncio.timeout(5):
            return await anext(self.messages, None) is None


async def test_events_are_sent_as_they_come_each_with_its_cursor(api: Api, monitor: monitor_pb2.Monitor) -> None:
    view = await api.store.get(api.ann.principal.org_id, monitor.id)
    tail = Tail(api)
    for event in (TailHeartbeat("c1"), TailRow("c2", log_entry(view.monitor, seq=7)), TailGap("c3", "rows are gone")):
        api.feed.events.put_nowait(event)
    beat, row, gap = [await tail.next() for _ in range(3)]
    assert (beat.cursor, beat.heartbeat.server_time) == ("c1", Timestamp(seconds=NOW // SECOND))
    assert (row.cursor, row.check_log.sequence, row.check_log.monitor_id) == ("c2", 7, monitor.id)
    assert (gap.cursor, gap.gap.message) == ("c3", "rows are gone")
    tail.call.cancel()
    async with asyncio.timeout(5):
        await api.feed.closed.wait()


STARTS: list[tuple[dict[str, Any], TailStart]] = [
    ({}, FromNow()),
    ({"cursor": "c9"}, FromCursor("c9")),
    ({"start_time": Timestamp(seconds=3, nanos=1)}, FromInstant(3 * SECOND + 1)),
    ({"last": 10_000}, FromLast(10_000)),
]


async def test_a_tail_begins_where_it_is_asked_to(api: Api, monitor: monitor_pb2.Monitor) -> None:
    for fields, start in STARTS:
        api.feed.events.put_nowait(TailHeartbeat("c1"))
        api.feed.events.put_nowait(None)
        tail = Tail(api, monitor_ids=[monitor.id, monitor.id], **fields)
        await tail.next()
        assert api.feed.asked.pop() == (api.ann.principal.org_id, [monitor.id], start)
        assert (await ended(tail))[0] == "c1"


WRONG_TAILS: list[tuple[dict[str, Any], str]] = [
    ({"monitor_ids": [1, 0]}, "monitor_ids[1]"),
    ({"monitor_ids": [-1]}, "monitor_ids[0]"),
    ({"monitor_ids": range(1, 1002)}, "monitor_ids"),
    ({"last": 0}, "last"),
    ({"last": 10_001}, "last"),
    ({"start_time": Timestamp(seconds=2**62)}, "start_time"),
]


async def test_a_wrong_tail_is_refused(api: Api) -> None:
    for fields, field in WRONG_TAILS:
        refused = await refusal(Tail(api, **fields).next())
        assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, [field])


async def test_another_users_monitor_cannot_be_followed(api: Api, monitor: monitor_pb2.Monitor) -> None:
    """(T9)"""
    for ids in ([monitor.id], [2**63 - 1]):
        assert (await refusal(Tail(api, api.bob, monitor_ids=ids).next())).code is StatusCode.NOT_FOUND
    assert api.feed.asked == []


async def test_a_wrong_cursor_is_refused(api: Api) -> None:
    error = InvalidArgumentError([Violation("cursor", "must be one of this stream")], reason="INVALID_CURSOR")
    api.feed.events.put_nowait(error)
    refused = await refusal(Tail(api, cursor="damaged").next())
    assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR")


async def ended(tail: Tail) -> tuple[str, int]:
    end = await tail.next()
    assert end.WhichOneof("event") == "end"
    assert await tail.is_over()
    assert await tail.call.code() is StatusCode.OK
    return end.cursor, end.end.reason


async def test_at_shutdown_a_tail_ends_with_a_cursor_to_come_back_with(api: Api) -> None:
    api.feed.events.put_nowait(TailHeartbeat("c1"))
    waiting = Tail(api)
    await waiting.next()
    fresh = Tail(api, cursor="c0")
    async with asyncio.timeout(5):
        await api.feed.opened.acquire()
        await api.feed.opened.acquire()
    api.server.begin_shutdown()
    assert await ended(waiting) == ("c1", pb.TAIL_END_REASON_SHUTDOWN)
    assert await ended(fresh) == ("c0", pb.TAIL_END_REASON_SHUTDOWN)
    refused = await refusal(Tail(api, cursor="c5").next())
    assert (refused.code, refused.reason, refused.retry_s) == (StatusCode.UNAVAILABLE, "NOT_READY", 1.0)
    async with asyncio.timeout(5):
        await api.server.stop(5)  # nothing is left that the grace time would be spent on


async def test_a_tail_ends_when_its_credential_does(api: Api) -> None:
    """(T12)"""
    api.feed.events.put_nowait(TailHeartbeat("c1"))
    tail = Tail(api)
    await tail.next()
    key_id = api.ann.principal.credential.key_id  # type: ignore[union-attr]
    await api.identity.accounts.revoke_api_key(api.ann.principal, key_id)
    assert await ended(tail) == ("c1", pb.TAIL_END_REASON_UNAUTHENTICATED)


async def test_a_tail_ends_when_the_database_stays_away(api: Api) -> None:
    api.feed.events.put_nowait(TailHeartbeat("c1"))
    api.feed.events.put_nowait(UnavailableError("host 10.0.0.5 refused"))
    tail = Tail(api)
    await tail.next()
    assert await ended(tail) == ("c1", pb.TAIL_END_REASON_STORAGE_UNAVAILABLE)
    api.feed.events.put_nowait(UnavailableError("host 10.0.0.5 refused"))
    refused = await refusal(Tail(api).next())
    assert (refused.code, refused.reason) == (StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
    assert "10.0.0.5" not in refused.message
    assert refused.retry_s == 1.0


async def test_the_feeds_own_end_is_passed_on_once(api: Api) -> None:
    api.feed.events.put_nowait(TailEnd("c4", TailEndReason.STORAGE_UNAVAILABLE))
    assert await ended(Tail(api)) == ("c4", pb.TAIL_END_REASON_STORAGE_UNAVAILABLE)


async def test_a_bug_in_the_feed_is_internal_and_tells_nothing(api: Api) -> None:
    api.feed.events.put_nowait(ZeroDivisionError("s3cret"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await Tail(api).next()
    refused = refusal_of(caught.value)
    assert (refused.code, refused.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert "s3cret" not in refused.message
    assert refused.metadata["error_id"] in refused.message
