import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.errors import InvalidArgumentError
from monitord.rpc.paging import (
    KeyNumber,
    KeyText,
    decode_page_token,
    encode_page_token,
    fingerprint,
    page_size,
)
from monitord.v1 import auth_service_pb2, monitor_service_pb2


class Key(msgspec.Struct, frozen=True, array_like=True):
    name: KeyText
    id: KeyNumber


class Forged(msgspec.Struct, frozen=True, array_like=True):
    name: object
    id: object


class Short(msgspec.Struct, frozen=True, array_like=True):
    name: str


QUERY = b"query"


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=200), st.integers(-(2**63), 2**63 - 1))
def test_a_token_gives_back_its_key(text: str, number: int) -> None:
    assert decode_page_token(QUERY, encode_page_token(QUERY, Key(text, number)), Key) == Key(text, number)


@given(st.text(max_size=300))
def test_any_other_text_is_refused_with_its_field(token: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        decode_page_token(QUERY, token, Key)
    assert caught.value.reason == "INVALID_PAGE_TOKEN"
    assert caught.value.violations[0].field == "page_token"


@given(st.integers(0, 200), st.integers(1, 255))
def test_one_changed_character_is_noticed(place: int, flip: int) -> None:
    good = encode_page_token(QUERY, Key("name", 7))
    at = place % len(good)
    bad = good[:at] + chr((ord(good[at]) ^ flip) % 128) + good[at + 1 :]
    try:
        key = decode_page_token(QUERY, bad, Key)
    except InvalidArgumentError:
        return
    assert key == Key("name", 7)  # only unused trailing bits of the base64 changed


@pytest.mark.parametrize(
    "key", [Forged("a\0b", 1), Forged("a", 2**63), Forged("a" * 1001, 1), Forged(1, 1), Forged("a", None), Short("a")]
)
def test_a_forged_key_that_the_database_could_not_take_is_refused(key: msgspec.Struct) -> None:
    with pytest.raises(InvalidArgumentError):
        decode_page_token(QUERY, encode_page_token(QUERY, key), Key)


def test_the_fingerprint_covers_every_condition_but_the_page_itself() -> None:
    request = monitor_service_pb2.ListMonitorsRequest
    base = fingerprint(1, request(active=True))
    assert base == fingerprint(1, request(active=True, page_size=7, page_token="x"))
    others = [
        fingerprint(2, request(active=True)),
        fingerprint(1, request(active=False)),
        fingerprint(1, request()),
        fingerprint(1, request(active=True, labels={"a": "b"})),
        fingerprint(1, request(active=True, order=monitor_service_pb2.MONITOR_ORDER_NAME)),
    ]
    assert base not in others
    assert fingerprint(1, request()) != fingerprint(1, auth_service_pb2.ListApiKeysRequest())


def test_the_fingerprint_does_not_depend_on_the_order_of_labels() -> None:
    request = monitor_service_pb2.ListMonitorsRequest
    labels = [(f"k{i}", "v") for i in range(20)]
    assert fingerprint(1, request(labels=dict(labels))) == fingerprint(1, request(labels=dict(reversed(labels))))


def test_the_fingerprint_leaves_the_request_alone() -> None:
    request = monitor_service_pb2.ListMonitorsRequest(page_size=3, page_token="t")
    fingerprint(1, request)
    assert (request.page_size, request.page_token) == (3, "t")


@pytest.mark.parametrize(("asked", "given_"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)])
def test_page_sizes(asked: int, given_: int) -> None:
    assert page_size(asked) == given_


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="page_size: must be 0"):
        page_size(-1)
