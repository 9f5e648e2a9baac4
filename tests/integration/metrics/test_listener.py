import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, TCPConnector
from prometheus_client.parser import text_string_to_metric_families

from monitord.metrics.exposition import Exposition
from monitord.metrics.instruments import Instruments
from monitord.metrics.listener import HttpListener
from monitord.metrics.readiness import Readiness
from tests.unit.metrics.samples import assignment, result


class Served:
    """A listener on a free port, and what stands behind it."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.instruments = Instruments()
        self.readiness = Readiness({"database": self._database})
        self.listener = HttpListener("127.0.0.1", 0, Exposition(self.instruments), self.readiness)
        self.url = ""

    async def _database(self) -> str | None:
        return self.problem


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    served.url = f"http://127.0.0.1:{await served.listener.start()}"
    yield served
    await served.listener.stop()
    await served.listener.stop()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession(auto_decompress=False, connector=TCPConnector(force_close=True)) as session:
        yield session


async def test_metrics_are_served_and_compressed_for_who_wants_it(served, http):
    for monitor_id in range(1, 501):
        served.instruments.adopt(assignment(monitor_id))
        served.instruments.observe(result(monitor_id))
    async with http.get(f"{served.url}/metrics", headers={"Accept-Encoding": "identity"}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        assert "Content-Encoding" not in answer.headers
        plain = await answer.read()
    async with http.get(f"{served.url}/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = await answer.read()
    assert len(packed) < len(plain) / 5
    for text in (plain, gzip.decompress(packed)):
        families = {family.name: family for family in text_string_to_metric_families(text.decode())}
        assert len(families["probe_success"].samples) == 500


async def test_openmetrics_is_negotiated(served, http):
    headers = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "identity"}
    async with http.get(f"{served.url}/metrics", headers=headers) as answer:
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")


async def test_a_reader_that_leaves_half_way_harms_nobody(served, http):
    for monitor_id in range(1, 3_001):
        served.instruments.adopt(assignment(monitor_id))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(1_000)
    writer.transport.abort()
    async with http.get(f"{served.url}/metrics") as answer:
        assert answer.status == 200


async def test_readyz_tells_the_truth_with_the_reason(served, http):
    async with http.get(f"{served.url}/readyz") as answer:
        assert answer.status == 200
        assert json.loads(await answer.read()) == {"ready": True, "conditions": {"database": "ok"}}
    served.readiness.drain()
    async with http.get(f"{served.url}/readyz") as answer:
        assert answer.status == 503
        assert json.loads(await answer.read())["conditions"] == {"process": "shutting down"}
    async with http.get(f"{served.url}/livez") as answer:
        assert answer.status == 200, "a process that is not ready need not be killed"


async def test_not_ready_without_its_database(served, http):
    served.problem = "connection refused"
    async with http.get(f"{served.url}/readyz") as answer:
        assert answer.status == 503
        assert json.loads(await answer.read())["conditions"] == {"database": "connection refused"}


async def test_the_index_links_the_rest(served, http):
    async with http.get(f"{served.url}/") as answer:
        page = await answer.text()
    assert all(f'href="{path}"' in page for path in ("/metrics", "/readyz", "/livez"))


async def test_an_address_in_use_is_told_in_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listener = HttpListener("127.0.0.1", port, Exposition(Instruments()), Readiness({}))
        told = f"cannot serve metrics on 127.0.0.1 port {port}: Address already in use. Set"
        with pytest.raises(OSError, match=told):
            await listener.start()
