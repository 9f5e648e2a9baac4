"""The target of the benchmarks: answers every request on a fresh connection as cheaply as Python can.

Run as ``python -m benchmarks.target``; prints its port, then serves until its standard input closes, so that it
can't outlive whoever started it.
"""

import argparse
import asyncio
import ssl
import sys
from pathlib import Path
from typing import cast

import rtls
import uvloop

_BODY = b"<html><body>" + b"all is well " * 40 + b"</body></html>"
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: " + str(len(_BODY)).encode() + b"\r\n"
    b"Connection: close\r\n\r\n" + _BODY
)


_COUNT = b"GET /count "
"""Asking for this path tells how many requests for others there were: the count that nobody can embellish."""


class _Target(asyncio.Protocol):
    requests = 0
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport, so isinstance would not do.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not data.endswith(b"\r\n\r\n"):
            return
        if data.startswith(_COUNT):
            text = str(_Target.requests).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        else:
            _Target.requests += 1
            self.transport.write(_ANSWER)
        self.transport.close()


async def _serve(certificate: Path | None, key: Path | None) -> None:
    context = None
    if certificate is not None:
        # Not the standard module: its server would be at its end before the client under measurement.
        context = rtls.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(certificate), str(key))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Target, "127.0.0.1", 0, ssl=context, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(arguments.certificate, arguments.key))


if __name__ == "__main__":
    main()
