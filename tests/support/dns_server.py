"""A real DNS server on loopback: UDP, TCP and TLS, with a zone as data; and ways to misbehave."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

Zone = dict[tuple[str, str], list[str]]
"""Records as zone files write them, by name and type."""

Packets = Callable[[bytes, dns.message.Message], list[bytes]]
"""From a question on the wire, and the right answer to it, to the packets that are sent back."""


class DnsServer:
    """Answers from its zone. ``rcodes`` has names that get a response code instead."""

    def __init__(self, zone: Zone, packets: Packets | None = None, *, flags: int = 0) -> None:
        self.zone = zone
        self.rcodes: dict[str, str] = {}
        self.flags = flags
        self.questions: list[dns.message.Message] = []
        self.port = 0
        self.tcp_questions = 0
        self._packets = packets or (lambda wire, answer: [answer.to_wire(max_size=65535)])

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA | self.flags
        name, kind = query.question[0].name, query.question[0].rdtype
        code = self.rcodes.get(str(name))
        if code is not None:
            response.set_rcode(dns.rcode.from_text(code))
            return response
        for _ in range(20):
            key = str(name).lower()  # names are the same in any case (RFC 4343)
            records = self.zone.get((key, dns.rdatatype.to_text(kind)))
            if records is not None:
                response.answer.append(dns.rrset.from_text_list(name, 60, dns.rdataclass.IN, kind, records))
                return response
            alias = self.zone.get((key, "CNAME"))
            if alias is None:
                break
            response.answer.append(dns.rrset.from_text_list(name, 60, dns.rdataclass.IN, dns.rdatatype.CNAME, alias))
            name = dns.name.from_text(alias[0])
        if not response.answer and not any(known == str(name).lower() for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def packets(self, wire: bytes) -> list[bytes]:
        query = dns.message.from_wire(wire)
        self.questions.append(query)
        return self._packets(wire, self.answer(query))

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            size = int.from_bytes(await reader.readexactly(2), "big")
            self.tcp_questions += 1
            for packet in self.packets(await reader.readexactly(size)):
                writer.write(len(packet).to_bytes(2, "big") + packet)
            await writer.drain()
        writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self.server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for packet in self.server.packets(data):
            self.transport.sendto(packet, addr)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def serve_dns(server: DnsServer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[DnsServer]:
    """Serve on one port of loopback, UDP and TCP; or TLS in place of TCP."""
    loop = asyncio.get_running_loop()
    stream = await asyncio.start_server(server.stream, "127.0.0.1", 0, ssl=tls)
    server.port = stream.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), ("127.0.0.1", server.port))
    try:
        yield server
    finally:
        transport.close()
        stream.close()
        await asyncio.sleep(0)
