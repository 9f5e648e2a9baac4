"""One small server for each kind of check, all in one process: what the benchmark of the kinds asks.

Run as ``python -m benchmarks.kind_targets CERTIFICATE KEY``; prints a line of JSON with the port of each kind, then
serves until its standard input closes. The databases say as much as a handshake without a user needs: what a
check costs monitord does not depend on who answers.
"""

import asyncio
import json
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import uvloop
from aiohttp import web
from grpc_health.v1 import health, health_pb2_grpc

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_MYSQL_GREETING = (
    b"\x0a8.4.0\x00\x01\x00\x00\x00abcdefgh\x00\xff\xff\x21\x02\x00\xff\xdf\x15" + bytes(10) + b"ijklmnopqrst\x00"
    b"caching_sha2_password\x00"
)


async def _banner(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")


async def _silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"PING\r\n")
    writer.write(b"+PONG\r\n")
    await reader.read()


async def _postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    (size,) = struct.unpack("!I", await reader.readexactly(4))
    await reader.readexactly(size - 4)
    writer.write(b"R\x00\x00\x00\x08\x00\x00\x00\x03")  # "send the password in the clear"
    await reader.read()


async def _mysql(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(len(_MYSQL_GREETING).to_bytes(3, "little") + b"\x00" + _MYSQL_GREETING)
    await reader.read()


class _Dns(asyncio.DatagramProtocol):
    """Answers every question with 192.0.2.1."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"
        head = data[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
        self._transport.sendto(head + data[12:end] + answer, addr)  # type: ignore[attr-defined]


async def _echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for _ in socket:
        pass
    return socket


async def _listen(serve: Serve, context: ssl.SSLContext | None = None) -> int:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context, backlog=1024)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _web() -> int:
    app = web.Application()
    app.router.add_get("/socket", _echo)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    port: int = runner.addresses[0][1]
    return port


def _grpc() -> int:
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    _RUNNING.append(server)
    return int(port)


_RUNNING: list[grpc.Server] = []


async def _run(certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Dns, ("127.0.0.1", 0))
    ports = {
        "tcp": await _listen(_banner),
        "tls": await _listen(_silent, context),
        "dns": transport.get_extra_info("sockname")[1],
        "grpc": _grpc(),
        "websocket": await _web(),
        "postgres": await _listen(_postgres),
        "mysql": await _listen(_mysql),
        "redis": await _listen(_redis),
    }
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(*sys.argv[1:3]))
