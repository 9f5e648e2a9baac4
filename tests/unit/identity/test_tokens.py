import base64
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.errors import UnauthenticatedError
from monitord.domain.instant import SECOND, Instant
from monitord.identity.principal import SessionCredential
from monitord.identity.tokens import ACCESS_LIFETIME_S, AccessClaims, TokenPair, Tokens
from monitord.identity.vault import Vault

VAULT = Vault([bytes(range(32))])
SESSION = SessionCredential(uuid4(), 3)
BEGIN = 1_800_000_000 * SECOND + 123_456


def tokens_at(instant: Instant, vault: Vault = VAULT) -> Tokens:
    return Tokens(vault.derive, now=lambda: instant)


def test_an_access_token_says_who_and_which_session_until_its_exact_end() -> None:
    token, until = tokens_at(BEGIN).issue_access(42, SESSION)

    assert BEGIN < until <= BEGIN + 15 * 60 * SECOND
    assert tokens_at(BEGIN).verify_access(token) == AccessClaims(42, SESSION)
    assert tokens_at(until - 1).verify_access(token) == AccessClaims(42, SESSION)
    with pytest.raises(UnauthenticatedError, match="Refresh"):
        tokens_at(until).verify_access(token)


def forged(key: bytes, algorithm: str = "HS256", **changes: Any) -> str:
    begin_s = BEGIN // SECOND
    claims = {
        "iss": "monitord",
        "aud": "monitord",
        "sub": "42",
        "sid": str(SESSION.session_id),
        "sv": 3,
        "iat": begin_s,
        "exp": begin_s + ACCESS_LIFETIME_S,
    }
    return jwt.encode({k: v for k, v in (claims | changes).items() if v is not None}, key, algorithm=algorithm)


def test_the_forgery_that_the_next_test_varies_would_pass_with_the_right_key() -> None:
    assert tokens_at(BEGIN).verify_access(forged(VAULT.derive("access tokens")[0])) == AccessClaims(42, SESSION)


@pytest.mark.parametrize(
    "make",
    [
        lambda key: forged(bytes(32)),
        lambda key: forged(VAULT.derive("refresh tokens")[0]),
        lambda key: forged(key + bytes(32), "HS512"),  # HMAC pads with zeros: the same key, and long enough
        lambda key: jwt.encode(jwt.decode(forged(key), options={"verify_signature": False}), "", algorithm="none"),
        lambda key: forged(key, iss="somebody"),
        lambda key: forged(key, aud="somebody"),
        lambda key: forged(key, exp=None),
        lambda key: forged(key, sub=None),
        lambda key: forged(key, sid="1"),
        lambda key: forged(key, sv="3"),
        lambda key: forged(key)[:-4],
        lambda key: forged(key) + "é",
        lambda key: "a.b.c",
        lambda key: "",
    ],
)
def test_anything_that_is_not_wholly_ours_is_refused_without_quoting_it(make: Callable[[bytes], str]) -> None:
    token = make(VAULT.derive("access tokens")[0])

    with pytest.raises(UnauthenticatedError, match="Bearer") as refused:
        tokens_at(BEGIN).verify_access(token)
    assert refused.value.__cause__ is None
    assert not token or token not in str(refused.value)


def test_tokens_of_the_former_key_are_good_after_a_rotation_and_not_once_it_is_gone() -> None:
    before = tokens_at(BEGIN)
    access, _ = before.issue_access(42, SESSION)
    refresh = before.issue_refresh(SESSION.session_id)
    rotated = tokens_at(BEGIN, Vault([bytes(32), bytes(range(32))]))

    assert rotated.verify_access(access).user_id == 42
    assert rotated.verify_refresh(refresh) == SESSION.session_id
    for verify, token in ((before.verify_access, rotated.issue_access(42, SESSION)[0]),):
        with pytest.raises(UnauthenticatedError):
            verify(token)
    with pytest.raises(UnauthenticatedError):
        before.verify_refresh(rotated.issue_refresh(SESSION.session_id))


@given(st.uuids())
def test_a_refresh_token_names_its_session_and_is_never_the_same(session_id: UUID) -> None:
    tokens = tokens_at(BEGIN)
    token = tokens.issue_refresh(session_id)

    assert tokens.verify_refresh(token) == session_id
    assert token != tokens.issue_refresh(session_id)


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_refresh_token_that_was_not_issued_here_is_told_by_itself(place: int, flip: int) -> None:
    tokens = tokens_at(BEGIN)
    raw = bytearray(base64.urlsafe_b64decode(tokens.issue_refresh(uuid4())[3:] + "=="))
    raw[place % len(raw)] ^= flip

    with pytest.raises(UnauthenticatedError):
        tokens.verify_refresh("mr_" + base64.urlsafe_b64encode(raw).decode().rstrip("="))


@given(st.text())
def test_no_other_text_is_a_refresh_token(text: str) -> None:
    for candidate in (text, "mr_" + text):
        with pytest.raises(UnauthenticatedError):
            tokens_at(BEGIN).verify_refresh(candidate)


def test_an_access_token_is_no_refresh_token_and_the_other_way_round() -> None:
    tokens = tokens_at(BEGIN)

    with pytest.raises(UnauthenticatedError):
        tokens.verify_refresh(tokens.issue_access(42, SESSION)[0])
    with pytest.raises(UnauthenticatedError):
        tokens.verify_access(tokens.issue_refresh(SESSION.session_id))


def test_no_token_is_in_the_representation() -> None:
    pair = TokenPair(access_token="swordfish", access_expires_at=1, refresh_token="halibut", refresh_expires_at=2)

    assert "swordfish" not in repr(pair)
    assert "halibut" not in f"{pair}"


def test_a_token_that_was_verified_before_ends_with_its_key_and_its_time() -> None:
    """(T12) What is remembered of it is how it was verified, not that it is good."""
    keys = [bytes(32)]
    at = [1_800_000_000 * SECOND]
    tokens = Tokens(lambda purpose: tuple(keys), now=lambda: at[0])
    token, until = tokens.issue_access(7, SessionCredential(uuid4(), 3))
    assert tokens.verify_access(token) == tokens.verify_access(token)

    keys.insert(0, bytes([1]) * 32)
    assert tokens.verify_access(token).user_id == 7, "a rotation keeps the old key"
    keys.pop()
    with pytest.raises(UnauthenticatedError):
        tokens.verify_access(token)

    keys.append(bytes(32))
    assert tokens.verify_access(token).user_id == 7
    at[0] = until
    with pytest.raises(UnauthenticatedError, match="expired"):
        tokens.verify_access(token)
