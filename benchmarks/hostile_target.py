"""A server of the worst manners, for the benchmark of what it does to the monitors of others.

Run as ``python -m benchmarks.hostile_target``; prints its port, then serves until its standard input closes. The path
chooses: ``/silence``, ``/drip`` (a byte every 100 ms), ``/flood`` (a body without end), ``/bomb`` (gzip, a gigabyte
decoded), ``/headers`` (headers without end).
"""

import asyncio
import contextlib
import sys
import zlib

import uvloop

PATHS = ("/silence", "/drip", "/flood", "/bomb", "/headers")

_HEAD = b"HTTP/1.1 200 OK\r\n"
_PIECE = b"x" * 65_536
_LIMIT_S = 30
"""However patient a client is."""


def _bomb() -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    return b"".join(squeeze.compress(zeros) for _ in range(1024)) + squeeze.flush()


async def _serve(bomb: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(_LIMIT_S):
            request = await reader.readuntil(b"\r\n\r\n")
            await _misbehave(request.split(b" ")[1], bomb, reader, writer)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _misbehave(path: bytes, bomb: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match path:
        case b"/drip":
            writer.write(_HEAD + b"\r\n")
            while not reader.at_eof():
                writer.write(b".")
                await asyncio.sleep(0.1)
        case b"/flood" | b"/headers":
            writer.write(_HEAD if path == b"/headers" else _HEAD + b"\r\n")
            while not reader.at_eof():
                writer.write(b"X: " + _PIECE[:1000] + b"\r\n" if path == b"/headers" else _PIECE)
                await writer.drain()
        case b"/bomb":
            writer.write(_HEAD + b"Content-Encoding: gzip\r\n\r\n" + bomb)
            await writer.drain()
        case _:
            await reader.read()


async def _run() -> None:
    bomb = _bomb()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # At the end the loop cancels what is open, and the server would complain of each.
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await _serve(bomb, reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run())
