"""Resolvers that monitors bring: names to addresses by a DNS server of their own choice."""

import asyncio
from collections import OrderedDict

import dns.exception
import dns.name
import dns.rcode
import dns.rdatatype

from monitord.domain.check import Category
from monitord.domain.connection import AddressFamily
from monitord.domain.kinds.dns import DNS_PORT
from monitord.domain.target import InvalidTargetError, parse_server
from monitord.probes.deadline import Deadline
from monitord.probes.dns_client import DnsClient, Server
from monitord.probes.dns_message import AliasLoopError, Question, records_of
from monitord.probes.failure import Failure, ours
from monitord.probes.resolver import Resolver
from monitord.probes.trial import StepError, Trial

MAX_ADDRESSES = 64
_MAX_RESOLVERS = 1024

_TYPES = {
    AddressFamily.ANY: (dns.rdatatype.AAAA, dns.rdatatype.A),
    AddressFamily.IPV6: (dns.rdatatype.AAAA,),
    AddressFamily.IPV4: (dns.rdatatype.A,),
}


class ServerResolvers:
    """Makes resolvers, and keeps the last ones. See ``resolver.Resolvers``."""

    def __init__(self, client: DnsClient) -> None:
        self._client = client
        self._made: OrderedDict[str, Resolver] = OrderedDict()

    def at(self, server: str) -> Resolver | None:
        """Return a resolver that asks ``server``, an address with an optional port; None for the empty one."""
        if not server:
            return None
        resolver = self._made.get(server)
        if resolver is None:
            resolver = self._made[server] = ServerResolver(self._client, server)
            if len(self._made) > _MAX_RESOLVERS:
                self._made.popitem(last=False)
        return resolver


class ServerResolver:
    """See ``resolver.Resolver``. Asks freshly each time; the addresses are judged by whoever dials them."""

    def __init__(self, client: DnsClient, server: str) -> None:
        self._client = client
        self._text = server

    async def resolve(self, name: str, family: AddressFamily, deadline: Deadline) -> tuple[str, ...] | Failure:
        """See ``Resolver``. IPv6 comes first; where there is no route for it, the race goes on at once."""
        try:
            server = Server(endpoint=parse_server(self._text, DNS_PORT))
            asked = dns.name.from_text(name)
        except InvalidTargetError as error:
            return ours(Category.ENGINE_INTERNAL, f"The resolver of this monitor can't be used: {error}.")
        except dns.exception.DNSException:
            return Failure(Category.DNS_INVALID_NAME, f"{name} is not a name that can be looked up.")
        answers = await asyncio.gather(
            *(self._ask(name, Question(asked, int(kind)), server, deadline) for kind in _TYPES[family])
        )
        addresses = [ip for answer in answers if isinstance(answer, list) for ip in answer]
        if addresses:
            return tuple(dict.fromkeys(addresses[:MAX_ADDRESSES]))
        failures = [answer for answer in answers if isinstance(answer, Failure)]
        # That a name does not exist says more than that one of two questions got no answer.
        return min(failures, key=lambda failure: _RANK.get(failure.category, len(_RANK)))

    async def _ask(self, name: str, question: Question, server: Server, deadline: Deadline) -> list[str] | Failure:
        where = server.endpoint.authority
        try:
            message = await self._client.ask(question, server, Trial(deadline))
            rcode = dns.rcode.to_text(message.rcode())
            if rcode == "NXDOMAIN":
                return Failure(Category.DNS_NXDOMAIN, f"The name {name} does not exist, says the DNS server {where}.")
            if rcode != "NOERROR":
                return Failure(Category.DNS_SERVFAIL, f"The DNS server {where} could not answer for {name} ({rcode}).")
            found = records_of(message, question)
        except StepError as error:
            return _of_the_server(error.failure, where)
        except AliasLoopError:
            return Failure(Category.DNS_SERVFAIL, f"The aliases of {name} lead in a circle, says {where}.")
        if found is None:
            return Failure(Category.DNS_NO_ADDRESS, f"{name} exists but has no address of the kind asked for.")
        return [str(each) for each in found]


_RANK = {
    category: rank
    for rank, category in enumerate(
        (
            Category.POLICY_BLOCKED,
            Category.DNS_NXDOMAIN,
            Category.DNS_SERVFAIL,
            Category.DNS_TIMEOUT,
            Category.PROTOCOL_INVALID,
        )
    )
}


def _of_the_server(failure: Failure, where: str) -> Failure:
    """Return what a failure to talk to the server means for the name."""
    if failure.category in (Category.CONNECT_REFUSED, Category.CONNECT_TIMEOUT, Category.CONNECT_UNREACHABLE):
        return Failure(Category.DNS_TIMEOUT, f"The DNS server {where} gave no answer: {failure.message}")
    return failure
