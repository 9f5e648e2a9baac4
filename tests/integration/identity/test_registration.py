"""Registering, and getting back in: without telling anybody who has an account (T12, T14)."""

import pytest

from monitord.domain.account import RegistrationMode
from monitord.domain.errors import (
    AlreadyExistsError,
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
)
from monitord.domain.instant import DAY, HOUR
from monitord.domain.letter import Letter
from monitord.identity.principal import Principal, Scope
from monitord.identity.sessions import SignIn
from tests.integration.identity.conftest import ADMIN, PASSWORD, Identity

EMAIL, PEER = "ann@example.org", "192.0.2.1"
NEW = "another long password"


def token_of(letter: Letter) -> str:
    return letter.link.rpartition("/")[2]


async def register(identity: Identity, email: str = EMAIL, password: str = PASSWORD) -> Letter:
    before = len(identity.letters)
    assert await identity.registration.register(email, password, "Ann", PEER) is None
    assert len(identity.letters) == before + 1
    return identity.letters[-1]


async def registered(identity: Identity, email: str = EMAIL) -> SignIn:
    return await identity.registration.verify_email(PEER, token=token_of(await register(identity, email)))


async def users(identity: Identity) -> int:
    async with identity.database.connection() as held:
        return int(await held.fetchval("SELECT count(*) FROM users"))


async def test_an_account_is_made_when_its_address_is_proven(identity: Identity) -> None:
    letter = await register(identity, " Ann@Example.org ")
    assert (letter.recipient, await users(identity)) == (EMAIL, 0)
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.login(EMAIL, PASSWORD, PEER)
    made = await identity.registration.verify_email(PEER, token=token_of(letter))
    assert (made.user.email, made.user.full_name) == (EMAIL, "Ann")
    principal = await identity.authenticator.authenticate(f"Bearer {made.tokens.access_token}")
    assert principal.org_id == made.user.org_id
    assert (await identity.sessions.login(EMAIL, PASSWORD, PEER)).user == made.user
    with pytest.raises(FailedPreconditionError):
        await identity.registration.verify_email(PEER, token=token_of(letter))


async def test_by_code_five_wrong_ones_end_it(identity: Identity) -> None:
    letter = await register(identity)
    wrong = f"{(int(letter.code) + 1) % 10**8:08}"
    for _ in range(5):
        with pytest.raises(FailedPreconditionError):
            await identity.registration.verify_email(PEER, email=EMAIL, code=wrong)
    with pytest.raises(FailedPreconditionError):
        await identity.registration.verify_email(PEER, email=EMAIL, code=letter.code)


async def test_a_code_with_spaces_works_within_a_day(identity: Identity) -> None:
    letter = await register(identity)
    identity.clock.advance(DAY - 1)
    spaced = f"{letter.code[:4]} {letter.code[4:]}"
    assert (await identity.registration.verify_email(PEER, email="ANN@example.org", code=spaced)).user.email == EMAIL
    late = await register(identity, "bob@example.org")
    identity.clock.advance(DAY + 1)
    with pytest.raises(FailedPreconditionError):
        await identity.registration.verify_email(PEER, token=token_of(late))


async def test_whoever_asks_does_not_learn_who_has_an_account(identity: Identity) -> None:
    """(T14): the same answer; only the owner of the address is told."""
    await registered(identity)
    letter = await register(identity, password=NEW)
    assert (letter.subject, letter.link, letter.code) == ("You have an account already", "", "")
    await identity.registration.request_reset("nobody@example.org", PEER)
    assert identity.letters[-1] is letter
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.login(EMAIL, NEW, PEER)


async def test_a_squatter_gets_nothing_and_keeps_nobody_out(identity: Identity) -> None:
    await register(identity, password="of the squatter")
    letter = await register(identity)
    await identity.registration.verify_email(PEER, token=token_of(letter))
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.login(EMAIL, "of the squatter", PEER)


async def test_a_new_password_by_mail_ends_all_sessions(identity: Identity) -> None:
    """(T12)"""
    made = await registered(identity)
    await identity.registration.request_reset(EMAIL, PEER)
    letter = identity.letters[-1]
    await identity.registration.reset(NEW, token=token_of(letter))
    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {made.tokens.access_token}")
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.refresh(made.tokens.refresh_token)
    assert (await identity.sessions.login(EMAIL, NEW, PEER)).user == made.user
    assert identity.letters[-1].subject == "Your password was changed"
    with pytest.raises(FailedPreconditionError):
        await identity.registration.reset(PASSWORD, token=token_of(letter))


async def test_a_reset_expires_within_an_hour_and_a_token_is_good_for_one_thing(identity: Identity) -> None:
    await registered(identity)
    await identity.registration.request_reset(EMAIL, PEER)
    letter = identity.letters[-1]
    with pytest.raises(FailedPreconditionError):
        await identity.registration.verify_email(PEER, token=token_of(letter))
    identity.clock.advance(HOUR + 1)
    with pytest.raises(FailedPreconditionError):
        await identity.registration.reset(NEW, email=EMAIL, code=letter.code)


