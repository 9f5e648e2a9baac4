"""A job that tells of itself, from its URL to the status."""

from datetime import timedelta

from aiohttp import ClientSession

from monitord_client import Monitor
from monitord_client.times import duration
from monitord_client.v1.heartbeat_check_pb2 import HeartbeatCheck
from tests.e2e.watching import DOWN, UP, becomes
from tests.support.process import Monitord


async def test_a_job_tells_by_its_url_and_the_status_follows_at_once(shared: Monitord) -> None:
    async with shared.client() as client, ClientSession() as http:
        wish = Monitor(
            name="nightly backup",
            interval=duration(timedelta(hours=1)),  # nothing but the words themselves brings checks so soon
            failure_threshold=1,
            heartbeat=HeartbeatCheck(period=duration(3600)),
        )
        made = await client.create_monitor(wish)
        async with http.get(made.heartbeat.ping_url) as answer:
            assert (answer.status, await answer.text()) == (200, "OK\n")
        await becomes(client, made.id, UP)
        async with http.post(f"{made.heartbeat.ping_url}/3", data=b"disk full") as answer:
            assert answer.status == 200
        down = await becomes(client, made.id, DOWN)
        assert down.last_check.category == "heartbeat.failed"
        row = await client.get_check_log(made.id, down.last_check.sequence)
        assert row.evidence.body_excerpt == "disk full"
        async with http.head(made.heartbeat.ping_url) as answer:
            assert answer.status == 200
        await becomes(client, made.id, UP)
        await client.delete_monitor(made.id)
        async with http.get(made.heartbeat.ping_url) as answer:
            assert answer.status == 404
