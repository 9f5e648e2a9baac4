"""Servers of databases that say almost the right thing: what was recorded, changed at random, the same way each time.

Whatever they say, the check ends with a verdict of its own, and not with an exception or without an end.
"""

import random
import socket
import time
import unicodedata
from collections.abc import Awaitable, Callable

import pytest

from monitord.domain.check import Category
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.domain.kinds.redis import RedisCheck
from monitord.domain.secrets import Secret
from monitord.domain.target import parse_endpoint
from monitord.probes import mysql, postgres, postgres_auth, redis
from monitord.probes.channel import Channel
from monitord.probes.connect import Attempt
from monitord.probes.deadline import Deadlines
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.failure import Failure
from monitord.probes.resolver import SystemResolver
from monitord.probes.service import ServiceChecks
from monitord.probes.tls import Tls
from monitord.probes.trial import StepError, Trial
from monitord.probes.worker import Worker
from tests.support import mysql_wire, postgres_wire
from tests.support.probing import service_checks

ROUNDS = 5000
PASSWORD = "correct horse battery"
Talk = Callable[[Channel, Trial], Awaitable[Failure | None]]

EXPECTED = {
    Category.PROTOCOL_INVALID,
    Category.PROTOCOL_CLOSED,
    Category.PROTOCOL_REFUSED,
    Category.AUTH_REFUSED,
    Category.QUERY_FAILED,
    Category.ASSERT_REGEX,
    Category.BODY_TOO_LARGE,
    Category.TIMEOUT_TOTAL,
}
"""TIMEOUT_TOTAL is what a server's own limit on the query's time is told as; no wait of ours comes to its end here."""

# A nonce of ours that is the same each time lets a whole exchange of SCRAM be recorded.
NONCE = "fyko+d2lbbFgONRv9qkxdawL"
SCRAM = (
    postgres_wire.authentication(10, b"SCRAM-SHA-256\0SCRAM-SHA-256-PLUS\0\0")
    + postgres_wire.authentication(11, f"r={NONCE}3rfcNHYJY1ZVvWVs7j,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=64".encode())
    + postgres_wire.authentication(12, b"v=SGVsbG8=")
    + postgres_wire.WHOLE
)
POSTGRES = [
    postgres_wire.WHOLE,
    postgres_wire.authentication(5, b"salt") + postgres_wire.WHOLE,
    SCRAM,
    postgres_wire.SIGNED_IN + postgres_wire.BEGUN + postgres_wire.error("42P01", "no") + postgres_wire.ready("E"),
]
MYSQL = [
    mysql_wire.WHOLE,
    mysql_wire.greeting(capabilities=mysql_wire.OLD)
    + mysql_wire.series(mysql_wire.switch("caching_sha2_password"), first=2)
    + mysql_wire.series(b"\x01\x03", mysql_wire.OK, first=4)
    + mysql_wire.BEGUN
    + mysql_wire.series(b"\x02", mysql_wire.COLUMN, mysql_wire.COLUMN, mysql_wire.EOF, b"\x04done\xfb", mysql_wire.EOF),
    mysql_wire.greeting() + mysql_wire.packet(2, mysql_wire.error(1045, "Access denied", "28000")),
]
REDIS = [
    b"+OK\r\n+OK\r\n*3\r\n$4\r\ndone\r\n:42\r\n*2\r\n$-1\r\n+x\r\n",
    b"+OK\r\n+OK\r\n>2\r\n+a\r\n+b\r\n%2\r\n+k\r\n,1.5\r\n=8\r\ntxt:done\r\n#t\r\n",
    b"-NOAUTH Authentication required.\r\n",
]


def changed(recorded: bytes, chance: random.Random) -> bytes:
    """Return bytes that are almost the ones recorded."""
    data = bytearray(recorded)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(data)) if data else 0
        match chance.randrange(6):
            case 0 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF))
            case 2:
                del data[at : at + chance.randrange(1, 9)]
            case 3:
                data[at:at] = data[at : at + chance.randrange(1, 40)]
            case 4:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            case _:
                del data[at:]
    return bytes(data)


@pytest.fixture
def services(tls: Tls) -> ServiceChecks:
    dialler = Dialler(EgressPolicy("private"), SystemResolver(2))
    return service_checks(dialler, tls)


async def outcome(said: bytes, talk: Talk) -> Category | None:
    """Have a server say something and hang up, and return what is made of it."""
    ours, theirs = socket.socketpair()
    deadline = Deadlines().start(5.0)
    trial = Trial(deadline)
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        try:
            failure = await talk(Channel(Attempt(ours, "127.0.0.1"), parse_endpoint("127.0.0.1", 1), trial), trial)
        except StepError as error:
            failure = error.failure
        finally:
            deadline.close()
    observation = trial.conclude(failure, trace=True)
    assert PASSWORD not in repr(observation)
    assert not any(unicodedata.category(char)[0] == "C" for char in observation.message)
    assert len(observation.message) < 1000
    return observation.category


async def fuzz(recordings: list[bytes], talk: Talk, seed: int) -> None:
    chance = random.Random(seed)
    seen: set[Category | None] = {await outcome(each, talk) for each in recordings}
    began_at = time.monotonic()
    for _ in range(ROUNDS):
        seen.add(await outcome(changed(chance.choice(recordings), chance), talk))
    assert seen <= EXPECTED | {None}
    # The changes reach both ends of the conversation, or this would show little.
    assert {None, Category.PROTOCOL_INVALID, Category.PROTOCOL_CLOSED} <= seen
    assert time.monotonic() - began_at < ROUNDS * 0.02


async def test_postgres(services: ServiceChecks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_auth, "fresh_nonce", lambda: NONCE)
    check = PostgresCheck(
        host="127.0.0.1", port=1, user="app", password=Secret(PASSWORD), query="SELECT 1", expect="done"
    )
    worker = Worker()
    await fuzz(POSTGRES, lambda channel, trial: postgres.Conversation(channel, check, trial, worker, 5.0).run(), 1)


async def test_mysql(services: ServiceChecks) -> None:
    check = MysqlCheck(host="127.0.0.1", port=1, user="app", password=Secret(PASSWORD), query="SELECT 1", expect="done")
    await fuzz(MYSQL, lambda channel, trial: mysql.Conversation(channel, check, trial, services, 5.0).run(), 2)


async def test_redis(services: ServiceChecks) -> None:
    check = RedisCheck(host="127.0.0.1", port=1, password=Secret(PASSWORD), database=1, expect="done")
    await fuzz(REDIS, lambda channel, trial: redis.talk(channel, check, trial), 3)


async def test_knocking(services: ServiceChecks) -> None:
    worker = Worker()
    at_postgres = PostgresCheck(host="127.0.0.1", port=1)
    at_mysql = MysqlCheck(host="127.0.0.1", port=1)
    chance = random.Random(4)
    for _ in range(ROUNDS // 3):
        said = changed(chance.choice(POSTGRES + MYSQL), chance)
        for talk in (
            lambda channel, trial: postgres.Conversation(channel, at_postgres, trial, worker, 5.0).run(),
            lambda channel, trial: mysql.Conversation(channel, at_mysql, trial, services, 5.0).run(),
        ):
            assert await outcome(said, talk) in EXPECTED | {None}
