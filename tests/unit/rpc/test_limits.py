import pytest

from monitord.domain.errors import ResourceExhaustedError
from monitord.rpc.limits import CallLimit


def test_what_is_held_is_given_back_and_nothing_is_remembered() -> None:
    limit = CallLimit("calls", per_caller=1, in_all=10)
    for _ in range(3):
        with limit.hold("ann"):
            assert limit.in_flight == 1
    assert limit.in_flight == 0
    assert limit._held == {}  # a caller who left costs no memory (I16)


def test_a_block_that_fails_gives_back_too() -> None:
    limit = CallLimit("calls", per_caller=1, in_all=10)
    with pytest.raises(ZeroDivisionError), limit.hold("ann"):
        raise ZeroDivisionError
    with limit.hold("ann"):
        pass


def test_each_caller_and_all_together_have_a_limit() -> None:
    limit = CallLimit("calls", per_caller=2, in_all=3)
    with limit.hold("ann"), limit.hold("ann"):
        with pytest.raises(ResourceExhaustedError, match="You have 2 calls open"), limit.hold("ann"):
            pass
        with limit.hold("bob"):
            with pytest.raises(ResourceExhaustedError, match="as many calls as it can") as caught, limit.hold("cy"):
                pass
            assert caught.value.retry_after_s == 1.0
        with limit.hold("cy"):
            pass
