"""Waiting for a socket, no longer than the deadline."""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from monitord.probes.deadline import Deadline


class _Watch(Protocol):
    def __call__(self, fd: int, callback: Callable[..., None], argument: object, /) -> None: ...


async def readable(sock: socket.SocketType, deadline: Deadline, within_s: float | None = None) -> bool:
    """Wait until a socket can be read, or for ``within_s`` seconds; False when the deadline is over."""
    loop = asyncio.get_running_loop()
    return await _ready(loop, loop.add_reader, loop.remove_reader, sock.fileno(), deadline, within_s)


async def writable(sock: socket.SocketType, deadline: Deadline) -> bool:
    """Wait until a socket can be written; False when the deadline is over."""
    loop = asyncio.get_running_loop()
    return await _ready(loop, loop.add_writer, loop.remove_writer, sock.fileno(), deadline, None)


async def _ready(
    loop: asyncio.AbstractEventLoop,
    watch: _Watch,
    forget: Callable[[int], bool],
    fd: int,
    deadline: Deadline,
    within_s: float | None,
) -> bool:
    ready: asyncio.Future[None] = loop.create_future()
    timer = None if within_s is None else loop.call_later(within_s, _set, ready)
    watch(fd, _set, ready)
    try:
        return await deadline.wait(ready)
    finally:
        forget(fd)
        if timer is not None:
            timer.cancel()


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
