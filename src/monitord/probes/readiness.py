"""Tells when sockets have something to read, for less than the loop's own watchers cost."""

import asyncio
import select
from collections.abc import Callable
from typing import Protocol

_MAX_EVENTS = 256


class Readiness(Protocol):
    """Calls back when a file descriptor can be read. A callback may come in vain and must take that."""

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Begin to watch."""

    def forget(self, fd: int) -> None:
        """Stop watching, just before the descriptor is closed."""


class LoopReadiness:
    """The loop's own watchers: everywhere."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """See ``Readiness``."""
        self._loop.add_reader(fd, callback)

    def forget(self, fd: int) -> None:
        """See ``Readiness``."""
        self._loop.remove_reader(fd)


class EpollReadiness:
    """An epoll set of our own that the loop watches as one descriptor: Linux.

    A check's socket is watched once and closed soon after. The loop makes and unmakes a handle and changes its epoll
    set twice for that; here it is one entry, which the kernel drops when the socket is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """See ``Readiness``."""
        self._callbacks[fd] = callback
        self._epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """See ``Readiness``."""
        self._callbacks.pop(fd, None)

    def _dispatch(self) -> None:
        callbacks = self._callbacks
        for fd, _ in self._epoll.poll(0, _MAX_EVENTS):
            # A descriptor closed and given out again within this round gets its predecessor's event: in vain.
            callback = callbacks.get(fd)
            if callback is not None:
                callback()


def readiness_for(loop: asyncio.AbstractEventLoop) -> Readiness:
    """Return the cheapest way to watch sockets on this system."""
    return EpollReadiness(loop) if hasattr(select, "epoll") else LoopReadiness(loop)
