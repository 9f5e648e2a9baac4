"""What a server in place of a MySQL can do to the check, on the wire; and MySQL's own way to sign in, scripted."""

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.domain.secrets import Secret
from monitord.probes import mysql_packets as packets
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.mysql import MysqlProber
from monitord.probes.resolver import SystemResolver
from monitord.probes.tls import Tls
from tests.support.authority import Authority
from tests.support.bounds import bounded
from tests.support.mysql_wire import (
    ANSWERED,
    BEGUN,
    COLUMN,
    DEFAULT,
    END,
    EOF,
    NONCE,
    OK,
    OLD,
    SIGNED_IN,
    WHOLE,
    error,
    greeting,
    packet,
    said,
    series,
    switch,
    text,
)
from tests.support.probing import service_checks
from tests.support.targets import Peer, Script, Server, black_hole, serve, unused_port
from tests.support.tls_front import to_port

PASSWORD = "correct horse battery"
ASKED = {"user": "app", "password": Secret(PASSWORD), "query": "SELECT state FROM jobs", "expect": "^done$"}
TIMEOUT_S = 0.5
SHA2 = "caching_sha2_password"


@pytest.fixture
def prober(tls: Tls) -> MysqlProber:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    return MysqlProber(service_checks(dialler, tls))


async def probe(prober: MysqlProber, port: int, timeout_s: float = TIMEOUT_S, **fields: object) -> Observation:
    check = MysqlCheck(**({"host": "127.0.0.1", "port": port} | fields))  # type: ignore[arg-type]
    async with bounded(timeout_s):
        seen = await prober(check, timeout_s, trace=True)
    assert PASSWORD not in repr(seen)
    assert seen.message.isprintable()
    return seen


def saying(*parts: bytes, then: str = "silence", flood: bytes = b"") -> Script:
    """Say things at once, and then flood, close, reset or stay silent."""

    async def script(peer: Peer) -> None:
        for part in parts:
            await peer.send(part)
        while flood:
            await peer.send(flood)
            await asyncio.sleep(0)
        if then == "reset":
            peer.reset()
        elif then == "silence":
            await peer.silence()

    return script


INVALID, CLOSED, REFUSED = Category.PROTOCOL_INVALID, Category.PROTOCOL_CLOSED, Category.PROTOCOL_REFUSED
AUTH, FAILED, LARGE = Category.AUTH_REFUSED, Category.QUERY_FAILED, Category.BODY_TOO_LARGE
TTFB, TOTAL = Category.TIMEOUT_TTFB, Category.TIMEOUT_TOTAL
READY = SIGNED_IN + BEGUN
HELLO = greeting()

