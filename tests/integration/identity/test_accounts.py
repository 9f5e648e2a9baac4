import asyncio

import pytest

from monitord.domain.errors import (
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from monitord.domain.instant import HOUR, MINUTE, SECOND, from_datetime
from monitord.identity.api_keys import ApiKey
from monitord.identity.principal import ApiKeyCredential, Principal, Scope
from monitord.identity.private_file import PrivateFileError
from tests.integration.identity.conftest import ADMIN, PASSWORD, Identity


async def test_the_first_start_makes_one_administrator_with_a_key(identity: Identity) -> None:
    admin = await identity.admin()

    assert admin.scope is Scope.ADMIN
    user = await identity.accounts.get_user(admin)
    assert (user.email, user.provider, user.org_id) == (ADMIN, "password", admin.org_id)
    async with identity.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT role, personal, is_premium FROM users u JOIN organisations o ON o.id = u.org_id "
            "JOIN user_profile p ON p.user_id = u.id"
        )
    assert row is not None
    assert tuple(row) == ("ADMIN", True, False)


async def test_later_starts_change_nothing(identity: Identity) -> None:
    await identity.admin()

    assert await identity.accounts.bootstrap_admin("other@localhost", "another password") is None
    assert await identity.accounts.bootstrap_admin(ADMIN, None) is None
    async with identity.database.connection() as connection:
        counts = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM organisations), (SELECT count(*) FROM api_keys)"
        )
    assert counts is not None
    assert tuple(counts) == (1, 1, 1)


async def test_several_first_starts_at_the_same_time_make_one_administrator(identity: Identity) -> None:
    kept: list[str] = []

    secrets = await asyncio.gather(
        *(identity.accounts.bootstrap_admin(f"admin{n}@localhost", None, kept.append) for n in range(4))
    )

    assert [secret for secret in secrets if secret] == kept
    assert len(kept) == 1
    assert await identity.authenticator.authenticate(f"Bearer {kept[0]}")
    async with identity.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM users") == 1
        assert await connection.fetchval("SELECT count(*) FROM organisations") == 1


async def test_a_key_that_could_not_be_kept_leaves_no_administrator_behind(identity: Identity) -> None:
    def fail(secret: str) -> None:
        raise OSError("no space left on device")

    with pytest.raises(PrivateFileError, match="no space"):
        await identity.accounts.bootstrap_admin(ADMIN, PASSWORD, fail)

    assert await identity.accounts.bootstrap_admin(ADMIN, PASSWORD)


async def test_an_administrator_without_a_password_can_not_sign_in_until_one_is_set(identity: Identity) -> None:
    await identity.accounts.bootstrap_admin(ADMIN, None)
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.login(ADMIN, PASSWORD, "")

    await identity.accounts.set_password(ADMIN, PASSWORD)

    assert await identity.sessions.login(ADMIN, PASSWORD, "")


async def test_a_password_for_nobody_and_one_that_is_too_short(identity: Identity) -> None:
    await identity.admin()

    with pytest.raises(NotFoundError, match=r"nobody@example\.org"):
        await identity.accounts.set_password("nobody@example.org", PASSWORD)
    with pytest.raises(InvalidArgumentError, match="at least 8"):
        await identity.accounts.set_password(ADMIN, "1234567")
    with pytest.raises(InvalidArgumentError, match="at least 8"):
        await identity.accounts.bootstrap_admin(ADMIN, "1234567")


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_key_has_the_scope_it_was_made_with_and_is_shown_once(identity: Identity, scope: Scope) -> None:
    admin = await identity.admin()

    made = await identity.accounts.create_api_key(admin, "ci", scope)

    principal = await identity.authenticator.authenticate(f"Bearer {made.secret}")
    assert principal == Principal(admin.user_id, admin.org_id, scope, ApiKeyCredential(made.key.id))
    assert made.secret not in repr(await identity.accounts.list_api_keys(admin, limit=10))
    async with identity.database.connection() as connection:
        dump = str(await connection.fetch("SELECT k::text FROM api_keys k"))
    assert made.key.id in dump
    assert made.secret.rpartition("_")[2][:20] not in dump, "T15"


