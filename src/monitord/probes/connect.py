"""Connecting to addresses that the policy has allowed, raced as RFC 8305 says."""

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from monitord.domain.check import Category, Verdict
from monitord.probes.deadline import Deadline
from monitord.probes.failure import Failure, ours

Greeting: TypeAlias = Callable[[], bytes]
"""Makes the first bytes that a client sends."""

ATTEMPT_DELAY_S = 0.25
"""Head start of each address over the next (RFC 8305, 5)."""

_NONBLOCKING = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
_DATAGRAM = socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)
_ECHO_OPTIONS = {
    # Tell how many hops a reply had left, and of ICMP errors: numbers of Linux where Python has no names.
    False: ((socket.IPPROTO_IP, getattr(socket, "IP_RECVTTL", 12)), (socket.IPPROTO_IP, 11)),
    True: ((socket.IPPROTO_IPV6, getattr(socket, "IPV6_RECVHOPLIMIT", 51)), (socket.IPPROTO_IPV6, 25)),
}
PING_RIGHTS = (
    "the system gives it no right to send echo requests (on Linux, widen net.ipv4.ping_group_range to its group, "
    "or give it CAP_NET_RAW)"
)
_PENDING = (errno.EINPROGRESS, errno.EWOULDBLOCK)
_NOT_YET = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS, errno.EINTR, errno.ENOTCONN)
_NO_ROUTE = (
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.EACCES,
    errno.EPERM,
    errno.EAFNOSUPPORT,
    errno.EINVAL,
)


def endpoint(ip: str, port: int) -> str:
    """Return an address and port as people write them; the address alone where there are no ports (0)."""
    if not port:
        return ip
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


class Attempt(msgspec.Struct):
    """A connection begun. Its owner closes the socket."""

    sock: socket.SocketType
    ip: str
    connected_at: float | None = None
    """Of ``time.monotonic``; None while it is being made."""
    sent: int = 0
    """How many bytes of the greeting are sent."""


def open_connection(ip: str, port: int, greeting: Greeting | None = None) -> Attempt | Failure:
    """Begin a fresh TCP connection; return it, or why there is none.

    The greeting is sent at once if the connection is complete by then, as it is on this machine: that spares a turn of
    the loop. An error that connect(2) returns at once was decided here, before any packet could be answered, and is
    therefore our own (I9), except a refusal: a loopback target's answer arrives within the call.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        # The type beneath socket.socket: a check needs nothing that the wrapper adds, and it is cheaper to make.
        sock = socket.SocketType(family, _NONBLOCKING, socket.IPPROTO_TCP)
    except OSError as error:
        return _local_failure(error.errno, ip, port, family)
    try:
        if not hasattr(socket, "SOCK_NONBLOCK"):
            sock.setblocking(False)
        number = sock.connect_ex((ip, port))
        if number and number not in _PENDING:
            sock.close()
            return connect_failure(number, ip, port) if _answered(number) else _local_failure(number, ip, port, family)
        connected_at = time.monotonic()
        if greeting is None:
            return Attempt(sock, ip)
        return Attempt(sock, ip, connected_at, sock.send(greeting()))
    except OSError as error:
        if error.errno in _NOT_YET:
            return Attempt(sock, ip)
        sock.close()
        return connect_failure(error.errno or 0, ip, port)
    except BaseException:
        sock.close()
        raise


def open_datagram(ip: str, port: int) -> Attempt | Failure:
    """Open a UDP socket towards an address: it sends there, and takes packets from there alone."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        sock = socket.SocketType(family, _DATAGRAM, socket.IPPROTO_UDP)
    except OSError as error:
        return _local_failure(error.errno, ip, port, family)
    sock.setblocking(False)
    number = sock.connect_ex((ip, port))
    if number:
        sock.close()
        return _local_failure(number, ip, port, family)
    return Attempt(sock, ip, time.monotonic())


def open_echo(ip: str) -> Attempt | Failure:
    """Open a socket for echo requests: one that needs no rights where the kernel gives it, else a raw one.

    Linux gives the first kind to the groups of net.ipv4.ping_group_range, the second to CAP_NET_RAW.
    """
    is_six = ":" in ip
    family = socket.AF_INET6 if is_six else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if is_six else socket.IPPROTO_ICMP
    sock = None
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            sock = socket.SocketType(family, kind | getattr(socket, "SOCK_CLOEXEC", 0), protocol)
            break
        except OSError as error:
            number = error.errno
    if sock is None:
        if number in (errno.EMFILE, errno.ENFILE):
            return _local_failure(number, ip, 0, family)
        return ours(Category.ENGINE_UNSUPPORTED, f"monitord may not ping {ip} from here: {PING_RIGHTS}.")
    sock.setblocking(False)
    for level, option in _ECHO_OPTIONS[is_six]:
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, 1)
    number = sock.connect_ex((ip, 0))
    if number:
        sock.close()
        return _local_failure(number, ip, 0, family)
    return Attempt(sock, ip, time.monotonic())


def may_ping() -> bool:
    """Return whether this process has the right to send echo requests, over IPv4 or IPv6."""
    for ip in ("127.0.0.1", "::1"):
        attempt = open_echo(ip)
        if isinstance(attempt, Attempt):
            attempt.sock.close()
            return True
    return False


