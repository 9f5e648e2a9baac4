"""Plain protocols that begin TLS when asked: real servers, scripted ones, and those that won't, can't or cheat."""

import asyncio
import contextlib
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from aiosmtpd.smtp import SMTP

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security
from monitord.domain.kinds.tcp import TcpCheck
from monitord.probes.service import ServiceChecks
from monitord.probes.tcp import TcpProber
from tests.support.authority import Authority
from tests.support.postgres import listening_server
from tests.support.targets import Peer, Script, endlessly, saying, serve

LDAP_REQUEST = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
LDAP_NAMED = b"\x8a\x16" + b"1.3.6.1.4.1.1466.20037"


def ldap_answer(code: int = 0, number: int = 1, *, form: str = "short") -> bytes:
    """An ExtendedResponse (RFC 4511, 4.12), with its lengths in the short form, or as Active Directory has them."""

    def length(size: int) -> bytes:
        return {
            "short": bytes([size]),
            "one": bytes([0x81, size]),
            "two": bytes([0x82, 0, size]),
            "three": bytes([0x83, 0, 0, size]),
            "four": bytes([0x84, 0, 0, 0, size]),
        }[form]

    body = bytes([0x0A, 1, code, 4, 0, 4, 0]) + LDAP_NAMED
    message = bytes([2, 1, number, 0x78]) + length(len(body)) + body
    return b"\x30" + length(len(message)) + message


class Dialogue:
    """A protocol's side of STARTTLS: what the server says first, and what it answers to each line or message."""

    def __init__(self, security: Security, greeting: bytes, *exchange: tuple[bytes, bytes]) -> None:
        self.security = security
        self.greeting = greeting
        self.exchange = exchange

    def script(self, context: ssl.SSLContext | None, *, last: bytes | None = None, after: bytes = b"") -> Script:
        """Keep to the protocol, and begin TLS; or give the answer ``last`` in place of the last one, and ``after`` it
        what a cheat adds."""

        async def script(peer: Peer) -> None:
            peer.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await peer.send(self.greeting)
            for index, (question, answer) in enumerate(self.exchange):
                assert await peer.reader.readexactly(len(question)) == question
                is_last = index == len(self.exchange) - 1
                await peer.send((last if is_last and last is not None else answer) + (after if is_last else b""))
            if context is None:
                await peer.silence()
                return
            await peer.secure(context, b"secured")
            await peer.silence()

        return script


EHLO = b"EHLO monitord.invalid\r\n"
SPOKEN = {
    "smtp": Dialogue(
        Security.STARTTLS_SMTP,
        b"220-mail.example\r\n220 ESMTP\r\n",
        (EHLO, b"250-mail.example\r\n250-SIZE 1000\r\n250-starttls\r\n250 HELP\r\n"),
        (b"STARTTLS\r\n", b"220 go ahead\r\n"),
    ),
    "imap": Dialogue(
        Security.STARTTLS_IMAP,
        b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n",
        (b"m1 STARTTLS\r\n", b"* CAPABILITY IMAP4rev1\r\nm1 OK begin\r\n"),
    ),
    "pop3": Dialogue(Security.STARTTLS_POP3, b"+OK ready\r\n", (b"STLS\r\n", b"+OK begin\r\n")),
    "ldap": Dialogue(Security.STARTTLS_LDAP, b"", (LDAP_REQUEST, ldap_answer())),
    "postgres": Dialogue(Security.STARTTLS_POSTGRES, b"", (bytes.fromhex("0000000804d2162f"), b"S")),
}
SAID_NO = {
    "smtp": b"454 not now\r\n",
    "imap": b"m1 BAD unknown command\r\n",
    "pop3": b"-ERR no\r\n",
    "ldap": ldap_answer(2),
    "postgres": b"N",
}


@pytest.fixture
def prober(services: ServiceChecks) -> TcpProber:
    return TcpProber(services)


