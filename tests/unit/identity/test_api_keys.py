import string
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from monitord.identity import api_keys
from monitord.identity.api_keys import ApiKey, NewApiKey
from monitord.identity.principal import Scope


def test_a_generated_key_names_its_row_and_differs_from_the_next() -> None:
    key_id, text = api_keys.generate()

    assert text.startswith(f"mk_{key_id}_")
    assert api_keys.parse_id(text) == key_id
    assert api_keys.generate() != (key_id, text)
    assert api_keys.digest(text) == sha256(text.encode()).digest()


@given(st.integers(0, 66), st.sampled_from(string.ascii_letters + string.digits + "_-\n "))
def test_any_one_character_changed_is_noticed_without_a_query(place: int, char: str) -> None:
    _, text = api_keys.generate()
    place %= len(text)
    damaged = text[:place] + char + text[place + 1 :]

    assert damaged == text or api_keys.parse_id(damaged) is None


@given(st.text())
def test_nothing_else_is_a_key(text: str) -> None:
    assert api_keys.parse_id(text) is None
    assert api_keys.parse_id("mk_" + text) is None


def test_a_cut_key_or_one_with_more_behind_it_is_none() -> None:
    _, text = api_keys.generate()

    assert api_keys.parse_id(text[:-1]) is None
    assert api_keys.parse_id(text + "\n") is None
    assert api_keys.parse_id(text + "0") is None


def test_the_secret_is_not_in_the_representation() -> None:
    key_id, text = api_keys.generate()
    made = NewApiKey(key=ApiKey(id=key_id, display_name="ci", scope=Scope.READ, created_at=0), secret=text)

    assert key_id in repr(made)
    assert text not in repr(made)
    assert text.removeprefix(f"mk_{key_id}_") not in f"{made}"
