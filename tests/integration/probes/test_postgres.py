"""The Postgres check against a real Postgres: every way to sign in, what may be asked, and what may not."""

from collections.abc import Iterator

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.domain.secrets import Secret
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.postgres import PostgresProber
from monitord.probes.resolver import SystemResolver
from monitord.probes.tls import Tls
from tests.support.authority import Authority
from tests.support.database_servers import PASSWORD, Running, running_postgres
from tests.support.probing import service_checks
from tests.support.tls_front import postgres_over_tls, to_port


@pytest.fixture(scope="module")
def postgres() -> Iterator[Running]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def prober(tls: Tls) -> PostgresProber:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    return PostgresProber(service_checks(dialler, tls))


async def probe(prober: PostgresProber, port: int, timeout_s: float = 5.0, **fields: object) -> Observation:
    given = {"host": "127.0.0.1", "port": port, "database": "postgres"} | fields
    if not given.get("user"):
        del given["database"]
    seen = await prober(PostgresCheck(**given), timeout_s, trace=True)  # type: ignore[arg-type]
    assert PASSWORD not in repr(seen)
    assert PASSWORD.encode() not in (seen.evidence.body_excerpt if seen.evidence else b"")
    return seen


async def test_without_a_user_any_answer_is_up(prober: PostgresProber, postgres: Running) -> None:
    seen = await probe(prober, postgres.port)
    assert (seen.verdict, seen.category) == (Verdict.UP, None)
    assert seen.phases.ttfb is not None


@pytest.mark.parametrize("user", ["trusted", "by_md5", "by_scram"])
async def test_each_way_to_sign_in(prober: PostgresProber, postgres: Running, user: str) -> None:
    seen = await probe(prober, postgres.port, user=user, password=Secret(PASSWORD))
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
    assert seen.evidence is not None
    # What a sign-in shows would let readers of the evidence guess the password at home.
    assert seen.evidence.body_excerpt == b""


async def test_a_password_in_the_clear_goes_over_tls_alone(
    prober: PostgresProber, postgres: Running, authority: Authority
) -> None:
    signed_in = {"user": "by_clear", "password": Secret(PASSWORD)}
    seen = await probe(prober, postgres.port, **signed_in)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.AUTH_REFUSED)
    assert "the server wants the password in the clear" in seen.message.lower()
    async with postgres_over_tls(authority.server("127.0.0.1"), to_port(postgres.port)) as front:
        seen = await probe(prober, front.port, security=Security.TLS, query="SELECT 1", expect="^1$", **signed_in)
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
    assert (seen.ssl_ok, seen.content_ok) == (True, True)
    assert seen.certificate_expires_at is not None


async def test_tls_that_is_not_offered_or_not_trusted(
    prober: PostgresProber, postgres: Running, authority: Authority
) -> None:
    seen = await probe(prober, postgres.port, security=Security.TLS)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_REQUIRED)
    async with postgres_over_tls(authority.server("other.example"), to_port(postgres.port)) as front:
        seen = await probe(prober, front.port, security=Security.TLS)
        assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_HOSTNAME)
        seen = await probe(prober, front.port, security=Security.TLS, verify_tls=False)
    assert seen.verdict is Verdict.UP


@pytest.mark.parametrize(
    ("fields", "category", "words"),
    [
        ({"user": "by_scram", "password": Secret("wrong")}, Category.AUTH_REFUSED, "28P01"),
        ({"user": "by_md5", "password": Secret("wrong")}, Category.AUTH_REFUSED, "28P01"),
        ({"user": "by_scram"}, Category.AUTH_REFUSED, "wants a password"),
        ({"user": "nobody", "password": Secret("wrong")}, Category.AUTH_REFUSED, "28P01"),
        ({"user": "rejected"}, Category.AUTH_REFUSED, "pg_hba.conf rejects connection"),
        ({"user": "trusted", "database": "nope"}, Category.AUTH_REFUSED, 'database "nope" does not exist (3D000)'),
        ({"user": "trusted", "database": "closed"}, Category.PROTOCOL_REFUSED, "not currently accepting connections"),
    ],
)
async def test_who_is_not_let_in(
    prober: PostgresProber, postgres: Running, fields: dict[str, object], category: Category, words: str
) -> None:
    seen = await probe(prober, postgres.port, **fields)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category)
    assert words in seen.message


