"""The MySQL check against a real MariaDB: how to sign in, what may be asked, and what may not."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.domain.secrets import Secret
from monitord.domain.target import parse_endpoint
from monitord.probes.channel import Channel
from monitord.probes.connect import Attempt
from monitord.probes.deadline import Deadlines
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.mysql import Conversation, MysqlProber
from monitord.probes.resolver import SystemResolver
from monitord.probes.service import ServiceChecks
from monitord.probes.tls import Tls
from monitord.probes.trial import StepError, Trial
from tests.support.authority import Authority
from tests.support.database_servers import PASSWORD, Running, running_mariadb
from tests.support.probing import service_checks

ELSEWHERE = "127.0.0.3"
"""A loopback address that MariaDB counts the errors of, as it does not of 127.0.0.1."""


@pytest.fixture(scope="module")
def mariadb(authority: Authority) -> Iterator[Running]:
    with running_mariadb(authority, "--max-connect-errors=3") as running:
        yield running


@pytest.fixture
def services(tls: Tls) -> ServiceChecks:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    return service_checks(dialler, tls)


@pytest.fixture
def prober(services: ServiceChecks) -> MysqlProber:
    return MysqlProber(services)


async def probe(prober: MysqlProber, port: int, timeout_s: float = 5.0, **fields: object) -> Observation:
    given = {"host": "127.0.0.1", "port": port} | fields
    seen = await prober(MysqlCheck(**given), timeout_s, trace=True)  # type: ignore[arg-type]
    assert PASSWORD not in repr(seen)
    return seen


READER = {"user": "reader", "password": Secret(PASSWORD), "database": "shop"}


async def test_without_a_user_the_greeting_is_enough(prober: MysqlProber, mariadb: Running) -> None:
    seen = await probe(prober, mariadb.port)
    assert (seen.verdict, seen.category) == (Verdict.UP, None)
    seen = await probe(prober, mariadb.port, security=Security.TLS)
    assert (seen.verdict, seen.ssl_ok) == (Verdict.UP, True)
    assert seen.certificate_expires_at is not None


async def test_knocking_does_not_get_us_blocked(services: ServiceChecks, mariadb: Running) -> None:
    """Whoever reads the greeting and goes is blocked after ``max_connect_errors`` of them, which is 3 here."""

    async def come_from(source: str, *, only_listen: bool) -> str:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            try:
                sock.bind((source, 0))
            except OSError:
                pytest.skip(f"this system has no {source}")
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", mariadb.port))
            if only_listen:
                return "blocked" if b"blocked" in await loop.sock_recv(sock, 4096) else "greeted"
            check = MysqlCheck(host="127.0.0.1", port=mariadb.port)
            deadline = Deadlines().start(5.0)
            trial = Trial(deadline)
            try:
                channel = Channel(Attempt(sock, "127.0.0.1"), parse_endpoint("127.0.0.1", mariadb.port), trial)
                await Conversation(channel, check, trial, services, 5.0).run()
            except StepError as error:
                return error.failure.message
            finally:
                deadline.close()
        return "greeted"

    assert [await come_from(ELSEWHERE, only_listen=False) for _ in range(8)] == ["greeted"] * 8
    # The same server does block those who are less polite, or this test would show nothing.
    assert (await come_from("127.0.0.4", only_listen=True)) == "greeted"
    for _ in range(50):
        if await come_from("127.0.0.4", only_listen=True) == "blocked":
            break
    else:
        pytest.fail("the server blocks nobody")
    assert "is blocked because of many connection errors" in await come_from("127.0.0.4", only_listen=False)


@pytest.mark.parametrize(
    "fields",
    [
        READER,
        READER | {"security": Security.TLS},
        {"user": "open"},
        {"user": "by_tls", "password": Secret(PASSWORD), "security": Security.TLS},
    ],
)
async def test_who_is_let_in(prober: MysqlProber, mariadb: Running, fields: dict[str, object]) -> None:
    seen = await probe(prober, mariadb.port, **fields)
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
    assert seen.evidence is not None
    assert seen.evidence.body_excerpt == b""


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        (READER | {"password": Secret("wrong")}, "1045, 28000"),
        (READER | {"password": Secret()}, "1045, 28000"),
        ({"user": "nobody", "password": Secret("wrong")}, "1045"),
        ({"user": "open", "database": "hidden"}, "1044"),
        ({"user": "by_tls", "password": Secret(PASSWORD)}, "1045"),
        ({"user": "locked", "password": Secret(PASSWORD)}, "4151"),
    ],
)
async def test_who_is_not_let_in(prober: MysqlProber, mariadb: Running, fields: dict[str, object], number: str) -> None:
    seen = await probe(prober, mariadb.port, **fields)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.AUTH_REFUSED)
    assert number in seen.message


@pytest.mark.parametrize(
    ("query", "expect", "rows"),
    [
        ("SELECT state FROM jobs ORDER BY id", "^done$", 1),
        ("SELECT state FROM jobs ORDER BY id;", "^done$", 1),
        ("SELECT state FROM jobs WHERE id = 2", "", 1),
        ("SELECT 1 WHERE false", "", 0),
        ("SHOW VARIABLES", "^[a-z_]+$", 1),
        ("SELECT * FROM information_schema.columns", "^def$", 1),
        ("SELECT 'käse 🧀'", "^käse 🧀$", 1),
        ("SELECT repeat('x', 70000)", "^x+$", 1),
        ("EXPLAIN SELECT 1", "", 1),
        ("SELECT seq FROM seq_1_to_1000000 LIMIT 1000000", "^1$", 1),
    ],
)
@pytest.mark.parametrize("security", [Security.PLAIN, Security.TLS])
async def test_a_query_that_reads(
    prober: MysqlProber, mariadb: Running, query: str, expect: str, rows: int, security: Security
) -> None:
    seen = await probe(prober, mariadb.port, query=query, expect=expect, security=security, **READER)
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
    assert seen.measurements is not None
    assert seen.measurements["query.rows"] == rows
    assert seen.measurements["query.duration_ms"] > 0


@pytest.mark.parametrize(
    ("query", "category", "words"),
    [
        ("SELECT state FROM jobs WHERE id = 3", Category.ASSERT_REGEX, "does not match the first column: 'waiting'"),
        ("SELECT 1 WHERE false", Category.ASSERT_REGEX, "no row"),
        ("SELECT NULL", Category.ASSERT_REGEX, "NULL"),
        ("SELECT 1; SELECT 2", Category.QUERY_FAILED, "1064"),
        ("COMMIT; DROP TABLE jobs", Category.QUERY_FAILED, "1064"),
        ("INSERT INTO jobs VALUES (9, 'done')", Category.QUERY_FAILED, "1792"),
        ("DELETE FROM jobs", Category.QUERY_FAILED, "1792"),
        # These commit first: a transaction that is read-only would not stop them, a session that is does.
        ("DROP TABLE jobs", Category.QUERY_FAILED, "1792"),
        ("TRUNCATE TABLE jobs", Category.QUERY_FAILED, "1792"),
        ("CREATE TABLE mine (id int)", Category.QUERY_FAILED, "1792"),
        ("SELECT * FROM nowhere", Category.QUERY_FAILED, "1146"),
        ("SELECT * FROM hidden.nothing", Category.QUERY_FAILED, "1142"),
        ("SELECT repeat('x', 2000000)", Category.BODY_TOO_LARGE, "1024 KiB"),
        ("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE jobs", Category.QUERY_FAILED, ""),
    ],
)
async def test_a_query_that_must_not_be_up(
    prober: MysqlProber, mariadb: Running, query: str, category: Category, words: str
) -> None:
    seen = await probe(prober, mariadb.port, query=query, expect="done", **READER)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category)
    assert words in seen.message
    left = await probe(prober, mariadb.port, query="SELECT count(*) FROM jobs", expect="^3$", **READER)
    assert (left.verdict, left.message) == (Verdict.UP, "")


async def test_the_server_ends_a_query_that_takes_too_long(prober: MysqlProber, mariadb: Running) -> None:
    seen = await probe(prober, mariadb.port, timeout_s=0.6, query="SELECT sleep(60)", **READER)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TIMEOUT_TOTAL)
    assert "max_statement_time exceeded" in seen.message


async def test_too_many_connections(prober: MysqlProber, mariadb: Running) -> None:
    open_ones = [await asyncio.open_connection("127.0.0.1", mariadb.port) for _ in range(12)]
    try:
        for reader, _ in open_ones:
            await reader.read(1)
        seen = await probe(prober, mariadb.port)
    finally:
        for _, writer in open_ones:
            writer.close()
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.PROTOCOL_REFUSED)
    assert "Too many connections (1040" in seen.message