async def probe(
    prober: TcpProber, port: int, security: Security, timeout_s: float = 2.0, **fields: object
) -> Observation:
    check = TcpCheck(host="localhost", port=port, security=security, **fields)  # type: ignore[arg-type]
    return await prober(check, timeout_s, trace=True)


@pytest.mark.parametrize("protocol", SPOKEN)
async def test_a_server_that_keeps_to_its_protocol(prober: TcpProber, authority: Authority, protocol: str) -> None:
    spoken = SPOKEN[protocol]
    async with serve(spoken.script(authority.server("localhost"))) as server:
        seen = await probe(prober, server.port, spoken.security, expect="^secured$")
    assert (seen.verdict, seen.ssl_ok, seen.content_ok) == (Verdict.UP, True, True), seen
    assert seen.phases.tls is not None
    assert seen.certificate_expires_at is not None


@pytest.mark.parametrize("protocol", SPOKEN)
async def test_a_server_with_a_wrong_certificate(prober: TcpProber, authority: Authority, protocol: str) -> None:
    spoken = SPOKEN[protocol]
    async with serve(spoken.script(authority.server("other.example"))) as server:
        seen = await probe(prober, server.port, spoken.security)
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TLS_HOSTNAME, False), seen


@pytest.mark.parametrize("protocol", SPOKEN)
async def test_a_server_that_refuses(prober: TcpProber, protocol: str) -> None:
    spoken = SPOKEN[protocol]
    async with serve(spoken.script(None, last=SAID_NO[protocol])) as server:
        seen = await probe(prober, server.port, spoken.security)
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TLS_REQUIRED, None), seen
    assert "won't begin TLS" in seen.message


@pytest.mark.parametrize("protocol", SPOKEN)
@pytest.mark.parametrize("packets", [1, 2])
async def test_plain_text_after_the_agreement_is_never_taken(
    prober: TcpProber, authority: Authority, protocol: str, packets: int
) -> None:
    """Whoever sits in between could have put it there (CVE-2011-0411, CVE-2021-23222)."""
    spoken = SPOKEN[protocol]
    injected = b"250 secured\r\n"
    script = spoken.script(None, after=injected)
    if packets == 2:

        async def script(peer: Peer) -> None:
            await peer.send(spoken.greeting)
            for question, answer in spoken.exchange:
                await peer.reader.readexactly(len(question))
                await peer.send(answer)
            await peer.reader.readexactly(1)  # the handshake has begun
            await peer.send(injected)
            await peer.silence()

    async with serve(script) as server:
        seen = await probe(prober, server.port, spoken.security, expect="secured", verify_tls=False)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.PROTOCOL_INVALID), seen
    assert "went on in plain text" in seen.message
    assert seen.content_ok is None


NOT_SPOKEN = {
    "ssh": saying(b"SSH-2.0-x\r\n", then="silence"),
    "noise": saying(b"\xff\xfe\x00\x01\r\n" * 10, then="silence"),
    "http": saying(b"HTTP/1.1 400 Bad Request\r\n\r\n", then="silence"),
    "an endless line": endlessly(b"x" * 10_000),
}


@pytest.mark.parametrize("protocol", SPOKEN)
@pytest.mark.parametrize("case", NOT_SPOKEN)
async def test_a_server_that_speaks_something_else(prober: TcpProber, protocol: str, case: str) -> None:
    async with serve(NOT_SPOKEN[case]) as server:
        seen = await probe(prober, server.port, SPOKEN[protocol].security)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.PROTOCOL_INVALID), seen
    assert seen.bytes_received < 256 * 1024


ENDLESS = {
    "smtp": (b"250-more\r\n", b""),
    "imap": (b"* more\r\n", b"* OK ready\r\n"),
}


@pytest.mark.parametrize("protocol", ENDLESS)
async def test_an_answer_of_endless_lines(prober: TcpProber, protocol: str) -> None:
    flood, greeting = ENDLESS[protocol]

    async def script(peer: Peer) -> None:
        await peer.send(greeting)
        await endlessly(flood * 1000)(peer)

    async with serve(script) as server:
        seen = await probe(prober, server.port, SPOKEN[protocol].security)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.PROTOCOL_INVALID), seen
    assert "more than 100 lines" in seen.message