CASES: dict[str, tuple[Script, Category | None, str]] = {
    "all is well": (saying(WHOLE), None, ""),
    "all is well, with EOF packets": (
        saying(greeting(capabilities=OLD), packet(2, OK), BEGUN, series(b"\x01", COLUMN, EOF, text(b"done"), EOF)),
        None,
        "",
    ),
    "RST": (saying(then="reset"), Category.CONNECT_RESET, ""),
    "silence": (saying(), TTFB, ""),
    "silence after a piece of a head": (saying(b"\x4a\0"), TOTAL, ""),
    "silence after the greeting": (saying(HELLO), TOTAL, ""),
    "silence after the sign-in": (saying(SIGNED_IN), TOTAL, ""),
    "silence in the query": (saying(READY), TOTAL, ""),
    "silence in the rows": (saying(READY, series(b"\x01", COLUMN, text(b"done"))), TOTAL, ""),
    "closed at once": (saying(then="close"), CLOSED, "without an answer"),
    "closed after the greeting": (saying(HELLO, then="close"), CLOSED, ""),
    "closed in the query": (saying(READY, series(b"\x01"), then="close"), CLOSED, ""),
    "truncated greeting": (saying(HELLO[:-9], then="close"), CLOSED, ""),
    # Other protocols
    "HTTP": (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), INVALID, "which is HTTP"),
    "an SSH banner": (saying(b"SSH-2.0-OpenSSH_9.9\r\n"), INVALID, "which is SSH"),
    "SMTP": (saying(b"220 mail.example ESMTP\r\n"), INVALID, "SMTP"),
    "Redis": (saying(b"-DENIED Redis is running in protected mode\r\n"), INVALID, "which is Redis"),
    "garbage": (saying(b"\xff\xfe\0\x01\x02\x1b[31m" * 9), INVALID, ""),
    "NULs": (saying(bytes(99)), INVALID, ""),
    # Greetings
    "protocol 9": (saying(packet(0, b"\x09" + HELLO[5:])), INVALID, ""),
    "a short greeting": (saying(packet(0, HELLO[4:30])), INVALID, ""),
    "a greeting without an end of its version": (saying(packet(0, b"\x0a" + b"8" * 99)), INVALID, ""),
    "a greeting of 64 KiB": (saying(b"\xff\xff\0\0" + b"\x0a" * 65535), INVALID, ""),
    "a greeting with a number": (saying(packet(7, HELLO[4:])), INVALID, ""),
    "before 4.1": (saying(greeting(capabilities=packets.LONG_PASSWORD)), INVALID, "4.1"),
    "too many connections": (saying(packet(0, error(1040, "Too many connections", ""))), REFUSED, "1040"),
    "host blocked": (saying(packet(0, error(1129, "Host is blocked", ""))), REFUSED, "1129"),
    "host not allowed": (saying(packet(0, error(1130, "Host is not allowed", ""))), REFUSED, "1130"),
    "an error without a number": (saying(packet(0, b"\xff\x01")), INVALID, ""),
    # Lengths and numbers
    "a packet of 16 MiB": (saying(HELLO, b"\xff\xff\xff\x02"), LARGE, ""),
    "a packet over 1 MiB": (saying(READY, series(b"\x01", COLUMN), b"\0\0\x20\x03"), LARGE, ""),
    "an empty packet": (saying(HELLO, packet(2, b"")), INVALID, "empty"),
    "a number that is out of turn": (saying(HELLO, packet(3, OK)), INVALID, "packet 3 where 2 was due"),
    "a number that comes again": (saying(HELLO, packet(2, OK), series(OK, first=2)), INVALID, "packet 2"),
    "no columns that can be counted": (saying(READY, series(b"\xfc\x01")), INVALID, "a count of columns"),
    "too many columns": (saying(READY, series(b"\xfd\xff\xff\x00")), INVALID, "a count of columns"),
    "a column longer than its row": (saying(READY, series(b"\x01", COLUMN, b"\xfc\xff\xff")), INVALID, "cut off"),
    "a column of 2^64": (saying(READY, series(b"\x02", COLUMN, COLUMN, b"\x01x\xfe" + b"\xff" * 8)), INVALID, "cut"),
    "fewer columns than were told": (saying(READY, series(b"\x02", COLUMN, COLUMN, b"\x01x")), INVALID, "cut off"),
    "more columns than were told": (saying(READY, series(b"\x01", COLUMN, b"\x01x\x01y")), INVALID, "longer"),
    "a length that is none": (saying(READY, series(b"\x02", COLUMN, COLUMN, b"\x01x\xff")), INVALID, "cut off"),
    # Floods
    "columns without end": (saying(READY, flood=series(b"\xfc\x00\x10", *[COLUMN] * 200)), INVALID, ""),
    "rows without end": (
        saying(READY, series(b"\x01", COLUMN, text(b"done")), flood=packet(4, text(b"done"))),
        None,
        "",
    ),
    "an endless packet": (saying(READY, series(b"\x01", COLUMN), b"\xff\xff\x0f\x03", flood=bytes(65536)), INVALID, ""),
    # Signing in
    "a refusal": (saying(HELLO, packet(2, error(1045, "Access denied", "28000"))), AUTH, "1045, 28000"),
    "a refusal that quotes the password": (saying(HELLO, packet(2, error(1045, f"no {PASSWORD}"))), AUTH, "<password>"),
    "a refusal with controls": (saying(HELLO, packet(2, error(1045, "a\x1b[2Jb\u202ec\n"))), AUTH, ""),
    "too many of this user": (saying(HELLO, packet(2, error(1203, "too many"))), REFUSED, "1203"),
    "no such database": (saying(HELLO, packet(2, error(1049, "Unknown database", "42000"))), AUTH, "1049"),
    "the clear": (saying(HELLO, packet(2, switch("mysql_clear_password", b""))), AUTH, "in the clear"),
    "the old way": (saying(HELLO, packet(2, b"\xfe")), AUTH, "before MySQL 4.1"),
    "ed25519": (saying(HELLO, packet(2, switch("client_ed25519", b"x" * 32))), AUTH, "client_ed25519, which is not"),
    "a dialog": (saying(HELLO, packet(2, switch("dialog", b"\x04Password: "))), AUTH, "dialog"),
    "a name with controls": (saying(HELLO, packet(2, switch("a\x1b[31m"))), AUTH, ""),
    "a switch that comes again": (
        saying(HELLO, packet(2, switch("mysql_native_password")), packet(4, switch(SHA2))),
        INVALID,
        "a second change",
    ),
    "a nonce of 5 bytes": (saying(HELLO, packet(2, switch(SHA2, b"short"))), INVALID, "a nonce of 5 bytes"),
    "no nonce": (saying(HELLO, packet(2, switch(SHA2, b""))), INVALID, "a nonce of 0 bytes"),
    "more data, without a reason": (saying(HELLO, packet(2, b"\x01\x04")), INVALID, "during the sign-in"),
    "a step that is none": (saying(greeting(SHA2), packet(2, b"\x01\x07")), INVALID, "as a step of"),
    "steps without end": (saying(greeting(SHA2), series(*[b"\x01\x03"] * 20, first=2)), INVALID, "as a step of"),
    "a request for a file, in the sign-in": (saying(HELLO, packet(2, b"\xfb/etc/passwd")), INVALID, ""),
    # The query
    "a request for a file": (saying(READY, series(b"\xfb/etc/passwd")), INVALID, "a file of this machine"),
    "an error": (saying(READY, series(error(1146, "Table doesn't exist", "42S02"))), FAILED, "1146, 42S02"),
    "an error in the rows": (saying(READY, series(b"\x01", COLUMN, error(3024, "time"))), TOTAL, "3024"),
    "an error after a row": (saying(READY, series(b"\x01", COLUMN, text(b"x"), error(1317, "killed"))), TOTAL, "1317"),
    "shutting down": (saying(READY, series(error(1053, "Server shutdown in progress"))), REFUSED, "1053"),
    "no read-only transactions": (saying(SIGNED_IN, series(OK), series(error(1064, "syntax"))), FAILED, "1064"),
    "limits that are not known": (
        saying(SIGNED_IN, series(error(1193, "unknown")), series(OK) * 2, ANSWERED),
        None,
        "",
    ),
    "columns without their end": (
        saying(greeting(capabilities=OLD), packet(2, OK), BEGUN, series(b"\x01", COLUMN, text(b"done"))),
        INVALID,
        "columns without an end",
    ),
    "no rows": (saying(READY, series(b"\x01", COLUMN, END)), Category.ASSERT_REGEX, "no row"),
    "no result": (saying(READY, series(OK)), Category.ASSERT_REGEX, "no row"),
    "the query quotes the password": (
        saying(READY, series(b"\x01", COLUMN, text(PASSWORD.encode()), END)),
        Category.ASSERT_REGEX,
        "<password>",
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_server_that_misbehaves(prober: MysqlProber, case: str) -> None:
    script, category, words = CASES[case]
    async with serve(script) as server:
        seen = await probe(prober, server.port, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.UP if category is None else Verdict.DOWN, category)
    assert words in seen.message


async def test_nothing_listens_and_nobody_answers(prober: MysqlProber) -> None:
    assert (await probe(prober, unused_port(), **ASKED)).category is Category.CONNECT_REFUSED
    with black_hole() as port:
        assert (await probe(prober, port, **ASKED)).category is Category.CONNECT_TIMEOUT


async def test_what_we_say_that_we_can(prober: MysqlProber) -> None:
    """Neither several statements at once nor files of ours: a server could not do it even if the query asked."""
    heard: list[tuple[int, bytes]] = []

    async def script(peer: Peer) -> None:
        await peer.send(greeting(capabilities=0xFFFFFFFF & ~packets.SSL))
        heard.append(await said(peer))
        await peer.send(packet(2, OK))
        for answer in (OK, OK, OK):
            heard.append(await said(peer))
            await peer.send(packet(1, answer))
        heard.append(await said(peer))
        await peer.send(packet(1, b"\xfb/etc/passwd"))
        heard.append(await said(peer))
        await peer.silence()

    async with serve(script) as server:
        seen = await probe(prober, server.port, **ASKED)
    capabilities = int.from_bytes(heard[0][1][:4], "little")
    local_files, multi_statements, multi_results = 1 << 7, 1 << 16, 1 << 17
    assert capabilities & (local_files | multi_statements | multi_results) == 0
    assert [payload for _, payload in heard[2:4]] == [
        b"\x03SET SESSION TRANSACTION READ ONLY",
        b"\x03START TRANSACTION READ ONLY",
    ]
    assert heard[4] == (0, b"\x03SELECT state FROM jobs")
    # The file is answered with nothing: its end at once.
    assert heard[5] == (2, b"")
    assert (seen.verdict, seen.category) == (Verdict.DOWN, INVALID)


@pytest.mark.parametrize("plugin", ["mysql_native_password", SHA2, "client_ed25519", "", "x" * 64])
async def test_knocking_without_a_user(prober: MysqlProber, plugin: str) -> None:
    async with serve(saying(greeting(plugin))) as server:
        seen = await probe(prober, server.port)
    assert (seen.verdict, seen.category) == (Verdict.UP, None)


async def test_tls_that_is_not_offered(prober: MysqlProber) -> None:
    async with serve(saying(greeting())) as server:
        seen = await probe(prober, server.port, security=Security.TLS, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_REQUIRED)


async def test_plain_text_after_the_request_for_tls(prober: MysqlProber) -> None:
    async with serve(saying(greeting(capabilities=OLD | packets.SSL), packet(2, OK))) as server:
        seen = await probe(prober, server.port, security=Security.TLS, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, INVALID)
    assert "in plain text" in seen.message


# caching_sha2_password, played by its description: no MySQL can be had here, and MariaDB 10 does not speak it.

Finish = Callable[[Peer], Awaitable[None]]
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def mysql8(finish: Finish, *, by_switch: bool = False, is_secure: bool = False) -> Script:
    """Check the first proof as MySQL 8 does, and let ``finish`` go on. Over TLS the greeting is behind us."""

    async def script(peer: Peer) -> None:
        if not is_secure:
            await peer.send(greeting("mysql_native_password" if by_switch else SHA2))
        number, response = await said(peer)
        assert number == (2 if is_secure else 1)
        if by_switch:
            await peer.send(packet(number + 1, switch(SHA2, NONCE[::-1])))
            _, proof = await said(peer)
            nonce = NONCE[::-1]
        else:
            user, _, rest = response[32:].partition(b"\0")
            assert user == b"app"
            proof, nonce = rest[1 : 1 + rest[0]], NONCE
        # The server keeps the hash of the hash; the proof must give the hash of the password.
        stored = hashlib.sha256(hashlib.sha256(PASSWORD.encode()).digest()).digest()
        mask = hashlib.sha256(stored + nonce).digest()
        shown = bytes(a ^ b for a, b in zip(proof, mask, strict=True))
        assert hashlib.sha256(shown).digest() == stored
        await finish(peer)
        await peer.silence()

    return script


@contextlib.asynccontextmanager
async def mysql8_over_tls(context: ssl.SSLContext, finish: Finish) -> AsyncIterator[Server]:
    """Greet, and hand what follows the request for TLS, some of which may be there already, to a server of TLS."""
    async with serve(mysql8(finish, is_secure=True), tls=context) as inner:

        async def front(peer: Peer) -> None:
            await peer.send(greeting(SHA2, DEFAULT | packets.SSL))
            assert len((await said(peer))[1]) == 32
            await to_port(inner.port)(peer)

        async with serve(front) as server:
            yield server


def fast(first: int) -> Finish:
    async def finish(peer: Peer) -> None:
        await peer.send(series(b"\x01\x03", OK, first=first) + BEGUN + ANSWERED)

    return finish


async def full_over_tls(peer: Peer) -> None:
    await peer.send(packet(3, b"\x01\x04"))
    number, password = await said(peer)
    assert password == PASSWORD.encode() + b"\0"
    await peer.send(packet(number + 1, OK) + BEGUN + ANSWERED)


async def full_by_key(peer: Peer) -> None:
    await peer.send(packet(2, b"\x01\x04"))
    number, asked = await said(peer)
    assert asked == b"\x02"
    await peer.send(packet(number + 1, b"\x01" + pem(KEY)))
    number, sealed = await said(peer)
    mixed = KEY.decrypt(sealed, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
    nonce = NONCE * 2
    assert bytes(a ^ b for a, b in zip(mixed, nonce, strict=False)) == PASSWORD.encode() + b"\0"
    await peer.send(packet(number + 1, OK) + BEGUN + ANSWERED)


def showing(answer: bytes) -> Finish:
    """Ask for all of the password, and answer the request for a key."""

    async def finish(peer: Peer) -> None:
        await peer.send(packet(2, b"\x01\x04"))
        number, _ = await said(peer)
        await peer.send(packet(number + 1, answer))

    return finish


@pytest.mark.parametrize(("finish", "by_switch"), [(fast(2), False), (fast(4), True), (full_by_key, False)])
async def test_caching_sha2_password(prober: MysqlProber, finish: Finish, by_switch: bool) -> None:
    async with serve(mysql8(finish, by_switch=by_switch)) as server:
        seen = await probe(prober, server.port, timeout_s=2.0, **ASKED)
    assert (seen.verdict, seen.message, seen.content_ok) == (Verdict.UP, "", True)


@pytest.mark.parametrize("finish", [fast(3), full_over_tls])
async def test_caching_sha2_password_over_tls(prober: MysqlProber, authority: Authority, finish: Finish) -> None:
    async with mysql8_over_tls(authority.server("127.0.0.1"), finish) as server:
        seen = await probe(prober, server.port, timeout_s=2.0, security=Security.TLS, **ASKED)
    assert (seen.verdict, seen.message, seen.content_ok) == (Verdict.UP, "", True)


@pytest.mark.parametrize(
    ("answer", "category", "words"),
    [
        (error(1045, "Access denied"), AUTH, "shows no key"),
        (b"\x01" + pem(ec.generate_private_key(ec.SECP256R1())), INVALID, "no RSA key"),
        (b"\x01-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", INVALID, "PEM"),
        (b"\x01" + b"x" * 9000, INVALID, "too long"),
        (b"\x01", INVALID, "PEM"),
        (OK, INVALID, "public key was due"),
        (b"\xff", AUTH, "shows no key"),
    ],
)
async def test_keys_that_are_none(prober: MysqlProber, answer: bytes, category: Category, words: str) -> None:
    async with serve(mysql8(showing(answer))) as server:
        seen = await probe(prober, server.port, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category)
    assert words in seen.message


async def test_a_server_that_asks_for_everything_twice(prober: MysqlProber, authority: Authority) -> None:
    async def twice(peer: Peer) -> None:
        await peer.send(packet(3, b"\x01\x04"))
        number, _ = await said(peer)
        await peer.send(packet(number + 1, b"\x01\x04"))

    async with mysql8_over_tls(authority.server("127.0.0.1"), twice) as server:
        seen = await probe(prober, server.port, timeout_s=2.0, security=Security.TLS, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, INVALID)
    assert "as a step of" in seen.message


async def test_a_server_with_a_wrong_certificate_gets_no_password(prober: MysqlProber, authority: Authority) -> None:
    async with mysql8_over_tls(authority.server("other.example"), full_over_tls) as server:
        seen = await probe(prober, server.port, timeout_s=2.0, security=Security.TLS, **ASKED)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_HOSTNAME)
