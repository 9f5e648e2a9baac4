import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator

import bcrypt
import pytest

from monitord.domain.errors import InvalidArgumentError, ResourceExhaustedError
from monitord.identity.passwords import Passwords


@pytest.fixture
def hasher() -> Iterator[Passwords]:
    made = Passwords(cost=4, waiting=4)
    yield made
    made.close()


async def test_a_hash_verifies_its_password_alone(hasher: Passwords) -> None:
    hashed = await hasher.hash("correct horse")

    assert hashed.startswith("$2b$04$")
    assert await hasher.verify("correct horse", hashed)
    assert not await hasher.verify("correct hors", hashed)
    assert not await hasher.verify("correct horse\x00", hashed)
    assert hashed != await hasher.hash("correct horse")


async def test_the_default_cost_is_12() -> None:
    hasher = Passwords()
    assert (await hasher.hash("correct horse")).startswith("$2b$12$")
    hasher.close()


async def test_an_unknown_account_costs_the_same_work(hasher: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    """T14."""
    work: list[bytes] = []
    real = bcrypt.checkpw

    def spy(password: bytes, hashed: bytes) -> bool:
        work.append(hashed[:7])
        return real(password, hashed)

    hashed = await hasher.hash("correct horse")
    monkeypatch.setattr(bcrypt, "checkpw", spy)

    assert not await hasher.verify("correct horse", None)
    assert await hasher.verify("correct horse", hashed)
    assert work == [b"$2b$04$", b"$2b$04$"]


async def test_the_stand_in_for_unknown_accounts_takes_bcrypts_full_time() -> None:
    hasher = Passwords(cost=8)
    hashed = await hasher.hash("correct horse")

    async def cpu_s(against: str | None) -> float:
        loop = asyncio.get_running_loop()
        began = await loop.run_in_executor(hasher._executor, time.thread_time)
        for _ in range(5):
            await hasher.verify("correct horse", against)
        return await loop.run_in_executor(hasher._executor, time.thread_time) - began

    known, unknown = await cpu_s(hashed), await cpu_s(None)
    hasher.close()

    assert 0.5 < known / unknown < 2


@pytest.mark.parametrize("password", ["", "x" * 73, "\u00e9" * 37])
async def test_a_password_that_bcrypt_would_cut_is_refused_whatever_the_account(
    hasher: Passwords, password: str
) -> None:
    for against in (None, await hasher.hash("correct horse")):
        with pytest.raises(InvalidArgumentError) as refused:
            await hasher.verify(password, against)
        assert refused.value.violations[0].field == "password"


async def test_more_than_can_wait_are_refused_at_once_and_the_loop_goes_on(hasher: Passwords) -> None:
    hashed = await hasher.hash("correct horse")
    loop_ran = 0
    release = threading.Event()
    blocked = asyncio.get_running_loop().run_in_executor(hasher._executor, release.wait, 10)
    calls = [asyncio.create_task(hasher.verify("correct horse", hashed)) for _ in range(10)]
    while sum(call.done() for call in calls) < 6 and loop_ran < 100:
        await asyncio.sleep(0)
        loop_ran += 1

    assert 0 < loop_ran < 100, "the loop turned, and the refusals came while the thread was busy"
    release.set()
    await blocked
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert outcomes[:4] == [True] * 4
    for outcome in outcomes[4:]:
        assert isinstance(outcome, ResourceExhaustedError)
        assert outcome.retry_after_s
    assert await hasher.verify("correct horse", hashed), "there is room again"


async def test_a_cancelled_call_leaves_its_place(hasher: Passwords) -> None:
    release = threading.Event()
    blocked = asyncio.get_running_loop().run_in_executor(hasher._executor, release.wait, 10)
    for _ in range(20):
        call = asyncio.create_task(hasher.verify("correct horse", None))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    release.set()
    await blocked

    assert not await hasher.verify("correct horse", None)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have their own priority on Linux alone")
async def test_the_threads_give_way_to_the_checks(hasher: Passwords) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    ours = niceness()
    theirs = await asyncio.get_running_loop().run_in_executor(hasher._executor, niceness)

    assert theirs == max(ours, 10)
    assert niceness() == ours
