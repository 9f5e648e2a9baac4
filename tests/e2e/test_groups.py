"""A group follows its members at once."""

from datetime import timedelta

from aiohttp import ClientSession

from monitord_client import Monitor
from monitord_client.times import duration
from monitord_client.v1.group_check_pb2 import GroupCheck
from monitord_client.v1.heartbeat_check_pb2 import HeartbeatCheck
from tests.e2e.watching import DOWN, UP, becomes
from tests.support.process import Monitord


async def test_a_group_is_what_its_members_are(shared: Monitord) -> None:
    hour = duration(timedelta(hours=1))  # nothing but changes themselves bring checks so soon
    async with shared.client() as client, ClientSession() as http:
        job = HeartbeatCheck(period=duration(3600))
        jobs = [
            await client.create_monitor(
                Monitor(name=f"grouped {name}", interval=hour, failure_threshold=1, heartbeat=job, labels={"g": "1"})
            )
            for name in "ab"
        ]
        for each in jobs:
            async with http.get(each.heartbeat.ping_url) as answer:
                assert answer.status == 200
            await becomes(client, each.id, UP)
        wish = Monitor(name="the group", interval=hour, failure_threshold=1, group=GroupCheck(labels={"g": "1"}))
        group = await client.create_monitor(wish)
        await client.check_now(group.id)
        await becomes(client, group.id, UP)
        async with http.get(f"{jobs[1].heartbeat.ping_url}/fail") as answer:
            assert answer.status == 200
        down = await becomes(client, group.id, DOWN)
        assert (down.last_check.category, down.last_check.message) == (
            "group.down",
            "1 of 2 members is down: grouped b.",
        )
        await client.delete_monitor(jobs[1].id)
        await becomes(client, group.id, UP)
        for each in (group, jobs[0]):
            await client.delete_monitor(each.id)
