"""The way out for what is no check, such as alerts and screenshots: the same dialler, the same policy (T1, T2)."""

import asyncio
import errno
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from monitord.domain.check import Verdict
from monitord.domain.connection import AddressFamily
from monitord.domain.target import Endpoint, InvalidTargetError, parse_endpoint
from monitord.probes.deadline import Deadlines
from monitord.probes.dial import Dialler, Policy
from monitord.probes.failure import Failure

_LOOKUP_S = 10.0
_FAMILIES = {socket.AF_INET: AddressFamily.IPV4, socket.AF_INET6: AddressFamily.IPV6}


class RefusedError(OSError):
    """The policy on addresses refused: nothing was sent, and trying again changes nothing."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EACCES, message)


class Outbound:
    """Connects to the services of others, as the policy allows."""

    def __init__(self, dialler: Dialler, policy: Policy, *, ca_file: Path | None = None) -> None:
        """Take the dialler of the checks; ``ca_file`` holds authorities to trust beside the system's."""
        self._dialler = dialler
        self._policy = policy
        self._deadlines = Deadlines()
        self.tls = ssl.create_default_context()
        """Verifies names and chains: what to connect with."""
        if ca_file is not None:
            self.tls.load_verify_locations(cafile=ca_file)

    def session(self, *, connections: int = 20, reuse: bool = True) -> aiohttp.ClientSession:
        """Return an HTTP client each of whose sockets the policy has passed; the caller closes it.

        Without ``reuse`` each request has a connection of its own: one that was kept can be closed by the other side at
        the moment of sending, and then nobody knows whether the request arrived.

        It keeps no cookies and reads no proxy from the environment, either of which would lead around the policy. What
        the policy refuses raises ``aiohttp.ClientConnectorError`` with a ``RefusedError`` as its ``os_error``.
        """
        connector = aiohttp.TCPConnector(
            limit=connections,
            force_close=not reuse,
            ssl=self.tls,
            resolver=_Resolver(self),
            use_dns_cache=False,
            socket_factory=self._open,
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)

    async def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """Return a connected, non-blocking socket, which the caller closes.

        Raises:
            RefusedError: the policy does not allow an address of ``host``.
            TimeoutError: there was no connection within ``timeout_s``.
            OSError: there is none, with the reason as its text.

        """
        deadline = self._deadlines.start(timeout_s)
        try:
            dialled = await self._dialler.dial(_endpoint(host, port), AddressFamily.ANY, deadline)
            if dialled.failure is not None:
                raise _error(dialled.failure, expired=deadline.expired)
            assert dialled.attempt is not None
            return socket.socket(fileno=dialled.attempt.sock.detach())
        finally:
            deadline.close()

    async def find(self, host: str, port: int, family: AddressFamily) -> tuple[str, ...]:
        """Return the addresses of a host, each of which the policy allows. Raises as ``connect`` does."""
        deadline = self._deadlines.start(_LOOKUP_S)
        try:
            dialled = await self._dialler.find(_endpoint(host, port), family, deadline)
            if dialled.failure is not None:
                raise _error(dialled.failure, expired=deadline.expired)
            return dialled.resolved or (host,)
        finally:
            deadline.close()

    def _open(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket for an address, which may be one that was never a name."""
        family, kind, protocol, _, address = info
        reason = self._policy.check(address[0], address[1])
        if reason is not None:
            raise RefusedError(f"{address[0]} was not dialled: {reason}.")
        return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    """Names to addresses, in the words of aiohttp."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._outbound.find(host, port, _FAMILIES.get(family, AddressFamily.ANY))
        return [
            ResolveResult(
                hostname=host,
                host=ip,
                port=port,
                family=socket.AF_INET6 if ":" in ip else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for ip in found
        ]

    async def close(self) -> None:
        await asyncio.sleep(0)


def _endpoint(host: str, port: int) -> Endpoint:
    try:
        return parse_endpoint(host, port)
    except InvalidTargetError as error:
        raise RefusedError(f"{host!r} is no host that may be dialled: {error}") from None


def _error(failure: Failure, *, expired: bool) -> OSError:
    if failure.verdict is Verdict.BLOCKED:
        return RefusedError(failure.message)
    if expired:
        return TimeoutError(failure.message)
    return OSError(failure.message)