async def test_a_new_password_by_the_old_one(identity: Identity) -> None:
    made = await registered(identity)
    principal = await identity.authenticator.authenticate(f"Bearer {made.tokens.access_token}")
    with pytest.raises(UnauthenticatedError, match="old password"):
        await identity.registration.change_password(principal, NEW, NEW, PEER)
    again = await identity.registration.change_password(principal, PASSWORD, NEW, PEER)
    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {made.tokens.access_token}")
    assert await identity.authenticator.authenticate(f"Bearer {again.tokens.access_token}")


async def test_by_invitation_alone(identity: Identity) -> None:
    admin = await identity.admin()
    invited = identity.registering(RegistrationMode.INVITATION)
    with pytest.raises(InvalidArgumentError, match="token"):
        await invited.register(EMAIL, PASSWORD, "Ann", PEER)
    await invited.invite(admin, EMAIL)
    letter = identity.letters[-1]
    assert ADMIN in letter.paragraphs[0]
    with pytest.raises(InvalidArgumentError, match="invited"):
        await invited.register("eve@example.org", PASSWORD, "Eve", PEER, invitation=token_of(letter))
    await invited.invite(admin, EMAIL)
    made = await invited.register(EMAIL, PASSWORD, "Ann", PEER, invitation=token_of(identity.letters[-1]))
    assert made is not None
    ann = await identity.authenticator.authenticate(f"Bearer {made.tokens.access_token}")
    with pytest.raises(PermissionDeniedError):
        await invited.invite(ann, "bob@example.org")
    with pytest.raises(AlreadyExistsError):
        await invited.invite(admin, EMAIL)


async def test_off_and_without_mail(identity: Identity) -> None:
    for made in (identity.registering(RegistrationMode.OFF), identity.registering(RegistrationMode.OPEN, mail=False)):
        with pytest.raises(FailedPreconditionError):
            await made.register(EMAIL, PASSWORD, "Ann", PEER)


async def test_mails_to_one_address_and_from_one_network_are_limited(identity: Identity) -> None:
    """(T16)"""
    for _ in range(3):
        await register(identity)
    with pytest.raises(ResourceExhaustedError):
        await register(identity)
    refused: list[DomainError] = []
    for number in range(25):
        try:
            await identity.registration.request_reset(f"a{number}@example.org", f"2001:db8::{number}")
        except ResourceExhaustedError as error:
            refused.append(error)
    assert len(refused) == 5


@pytest.mark.parametrize(
    ("email", "password", "name", "field"),
    [
        ("ann", PASSWORD, "", "email"),
        ("ann@[127.0.0.1]", PASSWORD, "", "email"),
        ("a\r\nb@example.org", PASSWORD, "", "email"),
        (EMAIL, "short", "", "password"),
        (EMAIL, "x" * 73, "", "password"),
        (EMAIL, PASSWORD, "a\nb", "full_name"),
    ],
)
async def test_bad_input_is_told(identity: Identity, email: str, password: str, name: str, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await identity.registration.register(email, password, name, PEER)
    assert [one.field for one in caught.value.violations] == [field]
    assert identity.letters == []


async def test_sessions_are_listed_and_revoked_by_their_owner_alone(identity: Identity) -> None:
    one = await registered(identity)
    two = await registered(identity, "bob@example.org")
    ann = await identity.authenticator.authenticate(f"Bearer {one.tokens.access_token}")
    bob = await identity.authenticator.authenticate(f"Bearer {two.tokens.access_token}")
    (session,) = await identity.accounts.list_sessions(ann)
    assert session.address == PEER
    with pytest.raises(DomainError, match="no session"):
        await identity.accounts.revoke_session(bob, session.id)
    await identity.accounts.revoke_session(ann, session.id)
    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {one.tokens.access_token}")
    assert await identity.accounts.list_sessions(ann) == []


async def test_a_claimed_address_opens_nobodys_account(identity: Identity) -> None:
    """(T14) Who names another's address at Firebase can neither guess at that account nor hold its owner up."""
    victim = await identity.add_user("victim@example.org")
    async with identity.database.transaction() as tx:
        org_id = await tx.fetchval("INSERT INTO organisations (name) VALUES ('x') RETURNING id")
        user_id = await tx.fetchval(
            "INSERT INTO users (org_id, email, claimed_email, provider, firebase_uid) "
            "VALUES ($1, 'x@firebase.invalid', 'victim@example.org', 'google', 'u1') RETURNING id",
            org_id,
        )
    stranger = Principal(user_id, org_id, Scope.ADMIN, victim.credential)

    for password in (PASSWORD, "a guess of theirs"):
        with pytest.raises(FailedPreconditionError, match="no password"):
            await identity.registration.change_password(stranger, password, NEW, PEER)
    assert (await identity.sessions.login("victim@example.org", PASSWORD, PEER)).user.id == victim.user_id
