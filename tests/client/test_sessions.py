"""Logins: tokens renew themselves, once, whoever asks, and are kept where others cannot read them."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitord_client import Client, UnauthenticatedError
from monitord_client.credentials import MemoryStore, Session, StaticKey
from monitord_client.monitorctl.sessions import SessionFile
from monitord_client.v1.auth_service_pb2 import TokenPair
from tests.client.fake_monitord import FakeMonitord

_LOGIN = ("ada@example.com", "correct horse")


@asynccontextmanager
async def _signed_in(server: FakeMonitord, store: MemoryStore | SessionFile) -> AsyncIterator[Client]:
    async with Client(server.address, session=store) as client:
        await client.login(*_LOGIN)
        yield client


async def test_a_login_proves_every_later_call_until_logout(server: FakeMonitord) -> None:
    async with _signed_in(server, MemoryStore()) as client:
        assert (await client.get_user()).email == _LOGIN[0]
        await client.logout()
        with pytest.raises(UnauthenticatedError):
            await client.get_user()
        await client.logout()


async def test_a_token_near_its_end_is_renewed_once_for_all_callers(server: FakeMonitord) -> None:
    server.token_life_s = 30.0
    async with _signed_in(server, MemoryStore()) as client:
        server.token_life_s = 900.0
        await asyncio.gather(*(client.get_user() for _ in range(20)))
    assert len(server.called("Refresh")) == 1


async def test_a_refused_token_is_renewed_and_the_call_made_again(server: FakeMonitord) -> None:
    store = MemoryStore()
    async with _signed_in(server, store) as client:
        tokens = await store.load()
        assert tokens is not None
        server.valid_tokens.discard(tokens.access_token)
        await asyncio.gather(*(client.get_user() for _ in range(10)))
    assert len(server.called("Refresh")) == 1


async def test_a_session_that_is_over_says_so_and_is_forgotten(server: FakeMonitord) -> None:
    store = MemoryStore()
    async with _signed_in(server, store) as client:
        server.valid_tokens.clear()
        server.refreshable.clear()
        with pytest.raises(UnauthenticatedError, match="session over"):
            await client.get_user()
    assert await store.load() is None


async def test_a_caller_who_gives_up_does_not_lose_the_next_token(server: FakeMonitord) -> None:
    old, new = TokenPair(access_token="a1", refresh_token="r1"), TokenPair(access_token="a2", refresh_token="r2")
    store, arrived, go_on = MemoryStore(old), asyncio.Event(), asyncio.Event()

    async def refresh(token: str) -> TokenPair:
        assert token == "r1"
        arrived.set()
        await go_on.wait()
        return new

    session = Session(store)
    caller = asyncio.create_task(session.renew("a1", refresh))
    await arrived.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await session.settle()
    assert await store.load() == new


async def test_two_processes_share_a_session_without_ending_it(server: FakeMonitord, tmp_path: Path) -> None:
    server.token_life_s = 30.0
    file = SessionFile(tmp_path, server.address)
    async with (
        _signed_in(server, file) as first,
        Client(server.address, session=SessionFile(tmp_path, server.address)) as second,
    ):
        server.token_life_s = 900.0
        await asyncio.gather(*(client.get_user() for client in (first, second) for _ in range(5)))
        await second.get_user()
    assert len(server.called("Refresh")) == 1


async def test_the_file_of_a_session_is_private_and_replaced_whole(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / "monitorctl", "127.0.0.1:1")
    async with file.exclusive():
        await file.save(TokenPair(access_token="a"))
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.path.parent.iterdir() if path.suffix == ".json"] == [file.path.name]
    file.path.write_text("{ not json")
    assert await file.load() is None
    await file.save(None)
    await file.save(None)


@pytest.mark.parametrize("key", ["", "with space", "line\nbreak", "ümlaut"])
def test_what_cannot_be_a_key_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(ValueError, match="no key has"):
        StaticKey(key)
