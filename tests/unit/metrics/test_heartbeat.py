import asyncio
from collections.abc import Callable
from contextlib import suppress

from structlog.testing import capture_logs

from monitord.metrics.heartbeat import LIMIT_S, LOOK_S, PERIOD_S, Heartbeat

URL = "https://hc.example.org/ping/hunter2"


class Web:
    """Answers a heartbeat as ``answer`` says, and notes when it was asked."""

    def __init__(self, answer: Callable[[], int]) -> None:
        self.answer = answer
        self.asked_at: list[float] = []

    async def __call__(self, url: str, timeout_s: float) -> int:
        assert url == URL
        self.asked_at.append(asyncio.get_running_loop().time())
        return self.answer()


async def run_for(seconds: float, heartbeat: Heartbeat) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(heartbeat.run(), seconds)


async def always() -> bool:
    return True


async def test_beats_every_minute():
    web = Web(lambda: 200)
    await run_for(3 * PERIOD_S + 1, Heartbeat(URL, web, always))
    assert web.asked_at == [0, PERIOD_S, 2 * PERIOD_S, 3 * PERIOD_S]


async def test_is_silent_while_not_ready():
    """I19: the other system must miss the beat when monitord cannot do its work."""
    web = Web(lambda: 200)

    async def ready() -> bool:
        return asyncio.get_running_loop().time() >= 2 * PERIOD_S

    await run_for(3 * PERIOD_S + 1, Heartbeat(URL, web, ready))
    assert web.asked_at == [2 * PERIOD_S, 3 * PERIOD_S]


async def test_the_first_beat_does_not_wait_for_a_minute_when_monitord_is_ready_a_moment_after_its_start():
    web = Web(lambda: 200)

    async def ready() -> bool:
        return asyncio.get_running_loop().time() > 0

    await run_for(PERIOD_S + 2, Heartbeat(URL, web, ready))
    assert web.asked_at == [LOOK_S, LOOK_S + PERIOD_S]


async def test_failures_are_told_once_when_they_begin_and_end_and_the_url_never():
    def refuse() -> int:
        raise ConnectionRefusedError(111, "connection refused")

    answers = iter([lambda: 200, lambda: 500, refuse, lambda: 200, lambda: 204])
    web = Web(lambda: next(answers)())
    with capture_logs() as logs:
        await run_for(4 * PERIOD_S + 1, Heartbeat(URL, web, always))
    assert [(line["log_level"], line.get("problem")) for line in logs] == [("warning", "status 500"), ("info", None)]
    assert "hunter2" not in str(logs)


async def test_a_server_that_never_answers_delays_no_later_beat():
    started: list[float] = []

    async def hangs(url: str, timeout_s: float) -> int:
        started.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3600)
        return 200

    with capture_logs() as logs:
        await run_for(2 * PERIOD_S + 1, Heartbeat(URL, hangs, always))
    assert started == [0, PERIOD_S, 2 * PERIOD_S]
    assert [line["problem"] for line in logs] == [f"no answer within {LIMIT_S:g} s"]
