"""What a kill, an outage of the database, a restart and a second process may and may not do."""

import asyncio
import random
import signal
import time
from collections import Counter
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from monitord.domain.check import Trigger
from monitord.domain.health import Status
from monitord.storage.audit import uncovered_slots
from monitord.storage.database import Database
from monitord.storage.monitors import wall_clock
from monitord.storage.private_server import PrivateServer
from monitord_client import Client, Disconnected, Monitor, Reconnected, Row, TailEvent, UnavailableError, http_monitor
from tests.e2e.conftest import FAST
from tests.e2e.target import Target
from tests.e2e.watching import DOWN, NOT_RUNNING, UP, assert_accounted_for, becomes, has_more_rows, is_gap, log_of
from tests.support.process import Monitord, monitord, until
from tests.support.targets import unused_port

LOST_S = 0.25
"""I6: rows without a transition may wait so long for their commit."""
SLACK_S = 1.0
"""For a commit on two cores that run other tests too; a row that waited for a minute would still be found."""


async def test_a_kill_loses_no_more_than_it_may_and_gaps_tell_of_the_rest(
    database_url: str, database: Database, up: Target, tmp_path: Path
) -> None:
    """I5, I6, I7."""
    settings = {**FAST, "MONITORD_DATABASE_URL": database_url}
    wanted = [http_monitor(f"monitor {n}", up.url(f"/{n}"), interval=1) for n in range(40)]
    async with monitord(tmp_path, settings=settings) as first:
        async with first.client() as client:
            await client.apply_monitors(wanted)
            begun = wall_clock()
            monitors = [monitor async for monitor in client.list_monitors(page_size=100)]
            await has_more_rows(client, monitors, than=1)  # the first is a transition, and not made to wait
        moment = len(up.requests) + random.randint(60, 120)  # long enough to lose something
        await until(lambda: _is(len(up.requests) > moment), f"{moment} requests")
        killed = time.monotonic()
        first.process.kill()
        assert await first.ended() == -signal.SIGKILL
    due = Counter(request.path for request in up.requests if request.at < killed - LOST_S - SLACK_S)

    stored = await _rows_by_monitor(database)
    async with monitord(tmp_path, settings=settings, name="2") as second, second.client() as client:
        await has_more_rows(client, monitors, than=max(stored.values()) + 1)
        audited = wall_clock() - 2_000_000  # what is younger may be under way
        for monitor in monitors:
            path = f"/{monitor.name.split()[1]}"
            assert stored[monitor.id] >= due[path], f"{monitor.name} lost {due[path] - stored[monitor.id]} old results"
            rows = await log_of(client, monitor)
            assert_accounted_for(rows, monitor)
            assert all(NOT_RUNNING in row.message for row in rows if is_gap(row))
        assert (await uncovered_slots(database, begun, audited)).count == 0
        assert await _gaps(database) > 0


async def _is(answer: bool) -> bool:
    return answer


async def _rows_by_monitor(database: Database) -> dict[int, int]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT monitor_id, count(*) FROM monitor_logs GROUP BY monitor_id")
    return {row[0]: row[1] for row in rows}


async def _gaps(database: Database) -> int:
    async with database.connection() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM monitor_logs WHERE trigger = $1", Trigger.GAP)
    return found