async def test_nobody_makes_a_key_with_more_scope_than_their_own(identity: Identity) -> None:
    admin = await identity.admin()
    made = await identity.accounts.create_api_key(admin, "ci", Scope.WRITE)
    writer = await identity.authenticator.authenticate(f"Bearer {made.secret}")

    with pytest.raises(PermissionDeniedError, match="WRITE"):
        await identity.accounts.create_api_key(writer, "more", Scope.ADMIN)
    assert (await identity.accounts.create_api_key(writer, "as much", Scope.WRITE)).key.scope is Scope.WRITE


async def test_a_key_ends_at_its_time(identity: Identity) -> None:
    admin = await identity.admin()
    made = await identity.accounts.create_api_key(admin, "ci", Scope.READ, 3600)
    assert made.key.expires_at == identity.clock.now() + HOUR
    identity.clock.advance(HOUR - 1)
    await identity.authenticator.authenticate(f"Bearer {made.secret}")

    identity.clock.advance(1)

    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {made.secret}")


@pytest.mark.parametrize(
    ("name", "lifetime_s", "fields"),
    [
        ("", None, ["display_name"]),
        ("   ", None, ["display_name"]),
        ("x" * 101, None, ["display_name"]),
        ("a\x00b", None, ["display_name"]),
        ("a\u202eb", None, ["display_name"]),
        ("ci", 59, ["time_to_live"]),
        ("ci", -1, ["time_to_live"]),
        ("ci", 10**11, ["time_to_live"]),
        ("", 0, ["display_name", "time_to_live"]),
    ],
)
async def test_a_bad_wish_for_a_key_is_told_every_field(
    identity: Identity, name: str, lifetime_s: int | None, fields: list[str]
) -> None:
    admin = await identity.admin()

    with pytest.raises(InvalidArgumentError) as refused:
        await identity.accounts.create_api_key(admin, name, Scope.READ, lifetime_s)
    assert [violation.field for violation in refused.value.violations] == fields


async def test_pages_of_keys_are_newest_first_and_hold_each_once(identity: Identity) -> None:
    admin = await identity.admin()
    made = []
    for number in range(7):
        # Two at each instant: the id decides between them.
        identity.clock.advance(SECOND if number % 2 else 0)
        made.append((await identity.accounts.create_api_key(admin, f"key {number}", Scope.READ)).key)
    revoked = made.pop(3)
    await identity.accounts.revoke_api_key(admin, revoked.id)

    listed: list[ApiKey] = []
    while len(listed) < 20 and (
        page := await identity.accounts.list_api_keys(
            admin, limit=2, after=(listed[-1].created_at, listed[-1].id) if listed else None
        )
    ):
        assert len(page) <= 2
        listed += page

    assert {key.id for key in listed} == {key.id for key in made} | {_id(admin)}
    assert len(listed) == 7
    assert listed == sorted(listed, key=lambda key: (-key.created_at, key.id))


async def test_a_revoked_key_is_worthless_at_once_and_so_are_its_streams(identity: Identity) -> None:
    """T12."""
    admin = await identity.admin()
    made = await identity.accounts.create_api_key(admin, "ci", Scope.READ)
    principal = await identity.authenticator.authenticate(f"Bearer {made.secret}")
    stream = asyncio.create_task(identity.authenticator.wait_until_invalid(principal))
    await asyncio.sleep(0)

    revoked_at = identity.clock.now()
    await identity.accounts.revoke_api_key(admin, made.key.id)
    identity.clock.advance(SECOND)
    await identity.accounts.revoke_api_key(admin, made.key.id)

    async with identity.database.connection() as connection:
        stored = await connection.fetchval("SELECT revoked_at FROM api_keys WHERE id = $1", made.key.id)
    assert from_datetime(stored) == revoked_at, "the record tells when it really happened"
    async with asyncio.timeout(5):
        await stream
    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {made.secret}")