@pytest.mark.parametrize("protocol", SPOKEN)
@pytest.mark.parametrize("end", ["silence", "close", "reset"])
async def test_a_server_that_stops_at_each_step(prober: TcpProber, protocol: str, end: str) -> None:
    spoken = SPOKEN[protocol]
    steps = len(spoken.exchange) + bool(spoken.greeting)
    for stop in range(steps):

        async def script(peer: Peer, stop: int = stop) -> None:
            said = [(b"", spoken.greeting)] if spoken.greeting else []
            for index, (question, answer) in enumerate([*said, *spoken.exchange]):
                await peer.reader.readexactly(len(question))
                if index == stop:
                    # A part of an answer is none.
                    await peer.send(answer[: len(answer) // 2])
                    break
                await peer.send(answer)
            await saying(then=end)(peer)

        began_at = time.monotonic()
        async with serve(script) as server:
            seen = await probe(prober, server.port, spoken.security, timeout_s=0.2)
        assert time.monotonic() - began_at < 0.7
        categories = {
            "silence": (Category.TIMEOUT_TTFB, Category.TIMEOUT_TOTAL),
            "close": (Category.PROTOCOL_CLOSED,),
            "reset": (Category.CONNECT_RESET,),
        }[end]
        assert (seen.verdict, seen.category in categories) == (Verdict.DOWN, True), (stop, seen)


@pytest.mark.parametrize(
    ("security", "greeting", "answers", "category"),
    [
        (Security.STARTTLS_SMTP, b"554 go away\r\n", [], Category.PROTOCOL_REFUSED),
        (Security.STARTTLS_SMTP, b"421-busy\r\n421 busy\r\n", [], Category.PROTOCOL_REFUSED),
        (Security.STARTTLS_SMTP, b"220 x\r\n", [b"250-x\r\n250 SIZE\r\n"], Category.TLS_REQUIRED),
        (Security.STARTTLS_SMTP, b"220 x\r\n", [b"250 STARTTLS\r\n"], Category.TLS_REQUIRED),
        (Security.STARTTLS_SMTP, b"220 x\r\n", [b"250-x\r\n250 XSTARTTLS\r\n"], Category.TLS_REQUIRED),
        (Security.STARTTLS_SMTP, b"220 x\r\n", [b"502 what?\r\n"], Category.TLS_REQUIRED),
        (Security.STARTTLS_SMTP, b"220 x\r\n", [b"hello\r\n"], Category.PROTOCOL_INVALID),
        (Security.STARTTLS_IMAP, b"* BYE busy\r\n", [], Category.PROTOCOL_REFUSED),
        (Security.STARTTLS_IMAP, b"* PREAUTH welcome\r\n", [], Category.TLS_REQUIRED),
        (Security.STARTTLS_IMAP, b"* OK x\r\n", [b"m1 NO not you\r\n"], Category.TLS_REQUIRED),
        (Security.STARTTLS_IMAP, b"* OK x\r\n", [b"* BYE not you\r\n"], Category.TLS_REQUIRED),
        (Security.STARTTLS_IMAP, b"* OK x\r\n", [b"hm?\r\n"], Category.PROTOCOL_INVALID),
        (Security.STARTTLS_POP3, b"-ERR busy\r\n", [], Category.PROTOCOL_REFUSED),
        (Security.STARTTLS_POP3, b"+OK x\r\n", [b"hm?\r\n"], Category.PROTOCOL_INVALID),
        (Security.STARTTLS_LDAP, b"", [ldap_answer(52, 0)], Category.PROTOCOL_REFUSED),
        (Security.STARTTLS_LDAP, b"", [b"\x30\x84\x7f\xff\xff\xff"], Category.PROTOCOL_INVALID),
        (Security.STARTTLS_LDAP, b"", [b"\x30\x80\x00\x00"], Category.PROTOCOL_INVALID),
        (Security.STARTTLS_LDAP, b"", [b"\x30\x00"], Category.PROTOCOL_INVALID),
        (Security.STARTTLS_LDAP, b"", [b"\x30\x85\x00\x00\x00\x00\x01"], Category.PROTOCOL_INVALID),
        (Security.STARTTLS_POSTGRES, b"", [b"E\x00\x00\x00\x08too many"], Category.PROTOCOL_INVALID),
        (Security.STARTTLS_POSTGRES, b"", [b"?"], Category.PROTOCOL_INVALID),
    ],
)
async def test_other_ways_not_to_begin(
    prober: TcpProber, security: Security, greeting: bytes, answers: list[bytes], category: Category
) -> None:
    async def script(peer: Peer) -> None:
        if greeting:
            await peer.send(greeting)
        for answer in answers:
            await peer.reader.readexactly(1)
            await peer.send(answer)
        await peer.silence()

    async with serve(script) as server:
        seen = await probe(prober, server.port, security)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category), seen
    assert seen.message.endswith(".")


@pytest.mark.parametrize("form", ["short", "one", "two", "three", "four"])
async def test_lengths_of_ldap_may_have_any_form(prober: TcpProber, authority: Authority, form: str) -> None:
    spoken = SPOKEN["ldap"]
    async with serve(spoken.script(authority.server("localhost"), last=ldap_answer(form=form))) as server:
        seen = await probe(prober, server.port, spoken.security, expect="secured")
    assert seen.verdict is Verdict.UP, seen


async def test_a_hang_in_the_handshake_is_told_as_one(prober: TcpProber) -> None:
    spoken = SPOKEN["pop3"]
    async with serve(spoken.script(None)) as server:
        seen = await probe(prober, server.port, spoken.security, timeout_s=0.3)
    assert (seen.verdict, seen.category, seen.ssl_ok) == (Verdict.DOWN, Category.TLS_TIMEOUT, False), seen


@contextlib.asynccontextmanager
async def smtp_server(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """aiosmtpd, on this loop."""
    servers: list[SMTP] = []

    def make() -> SMTP:
        servers.append(SMTP(object(), hostname="mail.example", tls_context=context, loop=loop))
        return servers[-1]

    loop = asyncio.get_running_loop()
    listener = await loop.create_server(make, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for each in servers:
            if each.transport is not None:
                each.transport.abort()
        await asyncio.sleep(0)


async def test_smtp_for_real(prober: TcpProber, authority: Authority) -> None:
    async with smtp_server(authority.server("localhost")) as port:
        seen = await probe(prober, port, Security.STARTTLS_SMTP, send=b"EHLO x.example\r\n", expect="250 HELP")
        wrong = await probe(prober, port, Security.STARTTLS_SMTP, expect="^220 ", send=b"QUIT\r\n")
    assert (seen.verdict, seen.ssl_ok, seen.content_ok) == (Verdict.UP, True, True), seen
    assert (wrong.category, "221 Bye" in wrong.message) == (Category.ASSERT_REGEX, True), wrong
    async with smtp_server(None) as port:
        seen = await probe(prober, port, Security.STARTTLS_SMTP)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_REQUIRED)
    assert "does not offer STARTTLS" in seen.message


@pytest.fixture(scope="module")
def postgres_address() -> Iterator[str]:
    if sys.platform != "linux":
        pytest.skip("only Linux has loopback addresses to spare")
    with listening_server() as address:
        yield address


async def test_postgres_for_real(prober: TcpProber, postgres_address: str) -> None:
    check = TcpCheck(host=postgres_address, port=5432, security=Security.STARTTLS_POSTGRES)
    seen = await prober(check, 5.0, trace=True)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_REQUIRED), seen
    assert "does not offer TLS" in seen.message
