import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.errors import InvalidArgumentError
from monitord.identity import passwords
from monitord.identity.user import Account, User, normalise_email


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("Someone@Example.ORG", "someone@example.org"),
        ("  admin@localhost\n", "admin@localhost"),
        ("ME\u0301@example.org", "m\u00e9@example.org"),
        ("a@b@example.org", "a@b@example.org"),
    ],
)
def test_one_account_has_one_spelling(typed: str, normal: str) -> None:
    assert normalise_email(typed) == normal


@pytest.mark.parametrize(
    "typed", ["", "someone", "@example.org", "someone@", "a b@c", "a\x00@c", "a\r\nBcc: x@y", "a@c\u2028d", "\ud800@c"]
)
def test_what_is_no_address_is_refused_with_the_fields_name(typed: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        normalise_email(typed)
    assert [violation.field for violation in refused.value.violations] == ["email"]


def test_an_address_is_at_most_254_characters_long() -> None:
    assert normalise_email("a" * 252 + "@b")
    with pytest.raises(InvalidArgumentError):
        normalise_email("a" * 253 + "@b")


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        normal = normalise_email(f"{text}@example.org")
    except InvalidArgumentError:
        return
    assert normalise_email(normal) == normal


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_password_is_taken_up_to_72_bytes_and_never_cut(password: str) -> None:
    size = len(password.encode())
    if 1 <= size <= 72:
        assert passwords.check_length(password) == password.encode()
    else:
        with pytest.raises(InvalidArgumentError) as refused:
            passwords.check_length(password, "password")
        assert refused.value.violations[0].field == "password"


@pytest.mark.parametrize("password", ["", "1234567", "x" * 73, "\ud800" * 10])
def test_a_new_password_has_8_characters_or_more(password: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        passwords.check_new(password, "new")
    assert refused.value.violations[0].field == "new"
    assert password == "" or password not in str(refused.value)


def test_the_hash_is_not_in_the_representation() -> None:
    user = User(id=1, org_id=1, email="a@b", full_name="", provider="password", created_at=0)

    assert "$2b$" not in repr(Account(user=user, password_hash="$2b$12$", session_version=1))