@pytest.mark.parametrize(
    ("query", "expect", "rows"),
    [
        ("SELECT state FROM jobs ORDER BY id", "^done$", 1),
        ("SELECT state FROM jobs ORDER BY id;", "", 1),
        ("SELECT state FROM jobs WHERE id = 2", "", 1),
        ("SELECT 1 WHERE false", "", 0),
        ("SHOW server_version", r"^\d+", 1),
        ("VALUES (true)", "^t$", 1),
        ("TABLE jobs", "^1$", 1),
        ("SELECT generate_series(1, 1000000)", "^1$", 1),
        ("EXPLAIN SELECT 1", "Result", 1),
        ("SELECT 'käse'", "^käse$", 1),
        ("SELECT repeat('x', 65536) || 'y'", "x$", 1),
    ],
)
async def test_a_query_that_reads(
    prober: PostgresProber, postgres: Running, query: str, expect: str, rows: int
) -> None:
    seen = await probe(prober, postgres.port, user="trusted", query=query, expect=expect)
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
    assert seen.measurements is not None
    assert seen.measurements["query.rows"] == rows
    assert seen.measurements["query.duration_ms"] > 0
    assert seen.content_ok is (True if expect else None)


@pytest.mark.parametrize(
    ("query", "category", "words"),
    [
        ("SELECT state FROM jobs WHERE id = 3", Category.ASSERT_REGEX, "does not match the first column: 'waiting'"),
        ("SELECT 1 WHERE false", Category.ASSERT_REGEX, "no row"),
        ("SELECT NULL", Category.ASSERT_REGEX, "NULL"),
        ("SELECT repeat('x', 65536) || 'done'", Category.ASSERT_REGEX, "the first 64 KiB"),
        ("SELECT 1; SELECT 2", Category.QUERY_FAILED, "42601"),
        ("COMMIT; DROP TABLE jobs", Category.QUERY_FAILED, "42601"),
        ("COMMIT", Category.QUERY_FAILED, "ended the transaction"),
        ("INSERT INTO jobs VALUES (9, 'done')", Category.QUERY_FAILED, "25006"),
        ("WITH gone AS (DELETE FROM jobs RETURNING state) SELECT * FROM gone", Category.QUERY_FAILED, "25006"),
        ("CREATE TABLE mine (id int)", Category.QUERY_FAILED, "25006"),
        ("SET TRANSACTION READ WRITE", Category.QUERY_FAILED, "25001"),
        ("SELECT set_config('transaction_read_only', 'off', true)", Category.QUERY_FAILED, "25001"),
        (
            "DO $$ BEGIN SET TRANSACTION READ WRITE; INSERT INTO jobs VALUES (9, 'x'); END $$",
            Category.QUERY_FAILED,
            "25001",
        ),
        ("COPY jobs TO STDOUT", Category.QUERY_FAILED, "COPY"),
        ("COPY jobs FROM STDIN", Category.QUERY_FAILED, "25006"),
        ("SELECT * FROM hidden", Category.QUERY_FAILED, "permission denied for table hidden (42501)"),
        ("SELECT * FROM nowhere", Category.QUERY_FAILED, "42P01"),
        ("SELECT repeat('x', 2000000)", Category.BODY_TOO_LARGE, "1024 KiB"),
        ("SELECT $1::text", Category.QUERY_FAILED, "08P01"),
    ],
)
async def test_a_query_that_must_not_be_up(
    prober: PostgresProber, postgres: Running, query: str, category: Category, words: str
) -> None:
    asked = {"user": "by_scram", "password": Secret(PASSWORD)}
    seen = await probe(prober, postgres.port, query=query, expect="done", **asked)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category)
    assert words in seen.message
    left = await probe(prober, postgres.port, query="SELECT count(*) FROM jobs", expect="^3$", **asked)
    assert (left.verdict, left.message) == (Verdict.UP, "")


async def test_the_server_ends_a_query_that_takes_too_long(prober: PostgresProber, postgres: Running) -> None:
    seen = await probe(prober, postgres.port, timeout_s=0.6, user="trusted", query="SELECT pg_sleep(60)")
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TIMEOUT_TOTAL)
    assert "57014" in seen.message
    # Nothing of it goes on: no session is left that is busy.
    busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(60)' AND state = 'active'"
    seen = await probe(prober, postgres.port, user="trusted", query=busy, expect="^0$")
    assert (seen.verdict, seen.message) == (Verdict.UP, "")


async def test_it_says_who_it_is(prober: PostgresProber, postgres: Running) -> None:
    seen = await probe(prober, postgres.port, user="trusted", query="SHOW application_name", expect="^monitord$")
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
