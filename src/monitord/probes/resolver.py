"""Names to addresses, with failures as values."""

import asyncio
import errno
import os
import queue
import socket
import threading
import time
from typing import Protocol

import msgspec

from monitord.domain.check import Category
from monitord.domain.connection import AddressFamily
from monitord.probes.deadline import Deadline
from monitord.probes.failure import Failure, ours

_FAMILIES = {
    AddressFamily.ANY: socket.AF_UNSPEC,
    AddressFamily.IPV4: socket.AF_INET,
    AddressFamily.IPV6: socket.AF_INET6,
}
_RESOLVER_TIMEOUT_S = 4.5
"""getaddrinfo says EAI_AGAIN for a server's failure and for silence alike; after 5 s (resolv.conf) it was silence."""
_IDLE_S = 30.0


class Resolver(Protocol):
    """Asks for the addresses of a name, freshly each time."""

    async def resolve(self, name: str, family: AddressFamily, deadline: Deadline) -> tuple[str, ...] | Failure:
        """Return the addresses in the order of preference (RFC 6724), at least one; or why there are none."""


class Resolvers(Protocol):
    """Knows the DNS servers that monitors bring."""

    def at(self, server: str) -> Resolver | None:
        """Return a resolver that asks ``server``, an address with an optional port; None for the empty one."""


class _Lookup(msgspec.Struct, eq=False):
    name: str
    family: int
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[None]"
    started: bool = False
    abandoned: bool = False
    outcome: tuple[str, ...] | Failure | None = None


class SystemResolver:
    """The resolver of the system (getaddrinfo), in a bounded pool of threads of its own.

    getaddrinfo blocks and cannot be cancelled: a lookup past its deadline is abandoned and its thread busy until the
    system gives up. The threads are daemons, so that a silent resolver cannot hold up the end of the process. When all
    are busy, a lookup that never began is our own failure (engine.overload), not the name's.
    """

    def __init__(self, max_threads: int = 64) -> None:
        """Make a resolver that has at most ``max_threads`` lookups at once; threads are started when needed."""
        self._max_threads = max_threads
        self._queue: queue.SimpleQueue[_Lookup] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._outstanding = 0

    async def resolve(self, name: str, family: AddressFamily, deadline: Deadline) -> tuple[str, ...] | Failure:
        """See ``Resolver``."""
        loop = asyncio.get_running_loop()
        lookup = _Lookup(name, _FAMILIES[family], loop, loop.create_future())
        self._submit(lookup)
        try:
            await deadline.wait(lookup.done)
        finally:
            lookup.abandoned = True
        if lookup.outcome is not None:
            return lookup.outcome
        if not lookup.started:
            return ours(
                Category.ENGINE_OVERLOAD,
                f"Looking up {name} never began: monitord was busy with {self._max_threads} other lookups.",
            )
        return Failure(Category.DNS_TIMEOUT, f"The resolver did not answer for {name} within the timeout.")

    def _submit(self, lookup: _Lookup) -> None:
        with self._lock:
            self._outstanding += 1
            start = self._outstanding > self._threads and self._threads < self._max_threads
            self._threads += start
        self._queue.put(lookup)
        if start:
            threading.Thread(target=self._serve, name="monitord-resolver", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                lookup = self._queue.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._lock:
                    # A lookup queued since counted this thread as there for it.
                    if self._outstanding >= self._threads:
                        continue
                    self._threads -= 1
                    return
            if not lookup.abandoned:
                lookup.started = True
                lookup.outcome = _ask(lookup.name, lookup.family)
            with self._lock:
                self._outstanding -= 1
            if not lookup.abandoned:
                try:
                    lookup.loop.call_soon_threadsafe(_finish, lookup.done)
                except RuntimeError:
                    # The loop was closed meanwhile: nobody waits.
                    continue


def _finish(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


def _ask(name: str, family: int) -> tuple[str, ...] | Failure:
    began = time.monotonic()
    try:
        # As bytes the name skips Python's own IDNA 2003 codec: it is in ASCII already (see Target.host).
        answers = socket.getaddrinfo(name.encode("ascii"), None, family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except socket.gaierror as error:
        return _explain(name, error, time.monotonic() - began)
    except UnicodeError:
        return Failure(Category.DNS_INVALID_NAME, f"{name} is not a name that can be looked up.")
    except OSError as error:
        return _local(name, error.errno)
    addresses = dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in answers)
    return tuple(addresses) or Failure(Category.DNS_NO_ADDRESS, f"{name} exists but has no address of that kind.")


def _explain(name: str, error: socket.gaierror, took_s: float) -> Failure:
    code = error.errno
    if _out_of_descriptors():
        return _local(name, None)
    if code == socket.EAI_NONAME:
        return Failure(Category.DNS_NXDOMAIN, f"The name {name} does not exist in the DNS.")
    if code in (getattr(socket, "EAI_NODATA", None), getattr(socket, "EAI_ADDRFAMILY", None)):
        return Failure(Category.DNS_NO_ADDRESS, f"{name} exists but has no address of the kind asked for.")
    if code == socket.EAI_AGAIN and took_s >= _RESOLVER_TIMEOUT_S:
        return Failure(Category.DNS_TIMEOUT, f"The resolver got no answer for {name} within {took_s:.1f} s.")
    if code == socket.EAI_MEMORY:
        return ours(Category.ENGINE_OVERLOAD, f"monitord had no memory left to look up {name}.")
    return Failure(Category.DNS_SERVFAIL, f"The DNS servers could not answer for {name} ({error.strerror}).")


def _out_of_descriptors() -> bool:
    """glibc reports its own lack of a descriptor as a missing name or a failed server: look for ourselves (I9)."""
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def _local(name: str, number: int | None) -> Failure:
    if number in (errno.EMFILE, errno.ENFILE) or _out_of_descriptors():
        return ours(Category.ENGINE_FD, f"monitord had no file descriptor left to look up {name}.")
    return ours(Category.ENGINE_NETWORK_DOWN, f"The system's resolver could not be used to look up {name}.")
