"""Real handshakes with the gRPC server and the HTTP listener: who gets in, and what they are shown after a change."""

import asyncio
import contextlib
import gc
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from monitord import served_certificate
from monitord.domain.instant import Instant
from monitord.http_server import HttpServer
from monitord.served_certificate import ServedCertificate
from monitord.v1 import monitor_service_pb2, monitor_service_pb2_grpc
from monitord_client.address import Tls, parse_address
from monitord_client.channel import open_channel
from tests.integration.rpc.test_edge import ANN
from tests.integration.rpc.test_server import server
from tests.support.authority import Authority
from tests.support.tls_files import Mounted, TlsFiles


def now() -> Instant:
    return 0


@dataclass
class Identity:
    """A client's certificate and key in files."""

    cert_file: Path
    key_file: Path


def identity(folder: Path, authority: Authority, name: str) -> Identity:
    certificate, key = authority.client(name)
    made = Identity(folder / f"{name}.pem", folder / f"{name}.key")
    made.cert_file.write_text(certificate)
    made.key_file.write_text(key)
    return made


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Of the server's certificates."""
    (tmp_path / "authority").mkdir()
    return Authority(tmp_path / "authority")


@pytest.fixture
def people(tmp_path: Path) -> Authority:
    """Of the clients' certificates."""
    (tmp_path / "people").mkdir()
    return Authority(tmp_path / "people", "people")


@contextlib.asynccontextmanager
async def serving(served: ServedCertificate) -> AsyncIterator[int]:
    made = server(tls=served)
    port = await made.start()
    try:
        yield port
    finally:
        await made.stop(0)


async def shown(port: int, authority: Authority, presented: Identity | None = None) -> bytes:
    """Return the certificate that a new connection is shown, in DER."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    context.set_alpn_protocols(["h2"])
    if presented is not None:
        context.load_cert_chain(presented.cert_file, presented.key_file)
    async with asyncio.timeout(10):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()  # gRPC would not say goodbye
    return found


async def ask(channel: grpc.aio.Channel) -> int:
    """Make a call; return the id in its answer, which is 7, or raise AioRpcError."""
    stub = monitor_service_pb2_grpc.MonitorServiceStub(channel)
    request = monitor_service_pb2.GetMonitorRequest(id=1)
    return int((await stub.GetMonitor(request, metadata=ANN, timeout=10)).monitor.id)


def channel(port: int, tls: Tls) -> grpc.aio.Channel:
    """Return the client's own channel."""
    return open_channel(parse_address(f"127.0.0.1:{port}"), tls, insecure=False)


async def lets_in(port: int, tls: Tls) -> bool:
    async with channel(port, tls) as opened:
        try:
            return await ask(opened) == 7
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False


@pytest.mark.parametrize("key", ["ec-256", "rsa-2048"])
async def test_calls_are_served_with_the_two_files(tmp_path: Path, authority: Authority, key: str) -> None:
    tls = TlsFiles(tmp_path / "tls", authority)
    tls.rename(tls.issue(key=key))
    async with serving(ServedCertificate(tls.files, now=now)) as port:
        assert await lets_in(port, Tls(ca_file=authority.ca_file))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as plain:
            with pytest.raises(grpc.aio.AioRpcError):
                await ask(plain)


async def test_clients_have_to_show_a_certificate_of_the_right_authority(
    tmp_path: Path, authority: Authority, people: Authority
) -> None:
    tls = TlsFiles(tmp_path / "tls", authority, clients=people)
    one, other = identity(tmp_path, people, "ann"), identity(tmp_path, authority, "eve")
    ann, eve = (Tls(authority.ca_file, cert_file=each.cert_file, key_file=each.key_file) for each in (one, other))
    served = ServedCertificate(tls.files, now=now)
    async with serving(served) as port:
        assert await lets_in(port, ann)
        assert not await lets_in(port, eve)
        assert not await lets_in(port, Tls(authority.ca_file))
        # The authorities may change as the certificate may.
        assert tls.files.client_ca is not None
        tls.files.client_ca.write_bytes(authority.ca_file.read_bytes())
        served.look()
        assert await lets_in(port, eve)
        assert not await lets_in(port, ann)


