"""A mail server that takes everything as cheaply as Python can, and an HTTP target that changes its mind each time.

Run as ``python -m benchmarks.mail_sink`` or, for the target, ``... --flipping``; prints its port, then serves until its
standard input closes.
"""

import argparse
import asyncio
import sys
from collections import Counter
from typing import ClassVar, cast

import uvloop


class _Peer(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport, so isinstance would not do.
        self.transport = cast(asyncio.Transport, transport)
        self.rest = b""
        self.in_data = False
        self.greet()

    def greet(self) -> None:
        """Say what comes first."""


class _Mail(_Peer):
    def greet(self) -> None:
        self.transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while True:
            end = b"\r\n.\r\n" if self.in_data else b"\r\n"
            line, found, rest = self.rest.partition(end)
            if not found:
                return
            self.rest = rest
            self.answer(line)

    def answer(self, line: bytes) -> None:
        verb = line[:4].upper()
        if self.in_data:
            self.in_data = False
            self.transport.write(b"250 2.0.0 taken\r\n")
        elif verb == b"DATA":
            self.in_data = True
            self.transport.write(b"354 go on\r\n")
        elif verb == b"QUIT":
            self.transport.write(b"221 bye\r\n")
            self.transport.close()
        else:
            self.transport.write(b"250 ok\r\n")


class _Flipping(_Peer):
    asked: ClassVar[Counter[bytes]] = Counter()

    def data_received(self, data: bytes) -> None:
        if not data.endswith(b"\r\n\r\n"):
            return
        path = data.split(b" ", 2)[1]
        self.asked[path] += 1
        status = b"503 No" if self.asked[path] % 2 else b"200 OK"
        self.transport.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        self.transport.close()


async def _serve(protocol: type[_Peer]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--flipping", action="store_true")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(_Flipping if parser.parse_args().flipping else _Mail))


if __name__ == "__main__":
    main()
