"""A tail across everything that can happen to a stream: each row once, each hole announced (I15)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import grpc
import pytest

from monitord_client import (
    CheckLog,
    Client,
    Disconnected,
    Gap,
    Heartbeat,
    InternalError,
    InvalidArgumentError,
    MemoryStore,
    NotFoundError,
    Reconnected,
    Row,
    TailEvent,
    UnauthenticatedError,
    UnavailableError,
    resuming,
)
from monitord_client.v1 import check_log_service_pb2 as pb
from tests.client.fake_monitord import FakeMonitord, Fault, Plan

_LOST = Fault(grpc.StatusCode.UNAVAILABLE)


def _rows(first: int, last: int, monitor_id: int = 1) -> list[CheckLog]:
    return [CheckLog(monitor_id=monitor_id, sequence=n) for n in range(first, last + 1)]


async def _take(events: AsyncGenerator[TailEvent, None], rows: int) -> list[TailEvent]:
    """Return the events up to and including the n-th row."""
    taken: list[TailEvent] = []
    async with asyncio.timeout(10), aclosing(events):
        async for event in events:
            taken.append(event)
            rows -= isinstance(event, Row)
            if rows == 0:
                break
    return taken


def _sequences(events: Sequence[TailEvent]) -> list[int]:
    return [event.check_log.sequence for event in events if isinstance(event, Row)]


def _kinds(events: Sequence[TailEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_it_shows_what_is_stored_from_now_on(server: FakeMonitord, client: Client) -> None:
    await server.store(*_rows(1, 5))
    events = client.tail(heartbeats=True)
    first = await anext(events)
    assert isinstance(first, Heartbeat)
    await server.store(*_rows(6, 7))
    assert _sequences(await _take(events, 2)) == [6, 7]


async def test_it_begins_where_it_is_told_to(server: FakeMonitord, client: Client) -> None:
    rows = _rows(1, 9)
    for row in rows:
        row.start_time.seconds = 1_000 + row.sequence
    await server.store(*rows)
    assert _sequences(await _take(client.tail(last=3), 3)) == [7, 8, 9]
    since = datetime.fromtimestamp(1_005, UTC)
    assert _sequences(await _take(client.tail(since=since), 5)) == [5, 6, 7, 8, 9]
    assert _sequences(await _take(client.tail(cursor="at-8"), 1)) == [9]
    with pytest.raises(ValueError, match="choose one"):
        client.tail(last=3, cursor="at-8")


async def test_a_broken_connection_is_resumed_with_the_last_cursor(server: FakeMonitord, client: Client) -> None:
    await server.store(*_rows(1, 6))
    server.plans.extend([Plan(rows=2, breaks=_LOST), Plan(rows=0, breaks=_LOST, greets=False), Plan()])
    events = await _take(client.tail([1], last=6), 6)
    assert _sequences(events) == [1, 2, 3, 4, 5, 6]
    assert _kinds(events) == ["Row"] * 2 + ["Disconnected", "Reconnected"] + ["Row"] * 4
    assert [request.cursor for request in server.tails] == ["", "at-2", "at-2"]
    assert all(list(request.monitor_ids) == [1] for request in server.tails)
    again = events[3]
    assert isinstance(again, Reconnected)
    assert again.attempts == 2


@pytest.mark.parametrize(
    "plan",
    [
        Plan(rows=2, ends=pb.TAIL_END_REASON_SHUTDOWN),
        Plan(rows=2, ends=pb.TAIL_END_REASON_STORAGE_UNAVAILABLE),
        Plan(rows=2),  # closed without a word
        Plan(rows=2, breaks=Fault(grpc.StatusCode.INTERNAL)),  # RST_STREAM arrives as this
        Plan(rows=2, breaks=Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", retry_after_s=0.01)),
    ],
)
async def test_every_passing_end_is_resumed(server: FakeMonitord, client: Client, plan: Plan) -> None:
    await server.store(*_rows(1, 4))
    server.plans.append(plan)
    events = await _take(client.tail(last=4), 4)
    assert _kinds(events) == ["Row", "Row", "Disconnected", "Reconnected", "Row", "Row"]


async def test_a_restarted_server_is_found_again(server: FakeMonitord, client: Client) -> None:
    await server.store(*_rows(1, 2))
    events = client.tail(last=2, heartbeats=True)
    await anext(events)
    assert _sequences([await anext(events), await anext(events)]) == [1, 2]
    await server.stop()
    assert isinstance(await anext(events), Disconnected)
    await server.store(*_rows(3, 4))
    await server.start(int(server.address.rpartition(":")[2]))
    taken = [event for event in await _take(events, 2) if not isinstance(event, Heartbeat)]
    assert _kinds(taken) == ["Reconnected", "Row", "Row"]
    assert _sequences(taken) == [3, 4]


async def test_rows_that_come_twice_are_shown_once(server: FakeMonitord, client: Client) -> None:
    await server.store(*_rows(1, 6))
    server.plans.extend([Plan(rows=3, breaks=_LOST), Plan(repeats=2)])
    assert _sequences(await _take(client.tail(last=6), 6)) == [1, 2, 3, 4, 5, 6]


async def test_a_hole_that_the_server_does_not_announce_is_announced_here(server: FakeMonitord, client: Client) -> None:
    await server.store(*_rows(1, 6))
    server.plans.append(Plan(skips=2))
    events = await _take(client.tail(last=6), 4)
    assert _kinds(events) == ["Row", "Gap", "Row", "Row", "Row"]
    gap = events[1]
    assert isinstance(gap, Gap)
    assert gap.message == "rows 2 to 3 of monitor 1 did not come"


async def test_a_gap_of_the_server_is_passed_on_once(server: FakeMonitord, client: Client) -> None:
    await server.store(*_rows(1, 2))
    server.plans.extend([Plan(rows=2, breaks=_LOST), Plan(gap="rows before today are gone")])
    events = client.tail(last=2)
    assert _sequences([await anext(events), await anext(events)]) == [1, 2]
    await server.store(*_rows(9, 10))
    after = await _take(events, 2)
    assert _kinds(after) == ["Disconnected", "Reconnected", "Gap", "Row", "Row"]


async def test_a_server_that_forgot_the_cursor_costs_a_gap_not_the_tail(server: FakeMonitord, client: Client) -> None:
    await server.store(*_rows(7, 8))
    server.plans.append(Plan(rows=2, breaks=_LOST))
    events = client.tail(last=2, heartbeats=True)
    for _ in range(3):
        await anext(events)
    server.faults["TailCheckLogs"].append(Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR"))
    assert isinstance(await anext(events), Disconnected)
    assert isinstance(await anext(events), Gap)
    await anext(events)
    assert isinstance(await anext(events), Heartbeat)
    await server.store(*_rows(1, 1))  # restored from a backup: numbers begin again
    assert _sequences(await _take(events, 1)) == [1]
    assert server.tails[-1].WhichOneof("start") is None


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR"), InvalidArgumentError),
        (Fault(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"), NotFoundError),
        (Fault(grpc.StatusCode.INTERNAL, "INTERNAL"), InternalError),
        (Fault(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"), UnauthenticatedError),
    ],
)
async def test_what_no_retry_can_help_is_raised(
    server: FakeMonitord, client: Client, fault: Fault, kind: type[Exception]
) -> None:
    server.faults["TailCheckLogs"].append(fault)
    with pytest.raises(kind):
        await anext(client.tail(cursor="at-0"))
    assert len(server.tails) == 1


async def test_the_first_connection_has_to_come_soon(server: FakeMonitord, client: Client) -> None:
    await server.stop()
    with pytest.raises(UnavailableError):
        await anext(client.tail(patience_s=0.05))


async def test_it_gives_up_when_told_to(server: FakeMonitord, client: Client) -> None:
    await server.store(*_rows(1, 1))
    events = client.tail(last=1, give_up_after_s=0.05)
    await anext(events)
    await server.stop()
    assert isinstance(await anext(events), Disconnected)
    with pytest.raises(UnavailableError):
        await anext(events)


async def test_silence_counts_as_a_lost_connection(
    server: FakeMonitord, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "SILENCE_S", 0.05)
    events = client.tail(heartbeats=True)
    kinds = [type(await anext(events)).__name__ for _ in range(4)]
    assert kinds == ["Heartbeat", "Disconnected", "Reconnected", "Heartbeat"]
    await events.aclose()


async def test_a_session_is_renewed_when_the_stream_ends_for_it(server: FakeMonitord) -> None:
    await server.store(*_rows(1, 2))
    store = MemoryStore()
    async with Client(server.address, session=store) as client:
        await client.login("ada@example.com", "correct horse")
        server.plans.append(Plan(rows=1, ends=pb.TAIL_END_REASON_UNAUTHENTICATED))
        events = await _take(client.tail(last=2), 2)
    assert _sequences(events) == [1, 2]
    assert len(server.called("Refresh")) == 1


async def test_leaving_the_tail_ends_the_stream(server: FakeMonitord, client: Client) -> None:
    ended = asyncio.Event()
    original = server.TailCheckLogs

    async def watched(request: pb.TailCheckLogsRequest, context: object) -> AsyncIterator[pb.TailCheckLogsResponse]:
        try:
            async for message in original(request, context):
                yield message
        finally:
            ended.set()

    server.TailCheckLogs = watched  # type: ignore[method-assign]
    await server.stop()
    await server.start(int(server.address.rpartition(":")[2]))
    events = client.tail(heartbeats=True)
    await anext(events)
    await events.aclose()
    async with asyncio.timeout(5):
        await ended.wait()