async def test_new_connections_see_renamed_files_and_open_ones_go_on(tmp_path: Path, authority: Authority) -> None:
    tls = TlsFiles(tmp_path / "tls", authority)
    served = ServedCertificate(tls.files, now=now)
    async with serving(served) as port, channel(port, Tls(authority.ca_file)) as before:
        await ask(before)
        assert await shown(port, authority) == tls.renewed.public_bytes(Encoding.DER)
        for _ in range(3):
            renewed = tls.rename(tls.issue())
            served.look()
            assert await shown(port, authority) == renewed.public_bytes(Encoding.DER)
            assert await shown(port, authority) == renewed.public_bytes(Encoding.DER)
        await ask(before)


async def test_a_swapped_link_is_followed_by_the_watch(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_certificate, "LOOK_S", 0.01)
    mounted = Mounted(tmp_path / "secret", authority)
    served = ServedCertificate(mounted.files, now=now)
    watch = asyncio.create_task(served.run())
    try:
        async with serving(served) as port:
            renewed = mounted.swap().public_bytes(Encoding.DER)
            async with asyncio.timeout(10):
                while await shown(port, authority) != renewed:
                    pass
    finally:
        watch.cancel()
        await asyncio.wait([watch])


async def test_half_a_file_leaves_the_certificate_before(tmp_path: Path, authority: Authority) -> None:
    tls = TlsFiles(tmp_path / "tls", authority)
    served = ServedCertificate(tls.files, now=now)
    async with serving(served) as port:
        tls.files.certificate.write_bytes(tls.files.certificate.read_bytes()[:300])
        with capture_logs() as logs:
            served.look()
            served.look()
        assert [line["event"] for line in logs] == ["certificate_not_reloaded"]
        assert await shown(port, authority) == tls.renewed.public_bytes(Encoding.DER)


async def test_many_handshakes_at_once_while_the_files_change(tmp_path: Path, authority: Authority) -> None:
    tls = TlsFiles(tmp_path / "tls", authority)
    served = ServedCertificate(tls.files, now=now)
    valid = {tls.renewed.public_bytes(Encoding.DER)}
    async with serving(served) as port:
        for _ in range(5):
            waves = [asyncio.create_task(shown(port, authority)) for _ in range(10)]
            valid.add(tls.rename(tls.issue()).public_bytes(Encoding.DER))
            await asyncio.to_thread(served.look)
            assert set(await asyncio.gather(*waves)) <= valid


# The HTTP listener


@contextlib.asynccontextmanager
async def http(served: ServedCertificate) -> AsyncIterator[HttpServer]:
    async def scheme(request: web.Request) -> web.Response:
        return web.Response(text=request.scheme)

    application = web.Application()
    application.router.add_get("/", scheme)
    made = HttpServer("127.0.0.1", 0, purpose="test", tls=served.context)
    await made.start(application)
    try:
        yield made
    finally:
        await made.stop()


def port_of(server: HttpServer) -> int:
    return int(server.url.rpartition(":")[2])


async def test_the_http_listener_serves_the_same_certificate_and_follows_it(
    tmp_path: Path, authority: Authority, people: Authority
) -> None:
    tls = TlsFiles(tmp_path / "tls", authority, clients=people)
    served = ServedCertificate(tls.files, now=now)
    context = ssl.create_default_context(cafile=authority.ca_file)
    async with http(served) as listener, aiohttp.ClientSession() as session:
        assert listener.url.startswith("https://127.0.0.1:")
        async with session.get(listener.url, ssl=context) as answer:
            assert await answer.text() == "https", "and no client certificate is asked for"
        for _ in range(3):
            renewed = tls.rename(tls.issue())
            served.look()
            assert await shown(port_of(listener), authority) == renewed.public_bytes(Encoding.DER)
        tls.files.key.unlink()
        served.look()
        assert await shown(port_of(listener), authority) == renewed.public_bytes(Encoding.DER)
        async with session.get(listener.url, ssl=context) as answer:
            assert await answer.text() == "https", "the connection that was open goes on"


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff", b""])
async def test_what_is_no_handshake_ends_without_a_line_in_the_log(
    tmp_path: Path, authority: Authority, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Anyone can send it, as often as they like."""
    served = ServedCertificate(TlsFiles(tmp_path / "tls", authority).files, now=now)
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    with caplog.at_level(logging.INFO):
        async with http(served) as listener, asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(listener))
            writer.write(said)
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            assert len(await shown(port_of(listener), authority)) > 100
        gc.collect()
    assert faults == []
    assert caplog.records == []
