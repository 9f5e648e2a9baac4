"""The same request_id within 24 hours: the same answer, one effect (I14)."""

import asyncio
from uuid import uuid4

import pytest

from monitord.domain.errors import RequestIdReusedError
from monitord.domain.instant import HOUR
from monitord.storage.database import Database, Transaction
from monitord.storage.requests import RequestLedger
from tests.support.stored import NOON, Clock, organisation


class Effect:
    """Makes an organisation each time it runs, and answers with its number."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self, tx: Transaction) -> bytes:
        self.runs += 1
        made = await tx.fetchval("INSERT INTO organisations (name) VALUES ('made') RETURNING id")
        return f"secret answer {made}".encode()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def ledger(database: Database, clock: Clock) -> RequestLedger:
    return RequestLedger(database, clock=clock)


@pytest.fixture
async def org(database: Database) -> int:
    return await organisation(database)


async def test_acts_once_also_for_many_at_once(ledger: RequestLedger, org: int, database: Database) -> None:
    effect, request_id = Effect(), str(uuid4())
    answers = await asyncio.gather(
        *(ledger.once(org, "Create", spelled, b"request", effect) for spelled in (request_id, request_id.upper()) * 4)
    )
    assert (len(set(answers)), effect.runs) == (1, 1)
    async with database.connection() as held:
        assert await held.fetchval("SELECT count(*) FROM organisations WHERE name = 'made'") == 1


async def test_another_request_under_the_same_id_is_refused(ledger: RequestLedger, org: int) -> None:
    effect, request_id = Effect(), str(uuid4())
    await ledger.once(org, "Create", request_id, b"request", effect)
    for method, request in (("Create", b"other"), ("Apply", b"request")):
        with pytest.raises(RequestIdReusedError):
            await ledger.once(org, method, request_id, request, effect)
    assert effect.runs == 1


async def test_ids_are_each_organisations_own(ledger: RequestLedger, org: int, database: Database) -> None:
    """(T9)"""
    effect, request_id = Effect(), str(uuid4())
    other = await organisation(database, "other")
    mine = await ledger.once(org, "Create", request_id, b"request", effect)
    assert await ledger.once(other, "Create", request_id, b"request", effect) != mine


async def test_a_failure_is_not_remembered(ledger: RequestLedger, org: int) -> None:
    effect, request_id = Effect(), str(uuid4())

    async def failing(tx: Transaction) -> bytes:
        await effect(tx)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ledger.once(org, "Create", request_id, b"request", failing)
    await ledger.once(org, "Create", request_id, b"request", effect)
    assert effect.runs == 2


async def test_forgets_after_a_day(ledger: RequestLedger, org: int, clock: Clock) -> None:
    effect, request_id = Effect(), str(uuid4())
    await ledger.once(org, "Create", request_id, b"request", effect)
    clock.now += 24 * HOUR - 1
    await ledger.once(org, "Create", request_id, b"request", effect)
    assert effect.runs == 1
    clock.now += 1
    await ledger.once(org, "Create", request_id, b"another", effect)
    assert effect.runs == 2


async def test_neither_the_answer_nor_the_id_can_be_read(ledger: RequestLedger, org: int, database: Database) -> None:
    request_id = str(uuid4())
    await ledger.once(org, "Create", request_id, b"a password", Effect())
    async with database.connection() as held:
        row = await held.fetchrow("SELECT * FROM request_ids")
    assert row is not None
    everything = b"|".join(value for value in row if isinstance(value, bytes))
    assert b"secret answer" not in everything
    assert request_id.encode() not in everything
