"""The end of the process, in its order: nothing that was begun is lost, and nobody waits for ever."""

import signal
import time
from pathlib import Path

import grpc

from monitord_client import CheckTrigger, Verdict, http_monitor
from monitord_client.v1 import check_log_service_pb2 as pb
from monitord_client.v1.check_log_service_pb2_grpc import CheckLogServiceStub
from monitord_client.v1.monitor_service_pb2 import CheckNowRequest, ListMonitorsRequest
from monitord_client.v1.monitor_service_pb2_grpc import MonitorServiceStub
from tests.e2e.conftest import FAST
from tests.e2e.target import Target
from tests.e2e.watching import is_gap, log_of
from tests.support.process import Monitord, monitord, until

Tail = grpc.aio.UnaryStreamCall[pb.TailCheckLogsRequest, pb.TailCheckLogsResponse]


async def next_of(tail: Tail) -> pb.TailCheckLogsResponse:
    message = await tail.read()
    assert isinstance(message, pb.TailCheckLogsResponse), message
    return message


def proof(process: Monitord) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {process.key}"),)


async def test_checks_under_way_end_and_are_stored_and_tails_get_a_cursor(
    database_url: str, up: Target, tmp_path: Path
) -> None:
    settings = {**FAST, "MONITORD_DATABASE_URL": database_url}
    up.hold()
    async with monitord(tmp_path, settings=settings) as first:
        async with first.client() as client:
            resting = http_monitor("resting", up.url("/asked"))
            resting.active = False
            resting = await client.create_monitor(resting)
            monitor = await client.create_monitor(http_monitor("slow", up.url("/slot"), interval=4, timeout=4))
        async with grpc.aio.insecure_channel(first.address) as channel:
            tail = CheckLogServiceStub(channel).TailCheckLogs(pb.TailCheckLogsRequest(), metadata=proof(first))
            beginning = await next_of(tail)
            assert beginning.HasField("heartbeat")
            answer = MonitorServiceStub(channel).CheckNow(CheckNowRequest(id=resting.id), metadata=proof(first))
            await up.asked("/asked")
            await up.asked("/slot")
            first.process.send_signal(signal.SIGTERM)

            end = await next_of(tail)
            assert (end.end.reason, end.cursor) == (pb.TAIL_END_REASON_SHUTDOWN, beginning.cursor)
            assert await tail.read() is grpc.aio.EOF
            status, text = await first.get("/readyz")
            assert (status, "shutting down" in text) == (503, True)

            up.release("/asked")
            assert (await answer).check_log.verdict == Verdict.VERDICT_UP
            # Nobody but the schedule asked for the other one; until it is over, calls are served.
            everything = ListMonitorsRequest()
            assert (
                len((await MonitorServiceStub(channel).ListMonitors(everything, metadata=proof(first))).monitors) == 2
            )
            up.release()
        assert await first.ended() == 0

    async with monitord(tmp_path, settings=settings, name="2") as second:
        async with second.client() as client:
            (asked,) = await log_of(client, resting)
            assert (asked.trigger, asked.verdict) == (CheckTrigger.CHECK_TRIGGER_MANUAL, Verdict.VERDICT_UP)
            row = (await log_of(client, monitor))[0]
            assert (row.trigger, row.verdict) == (CheckTrigger.CHECK_TRIGGER_SCHEDULED, Verdict.VERDICT_UP)
        async with grpc.aio.insecure_channel(second.address) as channel:
            request = pb.TailCheckLogsRequest(cursor=end.cursor)
            tail = CheckLogServiceStub(channel).TailCheckLogs(request, metadata=proof(second))
            messages = [await next_of(tail) for _ in range(3)]
            missed = {message.check_log.monitor_id for message in messages if message.HasField("check_log")}
            assert missed == {monitor.id, resting.id}, "the cursor leads to what was stored after the end"
            tail.cancel()


async def test_a_check_that_outlasts_the_grace_becomes_a_gap_and_not_an_outage(
    database_url: str, up: Target, tmp_path: Path
) -> None:
    settings = {**FAST, "MONITORD_DATABASE_URL": database_url, "MONITORD_SHUTDOWN_GRACE_S": "0.2"}
    up.hold()
    async with monitord(tmp_path, settings=settings) as first:
        async with first.client() as client:
            monitor = await client.create_monitor(http_monitor("hanging", up.url(), interval=2, timeout=2))
        await up.asked()
        assert await first.stop(signal.SIGTERM) == 0
    up.release()
    async with monitord(tmp_path, settings=settings, name="2") as second, second.client() as client:

        async def rows() -> bool:
            return any(not is_gap(row) for row in await log_of(client, monitor))

        await until(rows, "the first result")
        log = await log_of(client, monitor)
        assert is_gap(log[0])
        assert {row.verdict for row in log if not is_gap(row)} == {Verdict.VERDICT_UP}


async def test_told_twice_it_ends_at_once(database_url: str, up: Target, tmp_path: Path) -> None:
    settings = {**FAST, "MONITORD_DATABASE_URL": database_url, "MONITORD_SHUTDOWN_GRACE_S": "60"}
    up.hold()
    async with monitord(tmp_path, settings=settings) as process:
        async with process.client() as client:
            await client.create_monitor(http_monitor("hanging", up.url(), interval=5, timeout=5))
        await up.asked()
        process.process.send_signal(signal.SIGINT)
        await process.said("Once more ends at once.")
        begun = time.monotonic()
        process.process.send_signal(signal.SIGINT)
        assert await process.ended() == 128 + signal.SIGINT
        assert time.monotonic() - begun < 2, "it does not wait for the check"
        assert "Told twice" in process.stderr
