"""Cursors are opaque, and only good for the tail that they come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.errors import InvalidArgumentError
from monitord.streaming.cursor import Cursors

positions = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20)
monitor_sets = st.none() | st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=5)


@given(st.integers(1, 2**63 - 1), monitor_sets, positions)
def test_a_cursor_brings_its_positions_back(org_id: int, ids: list[int] | None, at: list[int]) -> None:
    cursor = Cursors(org_id, ids).write(at)
    assert cursor.isascii()
    assert Cursors(org_id, ids and ids[::-1]).read(cursor) == at


@given(positions, st.data())
def test_a_damaged_cursor_is_refused(at: list[int], data: st.DataObject) -> None:
    cursors = Cursors(1, None)
    good = cursors.write(at)
    index = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.characters().filter(lambda c: c != good[index]))
    damaged = good[:index] + other + good[index + 1 :]
    with pytest.raises(InvalidArgumentError) as caught:
        cursors.read(damaged)
    assert caught.value.reason == "INVALID_CURSOR"
    assert caught.value.violations[0].field == "cursor"


@given(st.text())
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Cursors(1, None).read(text)
    assert caught.value.reason == "INVALID_CURSOR"


@pytest.mark.parametrize(("org_id", "ids"), [(2, None), (1, [1]), (1, [1, 2, 3])])
def test_another_tails_cursor_is_refused(org_id: int, ids: list[int] | None) -> None:
    cursor = Cursors(1, [1, 2] if ids else [3]).write([5])
    with pytest.raises(InvalidArgumentError, match="other monitors"):
        Cursors(org_id, ids).read(cursor)