async def test_nobody_sees_or_revokes_anothers_keys(identity: Identity) -> None:
    """T9: within one organisation too."""
    admin = await identity.admin()
    stranger = await identity.add_user("stranger@example.org")
    async with identity.database.connection() as connection:
        colleague_id = await connection.fetchval(
            "INSERT INTO users (org_id, email) VALUES ($1, 'colleague@example.org') RETURNING id", admin.org_id
        )
        await connection.execute(
            "INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, 'admin') ON CONFLICT DO NOTHING",
            admin.org_id,
            colleague_id,
        )
    colleague = Principal(colleague_id, admin.org_id, Scope.ADMIN, ApiKeyCredential("x"))
    made = await identity.accounts.create_api_key(admin, "ci", Scope.READ)

    for other in (stranger, colleague):
        assert await identity.accounts.list_api_keys(other, limit=10) == []
        for key_id in (made.key.id, "doesnotexist"):
            with pytest.raises(NotFoundError):
                await identity.accounts.revoke_api_key(other, key_id)
    assert await identity.authenticator.authenticate(f"Bearer {made.secret}")


async def test_who_is_no_member_of_an_organisation_has_no_key_there(identity: Identity) -> None:
    """T9: both parts of the owner count."""
    admin = await identity.admin()
    stranger = await identity.add_user("stranger@example.org")
    crossed = Principal(admin.user_id, stranger.org_id, Scope.ADMIN, admin.credential)

    with pytest.raises(UnauthenticatedError):
        await identity.accounts.create_api_key(crossed, "ci", Scope.READ)
    assert await identity.accounts.list_api_keys(crossed, limit=10) == []
    with pytest.raises(NotFoundError):
        await identity.accounts.revoke_api_key(crossed, _id(admin))


async def test_a_deleted_users_credentials_end(identity: Identity) -> None:
    """T12."""
    await identity.admin()
    user = await identity.add_user("leaver@example.org")
    made = await identity.accounts.create_api_key(user, "ci", Scope.READ)
    async with identity.database.connection() as connection:
        await connection.execute("DELETE FROM users WHERE id = $1", user.user_id)
    identity.clock.advance(10 * SECOND)

    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {made.secret}")
    assert not await identity.authenticator.still_valid(user)


async def test_the_last_use_of_a_key_is_written_later_and_to_the_minute(identity: Identity) -> None:
    admin = await identity.admin()
    made = await identity.accounts.create_api_key(admin, "ci", Scope.READ)
    identity.clock.advance(90 * SECOND)
    await identity.authenticator.authenticate(f"Bearer {made.secret}")

    async def last_use() -> int | None:
        keys = await identity.accounts.list_api_keys(admin, limit=10)
        return next(key.last_used_at for key in keys if key.id == made.key.id)

    assert await last_use() is None
    await identity.upkeep.flush()
    used_at = identity.clock.now() // MINUTE * MINUTE
    assert await last_use() == used_at
    await identity.credentials.record_key_use({made.key.id: used_at - HOUR, "doesnotexist": used_at})
    assert await last_use() == used_at, "an earlier use, written late by another process, changes nothing"


async def test_a_key_made_in_anothers_transaction_goes_with_it(identity: Identity) -> None:
    admin = await identity.admin()

    async def create_and_undo() -> None:
        async with identity.database.transaction() as tx:
            secrets.append((await identity.accounts.create_api_key(admin, "ci", Scope.READ, tx=tx)).secret)
            raise RuntimeError("undo")

    secrets: list[str] = []
    with pytest.raises(RuntimeError, match="undo"):
        await create_and_undo()

    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {secrets[0]}")


def _id(principal: Principal) -> str:
    assert isinstance(principal.credential, ApiKeyCredential)
    return principal.credential.key_id