def _answered(number: int) -> bool:
    return number in (errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT)


def connect_failure(number: int, ip: str, port: int) -> Failure:
    """Return what an error means that the network or the target answered with."""
    where = endpoint(ip, port)
    if number == errno.ECONNREFUSED:
        return Failure(Category.CONNECT_REFUSED, f"Nothing listens on {where}: the connection was refused.")
    if number == errno.ETIMEDOUT:
        return Failure(Category.CONNECT_TIMEOUT, f"{where} did not answer the attempts to connect.")
    if number in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return Failure(Category.CONNECT_RESET, f"{where} reset the connection while it was being made.")
    return Failure(
        Category.CONNECT_UNREACHABLE, f"The network reported that {where} cannot be reached ({_name(number)})."
    )


def _local_failure(number: int | None, ip: str, port: int, family: int) -> Failure:
    where = endpoint(ip, port)
    if number in (errno.EMFILE, errno.ENFILE):
        return ours(Category.ENGINE_FD, f"monitord had no file descriptor left to connect to {where}.")
    if number == errno.EADDRNOTAVAIL and family == socket.AF_INET:
        return ours(Category.ENGINE_OVERLOAD, f"monitord had no local port left to connect to {where} from.")
    if number in _NO_ROUTE or number == errno.EADDRNOTAVAIL:
        return ours(Category.ENGINE_NETWORK_DOWN, f"monitord's own machine has no route to {where} ({_name(number)}).")
    return ours(Category.ENGINE_OVERLOAD, f"monitord's own machine could not connect to {where} ({_name(number)}).")


def _name(number: int | None) -> str:
    return errno.errorcode.get(number or 0, "unknown error")


async def race(
    first: Attempt | Failure, addresses: Sequence[str], port: int, deadline: Deadline
) -> tuple[Attempt | Failure, str]:
    """Go on from the attempt at the first address until one of them accepts.

    Returns the connection, or why there is none, and the address that is about.
    """
    return await _Race(asyncio.get_running_loop(), addresses, port).run(first, deadline)


class _Race:
    """Attempts to connect to several addresses, each with a head start over the next; the first to connect wins."""

    def __init__(self, loop: asyncio.AbstractEventLoop, addresses: Sequence[str], port: int) -> None:
        self._loop = loop
        self._addresses = iter(addresses)
        self._port = port
        self._open: dict[socket.SocketType, Attempt] = {}
        self._failures: list[tuple[Failure, str]] = []
        self._done: asyncio.Future[None] = loop.create_future()
        self._stagger: asyncio.TimerHandle | None = None
        self._winner: Attempt | None = None

    async def run(self, first: Attempt | Failure, deadline: Deadline) -> tuple[Attempt | Failure, str]:
        """Go on from the first address's attempt, already begun."""
        try:
            self._begun(next(self._addresses), first)
            if not self._done.done():
                await deadline.wait(self._done)
            if self._winner is not None:
                winner, self._winner = self._winner, None
                return winner, winner.ip
            return self._lost(deadline)
        finally:
            self._close()

    def _next(self) -> None:
        self._cancel_stagger()
        ip = next(self._addresses, None)
        if ip is not None:
            self._begun(ip, open_connection(ip, self._port))
        elif not self._open:
            self._finish()

    def _begun(self, ip: str, attempt: Attempt | Failure) -> None:
        if isinstance(attempt, Failure):
            self._failures.append((attempt, ip))
            self._next()
            return
        self._open[attempt.sock] = attempt
        self._loop.add_writer(attempt.sock.fileno(), self._settle, attempt)
        self._stagger = self._loop.call_later(ATTEMPT_DELAY_S, self._next)

    def _settle(self, attempt: Attempt) -> None:
        sock = attempt.sock
        self._loop.remove_writer(sock.fileno())
        del self._open[sock]
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            sock.close()
            self._failures.append((connect_failure(number, attempt.ip, self._port), attempt.ip))
            self._next()
        elif self._winner is not None:
            sock.close()
        else:
            attempt.connected_at = time.monotonic()
            self._winner = attempt
            self._finish()

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _lost(self, deadline: Deadline) -> tuple[Failure, str]:
        if self._open:
            silent = [attempt.ip for attempt in self._open.values()]
            where = " and ".join(endpoint(ip, self._port) for ip in silent[:3])
            if deadline.late:
                return ours(Category.ENGINE_OVERLOAD, f"monitord was too busy to connect to {where}."), silent[-1]
            return Failure(Category.CONNECT_TIMEOUT, f"{where} did not accept a connection in time."), silent[-1]
        # What a target answered says more than what our own machine could not do, such as IPv6 without a route (I9).
        theirs = [each for each in self._failures if each[0].verdict is Verdict.DOWN]
        return (theirs or self._failures)[-1]

    def _cancel_stagger(self) -> None:
        if self._stagger is not None:
            self._stagger.cancel()
            self._stagger = None

    def _close(self) -> None:
        self._cancel_stagger()
        for sock in self._open:
            self._loop.remove_writer(sock.fileno())
            sock.close()
        self._open.clear()
        if self._winner is not None:
            self._winner.sock.close()
            self._winner = None
