from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from monitord.demo import FLAKY_PERIOD_S, SLOW_S, DemoTargets


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def url(clock) -> AsyncIterator[str]:
    targets = DemoTargets(port=0, monotonic=clock)
    yield f"http://127.0.0.1:{await targets.start()}"
    await targets.stop()
    await targets.stop()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def test_up_works(url, http):
    async with http.get(f"{url}/up") as answer:
        assert answer.status == 200
        assert "All is well" in await answer.text()


async def test_slow_takes_its_time(url, http, monkeypatch):
    monkeypatch.setattr("monitord.demo.SLOW_S", 0.05)
    async with http.get(f"{url}/slow") as answer:
        assert answer.status == 200
    assert SLOW_S > 1, "slower than what examples/monitors.yaml expects"


async def test_flaky_comes_and_goes(url, http, clock):
    seen = []
    for _ in range(4):
        async with http.get(f"{url}/flaky") as answer:
            seen.append(answer.status)
        clock.now += FLAKY_PERIOD_S / 2
    assert seen == [200, 503, 200, 503]


async def test_a_port_in_use_is_told_in_a_sentence(url):
    port = int(url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"practice targets on 127.0.0.1 port {port}: Address already in use"):
        await DemoTargets(port=port).start()
