"""The way out for alerts and screenshots: every socket has passed the policy, whoever opened it (T1, T2)."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from monitord.domain.connection import AddressFamily
from monitord.probes.deadline import Deadline
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.failure import Failure
from monitord.probes.outbound import Outbound, RefusedError


class Names:
    """A resolver that answers one thing after another."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(self, name: str, family: AddressFamily, deadline: Deadline) -> tuple[str, ...] | Failure:
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0],)


@pytest.fixture
async def server() -> AsyncIterator[tuple[int, list[str]]]:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        if request.path == "/inward":
            return web.Response(status=302, headers={"Location": "http://127.0.0.2:1/secret"})
        return web.Response(text="hello", headers={"Set-Cookie": "a=b"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    yield runner.addresses[0][1], seen
    await runner.cleanup()


def outbound(names: Names, deny: tuple[str, ...] = ("127.0.0.2",)) -> Outbound:
    policy = EgressPolicy("private", deny=deny)
    return Outbound(Dialler(policy, names), policy)


async def test_a_name_is_resolved_by_the_dialler_and_answers(server: tuple[int, list[str]]) -> None:
    port, seen = server
    async with outbound(Names("127.0.0.1")).session() as session:
        async with session.get(f"http://hooks.example:{port}/a") as response:
            assert await response.text() == "hello"
        assert not list(session.cookie_jar)
    assert seen == ["/a"]


@pytest.mark.parametrize("host", ["hooks.example", "127.0.0.2", "[::ffff:127.0.0.2]"])
async def test_a_forbidden_address_is_not_dialled_however_it_is_written(
    server: tuple[int, list[str]], host: str
) -> None:
    async with outbound(Names("127.0.0.2")).session() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://{host}:{server[0]}/")
    assert isinstance(caught.value.os_error, RefusedError)
    assert "was not dialled" in str(caught.value.os_error)


@pytest.mark.parametrize("host", ["0x7f.2", "127.2", "2130706434"])
async def test_an_odd_spelling_of_an_address_is_refused(server: tuple[int, list[str]], host: str) -> None:
    async with outbound(Names("127.0.0.1"), deny=("127.0.0.0/8",)).session() as session:
        with pytest.raises((aiohttp.ClientConnectorError, aiohttp.InvalidURL)) as caught:
            await session.get(f"http://{host}:{server[0]}/")
    assert any(words in str(caught.value) for words in ("no host that may be", "not a canonical IPv4 address"))


async def test_a_redirect_that_turns_inward_is_refused(server: tuple[int, list[str]]) -> None:
    async with outbound(Names("127.0.0.1")).session() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://hooks.example:{server[0]}/inward")
    assert isinstance(caught.value.os_error, RefusedError)


async def test_a_resolver_that_alternates_gets_nothing(server: tuple[int, list[str]]) -> None:
    port, seen = server
    async with outbound(Names("127.0.0.1", "127.0.0.2")).session() as session:
        async with session.get(f"http://hooks.example:{port}/first", headers={"Connection": "close"}) as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://hooks.example:{port}/second")
    assert seen == ["/first"]


async def test_a_socket_for_another_protocol(server: tuple[int, list[str]]) -> None:
    sock = await outbound(Names("127.0.0.1")).connect("mail.example", server[0], 5.0)
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(b"GET /raw HTTP/1.0\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 200")
    writer.close()
    assert server[1] == ["/raw"]


async def test_a_socket_is_refused_too(server: tuple[int, list[str]]) -> None:
    way = outbound(Names("127.0.0.2"))
    with pytest.raises(RefusedError, match=r"127\.0\.0\.2"):
        await way.connect("mail.example", server[0], 5.0)
    with pytest.raises(RefusedError, match="no host that may be dialled"):
        await way.connect("mail example", server[0], 5.0)


async def test_nobody_there_is_an_error_with_a_reason(unused_tcp_port: int) -> None:
    with pytest.raises(OSError, match="refused"):
        await outbound(Names("127.0.0.1")).connect("mail.example", unused_tcp_port, 5.0)
