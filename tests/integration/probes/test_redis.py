"""The Redis check against a real Redis."""

from collections.abc import Iterator

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import Security
from monitord.domain.kinds.redis import RedisCheck
from monitord.domain.rules.redis import READING, READING_PAIRS
from monitord.domain.secrets import Secret
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.redis import RedisProber
from monitord.probes.resolver import SystemResolver
from monitord.probes.tls import Tls
from tests.support.authority import Authority
from tests.support.database_servers import PASSWORD, Running, running_redis
from tests.support.probing import service_checks

READER = {"user": "reader", "password": Secret(PASSWORD)}


@pytest.fixture(scope="module")
def redis(authority: Authority) -> Iterator[Running]:
    """A server that lets anybody in, and knows a user who may do little."""
    user = f'user reader on ">{PASSWORD}" ~jobs:* +ping +get'
    with running_redis(authority, "user default on nopass ~* +@all", user, tls=True) as running:
        yield running


@pytest.fixture(scope="module")
def closed(authority: Authority) -> Iterator[Running]:
    """A server that lets nobody in without a password, and few at all."""
    with running_redis(authority, f'requirepass "{PASSWORD}"', "maxclients 1") as running:
        yield running


@pytest.fixture
def prober(tls: Tls) -> RedisProber:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    return RedisProber(service_checks(dialler, tls))


async def probe(prober: RedisProber, port: int, timeout_s: float = 5.0, **fields: object) -> Observation:
    given = {"host": "127.0.0.1", "port": port} | fields
    seen = await prober(RedisCheck(**given), timeout_s, trace=True)  # type: ignore[arg-type]
    assert PASSWORD not in repr(seen)
    return seen


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"expect": "^PONG$"},
        {"database": 3},
        {"command": "ECHO hello", "expect": "^hello$"},
        {"command": "echo käse", "expect": "^käse$"},
        {"command": "GET nothing"},
        {"command": "GET nothing", "expect": "^$"},
        {"command": "MGET a b c", "expect": "^\n\n$"},
        {"command": "INFO", "expect": "(?m)^redis_version:|^valkey_version:"},
        {"command": "TIME", "expect": r"^\d+\n\d+$"},
        {"command": "ROLE", "expect": "^master\n0$"},
        {"command": "EXISTS nothing", "expect": "^0$"},
        {"command": "GEOPOS nothing a b"},
        {"command": "MEMORY USAGE nothing"},
        READER,
        READER | {"command": "GET jobs:1"},
    ],
)
async def test_what_is_answered(prober: RedisProber, redis: Running, fields: dict[str, object]) -> None:
    seen = await probe(prober, redis.port, **fields)
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
    assert seen.measurements is not None
    assert seen.measurements["query.duration_ms"] > 0
    assert seen.content_ok is (True if fields.get("expect") else None)


async def test_over_tls(prober: RedisProber, redis: Running) -> None:
    seen = await probe(prober, redis.tls_port, security=Security.TLS, expect="PONG", **READER)
    assert (seen.verdict, seen.message) == (Verdict.UP, "")
    assert (seen.ssl_ok, seen.content_ok) == (True, True)
    # A Redis without TLS takes the handshake for a line that has no end yet, and waits.
    seen = await probe(prober, redis.port, timeout_s=0.3, security=Security.TLS)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.TLS_TIMEOUT)
    seen = await probe(prober, redis.tls_port)
    assert seen.verdict is Verdict.DOWN


@pytest.mark.parametrize(
    ("fields", "category", "words"),
    [
        ({"expect": "PING"}, Category.ASSERT_REGEX, "does not match the answer: 'PONG'"),
        ({"command": "GET nothing", "expect": "x"}, Category.ASSERT_REGEX, "nil"),
        ({"database": 99}, Category.QUERY_FAILED, "out of range"),
        ({"command": "GET"}, Category.QUERY_FAILED, "wrong number of arguments"),
        ({"command": "CLUSTER INFO"}, Category.QUERY_FAILED, "cluster support disabled"),
        ({"user": "reader", "password": Secret("wrong")}, Category.AUTH_REFUSED, "WRONGPASS"),
        ({"password": Secret("unwanted")}, Category.AUTH_REFUSED, "without any password configured"),
        (READER | {"command": "GET other"}, Category.AUTH_REFUSED, "NOPERM"),
        (READER | {"command": "DBSIZE"}, Category.AUTH_REFUSED, "NOPERM"),
        (READER | {"database": 1}, Category.AUTH_REFUSED, "NOPERM"),
    ],
)
async def test_what_is_refused(
    prober: RedisProber, redis: Running, fields: dict[str, object], category: Category, words: str
) -> None:
    seen = await probe(prober, redis.port, **fields)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category)
    assert words in seen.message


async def test_a_server_that_wants_a_password(prober: RedisProber, closed: Running) -> None:
    seen = await probe(prober, closed.port)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.AUTH_REFUSED)
    assert "wants a password, and this monitor has none" in seen.message
    assert (await probe(prober, closed.port, password=Secret(PASSWORD), expect="PONG")).verdict is Verdict.UP
    assert (await probe(prober, closed.port, password=Secret("wrong"))).category is Category.AUTH_REFUSED


@pytest.mark.parametrize("command", sorted(READING | {" ".join(pair) for pair in READING_PAIRS}))
async def test_each_command_that_may_be_run_is_one_that_reads(
    prober: RedisProber, redis: Running, command: str
) -> None:
    """The server itself says of each command whether it may write (which is no question for monitors)."""
    words = "|".join(command.lower().split())
    seen = await probe(prober, redis.port, command=f"COMMAND INFO {words}")
    assert seen.verdict is Verdict.UP
    assert seen.evidence is not None
    flags = seen.evidence.body_excerpt.decode().split("\n")
    assert flags[0] == words
    assert not {"write", "may_replicate", "blocking", "pubsub"} & set(flags)
