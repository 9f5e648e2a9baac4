"""The live table: what it knows, and that one tail and a few questions keep it true."""

import asyncio
import io
from datetime import UTC, datetime

import grpc
import pytest
from rich.console import Console

from monitord_client import CheckLog, Client, Monitor, UnavailableError, http_monitor
from monitord_client.monitorctl.board import STRIP, Board
from monitord_client.monitorctl.watching import Watcher
from monitord_client.v1 import check_log_pb2 as pb
from monitord_client.v1 import monitor_pb2
from tests.client.fake_monitord import FakeMonitord, Fault, Plan

_NOW = datetime(2026, 5, 17, 12, tzinfo=UTC)


def _monitor(number: int, status: monitor_pb2.MonitorStatus.ValueType = monitor_pb2.MONITOR_STATUS_UP) -> Monitor:
    monitor = http_monitor(f"site-{number}", f"http://127.0.0.1/{number}")
    monitor.id, monitor.status = number, status
    return monitor


def _row(number: int, verdict: pb.Verdict.ValueType, sequence: int = 1) -> CheckLog:
    row = CheckLog(monitor_id=number, sequence=sequence, verdict=verdict, response_time_ms=12.0)
    row.start_time.FromDatetime(_NOW)
    return row


def _drawn(board: Board, limit: int | None = None) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(board.table(_NOW, limit))
    return console.export_text()


def test_a_row_that_contradicts_the_status_asks_for_the_truth() -> None:
    board = Board()
    assert board.saw(_row(1, pb.VERDICT_UP))  # unknown so far
    board.know([_monitor(1)])
    assert not board.saw(_row(1, pb.VERDICT_UP))
    assert board.saw(_row(1, pb.VERDICT_DOWN))
    assert not board.saw(_row(1, pb.VERDICT_INCONCLUSIVE))


def test_the_strip_keeps_the_newest_checks_alone() -> None:
    board = Board()
    board.know([_monitor(1)])
    for sequence in range(100):
        board.saw(_row(1, pb.VERDICT_UP, sequence))
    board.saw(_row(1, pb.VERDICT_DOWN, 100))
    gap = _row(1, pb.VERDICT_UNSPECIFIED, 101)
    gap.trigger = pb.CHECK_TRIGGER_GAP
    board.saw(gap)
    board.measured(1, 99.99)
    drawn = _drawn(board)
    assert "█" * (STRIP - 2) + "▁·" in drawn
    assert "█" * (STRIP - 1) not in drawn
    assert "99.990 %" in drawn


def test_a_deleted_monitor_disappears_with_all_that_was_known() -> None:
    board = Board()
    board.know([_monitor(1), _monitor(2)])
    board.saw(_row(1, pb.VERDICT_DOWN))
    board.know([_monitor(2)])
    assert "site-1" not in _drawn(board)
    board.know([_monitor(1)])
    assert "▁" not in _drawn(board)


def test_trouble_is_shown_first_when_there_is_no_room_for_all() -> None:
    board = Board()
    board.know([*map(_monitor, range(1, 50)), _monitor(99, monitor_pb2.MONITOR_STATUS_DOWN)])
    drawn = _drawn(board, limit=5)
    assert "site-99" in drawn
    assert "and 45 more" in drawn


async def test_the_board_is_fed_and_survives_a_lost_connection(server: FakeMonitord, client: Client) -> None:
    server.put(http_monitor("site", "http://127.0.0.1"))
    server.rows = [_row(1, pb.VERDICT_UP, n) for n in (1, 2)]
    forbidden = Fault(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    server.plans.extend([Plan(rows=2, ends=1), Plan(rows=1, breaks=forbidden)])
    file = io.StringIO()
    watcher = Watcher(client, [], Console(width=200, file=file, force_terminal=True))
    async with asyncio.timeout(10):
        watching = asyncio.create_task(watcher.run())
        await server.until_tails(2)
        await server.store(_row(1, pb.VERDICT_DOWN, 3))
        with pytest.raises(Exception, match="as the test wants it"):
            await watching
    assert server.tails[0].last == STRIP
    assert server.tails[1].cursor == "at-2"
    drawn = file.getvalue()
    assert "site" in drawn


async def test_it_does_not_begin_without_a_server(server: FakeMonitord, client: Client) -> None:
    await server.stop()
    with pytest.raises(UnavailableError):
        await Watcher(client, [], Console(file=io.StringIO())).run()
