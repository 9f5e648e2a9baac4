"""Who calls, as far as an address tells, and whether they are still there."""

import asyncio
import contextlib
import ipaddress
from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias

from aiohttp import web

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOOK_S = 0.5


class Proxies:
    """The reverse proxies that may say for whom they ask."""

    def __init__(self, networks: Collection[str]) -> None:
        """Take networks such as ``10.0.0.0/8``; with none, nobody's word counts."""
        self._networks: Sequence[Network] = [ipaddress.ip_network(network) for network in networks]

    def caller(self, request: web.Request) -> str:
        """Return the address of whoever asks.

        ``X-Forwarded-For`` is read from its end, as far as one trusted proxy names the next: what stands before that
        was written by strangers.
        """
        address = _address(request.remote or "")
        if address is None:
            return "unknown"
        hops = [hop.strip() for line in request.headers.getall("X-Forwarded-For", ()) for hop in line.split(",")]
        while hops and self._trusts(address):
            named = _address(hops.pop())
            if named is None:
                break
            address = named
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


class Presence:
    """Ends the calls whose callers have gone.

    aiohttp's server would do so for every handler or for none, and a job's ping counts also when the job hangs up at
    once.
    """

    def __init__(self) -> None:
        self._open: dict[asyncio.Task[object], web.Request] = {}

    @contextlib.contextmanager
    def watched(self, request: web.Request) -> Iterator[None]:
        """Cancel the running task within a second of the caller's leaving, while the block runs."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = request
        try:
            yield
        finally:
            del self._open[task]

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for task, request in list(self._open.items()):
                if request.transport is None:
                    task.cancel()
