import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from monitord.domain.errors import NotReadyError
from monitord.domain.tail import TailEndReason
from monitord.rpc.ending import Ending, Endings

SHUTDOWN, UNAUTHENTICATED = TailEndReason.SHUTDOWN, TailEndReason.UNAUTHENTICATED


async def every(seconds: float) -> AsyncIterator[float]:
    while True:
        await asyncio.sleep(seconds)
        yield asyncio.get_running_loop().time()


async def nothing() -> None:
    await asyncio.Event().wait()


async def test_messages_pass_until_the_end_which_comes_at_once() -> None:
    ending, messages = Ending(), every(10)
    asyncio.get_running_loop().call_later(25, ending.end, SHUTDOWN)
    seen = []
    while (message := await ending.next_of(messages)) is not None:
        seen.append(message)
    assert seen == [10, 20]
    assert asyncio.get_running_loop().time() == 25
    assert ending.reason is SHUTDOWN


async def test_a_message_on_its_way_is_not_cut() -> None:
    ending, messages = Ending(), every(10)
    await ending.next_of(messages)
    asyncio.get_running_loop().call_later(3, ending.end, SHUTDOWN)
    await asyncio.sleep(5)  # as a slow write would
    assert await ending.next_of(messages) is None
    assert asyncio.get_running_loop().time() == 15


async def test_the_first_reason_counts() -> None:
    ending = Ending()
    ending.end(UNAUTHENTICATED)
    ending.end(SHUTDOWN)
    assert ending.reason is UNAUTHENTICATED


async def test_the_last_message_ends_without_a_reason() -> None:
    async def one() -> AsyncIterator[int]:
        yield 1

    ending, messages = Ending(), one()
    assert await ending.next_of(messages) == 1
    assert await ending.next_of(messages) is None
    assert ending.reason is None


async def test_a_callers_cancellation_is_not_swallowed() -> None:
    ending = Ending()
    task = asyncio.create_task(ending.next_of(every(10)))
    await asyncio.sleep(1)
    ending.end(SHUTDOWN)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_of_the_messages_own_is_not_the_end() -> None:
    async def late() -> AsyncIterator[int]:
        for _ in range(1):
            raise TimeoutError
        yield 1

    ending = Ending()
    with pytest.raises(TimeoutError):
        await ending.next_of(late())


async def test_what_happens_meanwhile_ends_the_stream() -> None:
    async def soon() -> None:
        await asyncio.sleep(7)

    ending = Ending()
    async with ending.when(soon, UNAUTHENTICATED):
        assert await ending.next_of(every(60)) is None
    assert asyncio.get_running_loop().time() == 7
    assert ending.reason is UNAUTHENTICATED


async def test_a_watch_that_was_not_needed_gives_no_reason() -> None:
    ending = Ending()
    async with ending.when(nothing, UNAUTHENTICATED):
        pass
    async with ending.when(nothing, UNAUTHENTICATED):
        await asyncio.sleep(1)
    assert ending.reason is None


async def test_who_cannot_be_watched_may_not_go_on() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    ending = Ending()
    with capture_logs() as logs:
        async with ending.when(broken, UNAUTHENTICATED):
            assert await ending.next_of(every(60)) is None
    assert ending.reason is UNAUTHENTICATED
    assert logs[0]["event"] == "rpc.watch_failed"


async def test_all_streams_end_and_no_other_begins() -> None:
    endings = Endings()
    with endings.one() as first, endings.one() as second:
        endings.end_all(SHUTDOWN)
        assert (first.reason, second.reason) == (SHUTDOWN, SHUTDOWN)
    with pytest.raises(NotReadyError), endings.one():
        pytest.fail("it began")
    assert endings._open == set()  # a stream that is over costs no memory (I16)