async def _transitions(database: Database) -> list[tuple[int, Status, Status]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT monitor_id, before, after FROM monitor_transitions ORDER BY at, id")
    return [(row[0], Status(row[1]), Status(row[2])) for row in rows]


async def test_an_outage_of_the_database_loses_and_invents_nothing(folder: Path, up: Target) -> None:
    """I17, I19."""
    server = PrivateServer(folder / "elsewhere", settings={"fsync": "off"})
    dsn = await server.start()
    database = Database(dsn, pool_size=1)
    try:
        async with monitord(folder, settings={**FAST, "MONITORD_DATABASE_URL": dsn}) as process:
            async with process.client(retries=0) as client:
                steady = await client.create_monitor(http_monitor("steady", up.url("/steady"), interval=1))
                falling = await client.create_monitor(http_monitor("falling", up.url("/falling"), interval=1))
                for monitor in (steady, falling):
                    await becomes(client, monitor.id, UP)
                await server.stop()
                await _is_away(process)
                with pytest.raises(UnavailableError) as caught:
                    await client.get_monitor(steady.id)
                assert caught.value.reason == "STORAGE_UNAVAILABLE"

                # Checks go on, and what they see now is decided once the database is back.
                before = up.count("/steady")
                up.fail("/falling")
                await up.asked("/falling", more_than=up.count("/falling") + 2)
                await up.asked("/steady", more_than=before + 1)

                await server.start()
                await until(lambda: _ready(process), "/readyz")
                await becomes(client, falling.id, DOWN)
                await becomes(client, steady.id, UP)
                for monitor in (steady, falling):
                    rows = await log_of(client, monitor)
                    assert not any(is_gap(row) for row in rows), "the results of the outage are stored"
                    assert_accounted_for(rows, monitor)
            await database.open()
            assert Counter(await _transitions(database)) == {
                (steady.id, Status.PENDING, Status.UP): 1,
                (falling.id, Status.PENDING, Status.UP): 1,
                (falling.id, Status.UP, Status.DOWN): 1,
            }
            await database.close()
    finally:
        await database.close()
        await server.stop()


async def _ready(process: Monitord) -> bool:
    return (await process.get("/readyz"))[0] == 200


async def _is_away(process: Monitord) -> None:
    async def told() -> str:
        status, text = await process.get("/readyz")
        return text if status == 503 else ""

    assert "database is not available" in await until(told, "503 of /readyz")
    assert (await process.get("/livez"))[0] == 200
    async with grpc.aio.insecure_channel(process.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # published without types for the asynchronous one

        async def not_serving() -> bool:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service="monitord.v1.MonitorService"))
            return bool(answer.status == health_pb2.HealthCheckResponse.NOT_SERVING)

        await until(not_serving, "NOT_SERVING")


async def test_a_tail_across_a_restart_shows_each_row_once(database_url: str, up: Target, tmp_path: Path) -> None:
    """I15."""
    settings = {**FAST, "MONITORD_DATABASE_URL": database_url, "MONITORD_PORT": str(unused_port())}
    begun = datetime.now(UTC)
    seen: list[tuple[int, int]] = []
    other: list[TailEvent] = []
    async with monitord(tmp_path, settings=settings) as first:
        client = first.client()
        await client.apply_monitors(http_monitor(f"monitor {n}", up.url(f"/{n}"), interval=1) for n in range(10))
        monitors = [monitor async for monitor in client.list_monitors()]

        async def follow() -> None:
            async with aclosing(client.tail(since=begun)) as events:
                async for event in events:
                    if isinstance(event, Row):
                        seen.append((event.check_log.monitor_id, event.check_log.sequence))
                    else:
                        other.append(event)

        tail = asyncio.create_task(follow())
        await until(lambda: _is(len(seen) >= 20), "rows before the restart")
        assert await first.stop(signal.SIGTERM) == 0
    async with monitord(tmp_path, settings=settings, name="2"):
        before = len(seen)
        await until(lambda: _is(len(seen) >= before + 30), "rows after the restart")
        stored = await _everything_so_far(client, monitors)
        await until(lambda: _is(stored <= set(seen)), "what is stored")
        tail.cancel()
        await asyncio.wait([tail])
        await client.close()

    assert len(seen) == len(set(seen)), "nothing twice"
    by_monitor = {monitor.id: [seq for owner, seq in seen if owner == monitor.id] for monitor in monitors}
    for sequences in by_monitor.values():
        assert sequences == list(range(1, len(sequences) + 1)), "in order, without holes"
    assert [type(event) for event in other] == [Disconnected, Reconnected], other


async def _everything_so_far(client: Client, monitors: list[Monitor]) -> set[tuple[int, int]]:
    return {(monitor.id, row.sequence) for monitor in monitors for row in await log_of(client, monitor)}


async def test_a_second_process_takes_over_and_the_first_ends_and_says_so(
    database_url: str, up: Target, tmp_path: Path
) -> None:
    """I7."""
    settings = {**FAST, "MONITORD_DATABASE_URL": database_url}
    async with monitord(tmp_path, settings=settings) as first, first.client() as client:
        monitor = await client.create_monitor(http_monitor("contested", up.url(), interval=1))
        await becomes(client, monitor.id, UP)
        async with monitord(tmp_path, settings=settings, name="2") as second:
            assert await first.ended() == 1
            (sentence,) = [line for line in first.stderr.splitlines() if line.startswith("monitord: ")]
            assert "another monitord" in sentence.lower(), sentence
            async with second.client() as other:
                newest = (await other.get_monitor(monitor.id)).last_check.sequence
                await has_more_rows(other, [monitor], than=newest + 1)
                rows = await log_of(other, monitor)
                assert_accounted_for(rows, monitor)
