import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import typer
from typer.testing import CliRunner, Result

from monitord_client import Client
from monitord_client.backoff import Backoff
from monitord_client.monitorctl import running
from monitord_client.monitorctl.app import build
from tests.client.fake_monitord import KEY, FakeMonitord

Ctl = Callable[..., Awaitable[Result]]


@functools.cache
def built() -> Any:
    """Return the command, put together once: that takes longer than most commands do."""
    return typer.main.get_command(build())


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeMonitord]:
    fake = FakeMonitord()
    await fake.start()
    yield fake
    await fake.stop()


@pytest_asyncio.fixture
async def client(server: FakeMonitord) -> AsyncIterator[Client]:
    async with Client(server.address, api_key=KEY) as opened:
        opened._calls.backoff = Backoff(first_s=0.001, limit_s=0.002)
        yield opened


@pytest_asyncio.fixture
async def ctl(server: FakeMonitord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ctl:
    """Run monitorctl in a thread, its calls on this loop: grpc.aio wants one loop per process."""
    loop = asyncio.get_running_loop()

    def here(coroutine: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=20)

    monkeypatch.setattr(running, "run_coroutine", here)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("MONITORD_ADDRESS", server.address)
    monkeypatch.setenv("MONITORD_API_KEY", KEY)
    for name in (
        "MONITORD_API_KEY_FILE",
        "MONITORD_STATE_DIR",
        "MONITORD_ORGANISATION",
        "MONITORD_SERVER_CA_FILE",
        "MONITORD_CLIENT_CERT_FILE",
        "MONITORD_CLIENT_CERT_KEY_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("typer.testing._get_command", lambda _: built())
    app = build()

    async def invoke(*args: str, stdin: str | None = None) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, app, args, stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke
