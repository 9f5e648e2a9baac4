"""Another master key, while monitord runs with its private Postgres, and after it has stopped (T15)."""

from datetime import timedelta
from pathlib import Path

import aiohttp

from monitord_client import Monitor, http_monitor
from monitord_client.times import duration
from monitord_client.v1.heartbeat_check_pb2 import HeartbeatCheck
from tests.e2e.conftest import FAST
from tests.e2e.target import Target
from tests.e2e.watching import UP, becomes
from tests.support.process import monitord, run_monitord, until


async def test_monitord_goes_on_checking_across_a_rotation(up: Target, folder: Path) -> None:
    async with monitord(folder, settings=FAST) as process, process.client() as client, aiohttp.ClientSession() as web:

        async def is_sent(header: str) -> None:
            """Return once the target has been sent a header anew."""
            before = len(up.requests)

            async def look() -> bool:
                return any(header in request.head for request in up.requests[before:])

            await until(look, f"another request with {header}")

        async def status_of(url: str) -> int:
            async with web.get(url) as answer:
                return answer.status

        guarded = await client.create_monitor(
            http_monitor("guarded", up.url(), interval=1, secret_headers={"X-Token": "first"})
        )
        day = duration(timedelta(days=1))
        job = await client.create_monitor(Monitor(name="job", interval=day, heartbeat=HeartbeatCheck(period=day)))
        await becomes(client, guarded.id, UP)

        rotated = await run_monitord(folder, "keys", "rotate", settings=process.settings)
        assert rotated.status == 0, rotated
        assert "A monitord that runs has noticed it by itself." in rotated.stderr
        await is_sent("X-Token: first")
        # What is sealed with the new key is read, changed, and sealed with it.
        await client.update_monitor(Monitor(id=guarded.id, name="still guarded"), fields=["name"])
        await is_sent("X-Token: first")
        changed = http_monitor("still guarded", up.url(), interval=1, secret_headers={"X-Token": "second"})
        await client.apply_monitors([changed])
        await is_sent("X-Token: second")

        # The URL that the job has is good for as long as the old key is there.
        assert await status_of(job.heartbeat.ping_url) == 200
        assert "ping_url_of_an_older_key" in await process.said("ping_url_of_an_older_key")
        retired = await run_monitord(folder, "keys", "retire", "--break-ping-urls", settings=process.settings)
        assert retired.status == 0, retired
        url = (await client.get_monitor(job.id)).heartbeat.ping_url

        async def ends() -> bool:
            return await status_of(job.heartbeat.ping_url) == 404

        await until(ends, "the end of the old URL")
        assert await status_of(url) == 200
        await is_sent("X-Token: second")

    shown = await run_monitord(folder, "keys", "status", settings=process.settings)
    assert (shown.status, shown.stdout.split()[1:]) == (0, ["current", "seals", "1", "value"])
