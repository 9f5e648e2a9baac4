"""Whose account it is: nobody takes, or learns of, another's by naming its address (T14)."""

from typing import Any

import pytest

from monitord.domain.instant import SECOND
from monitord.identity.firebase import FirebaseIdentity
from monitord.identity.firebase_sign_in import FirebaseAccount
from monitord.storage.database import Database
from monitord.storage.firebase_accounts import FirebaseAccounts

AT = 1_800_000_000 * SECOND


class Accounts:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.store = FirebaseAccounts(database)

    async def sign_in(self, uid: str = "uid-1", **fields: Any) -> FirebaseAccount | None:
        usual = {
            "provider": "google",
            "email": "ann@example.org",
            "email_verified": True,
            "full_name": "Ann",
            "expires_at": AT,
        }
        return await self.store.firebase_account(FirebaseIdentity(uid=uid, **(usual | fields)), at=AT)

    async def add(self, email: str = "ann@example.org", provider: str = "password", **columns: Any) -> int:
        names = ["email", "provider", *columns]
        marks = ", ".join(f"${number + 2}" for number in range(len(names)))
        async with self.database.connection() as held:
            org_id = await held.fetchval("INSERT INTO organisations (name) VALUES ('x') RETURNING id")
            added: int = await held.fetchval(
                f"INSERT INTO users (org_id, {', '.join(names)}) VALUES ($1, {marks}) RETURNING id",
                org_id,
                email,
                provider,
                *columns.values(),
            )
        return added

    async def emails(self) -> list[str]:
        async with self.database.connection() as held:
            return [row["email"] for row in await held.fetch("SELECT email FROM users ORDER BY id")]


@pytest.fixture
async def accounts(database: Database) -> Accounts:
    return Accounts(database)


async def test_each_uid_has_an_account_and_an_organisation_of_its_own(accounts: Accounts) -> None:
    ann = await accounts.sign_in()
    bob = await accounts.sign_in("uid-2", email="bob@example.org")

    assert ann is not None
    assert bob is not None
    assert ann.is_new
    assert ann.account.user.org_id != bob.account.user.org_id
    assert await accounts.emails() == ["ann@example.org", "bob@example.org"]


@pytest.mark.parametrize("provider", ["google", "apple", "firebase_password"])
async def test_an_account_with_a_password_of_ours_is_never_taken_over(accounts: Accounts, provider: str) -> None:
    await accounts.add("Ann@example.org")

    assert await accounts.sign_in(provider=provider) is None
    assert await accounts.emails() == ["Ann@example.org"]


async def test_nor_is_another_uids(accounts: Accounts) -> None:
    await accounts.sign_in("uid-1")

    assert await accounts.sign_in("uid-2") is None
    assert await accounts.sign_in("uid-2", provider="apple") is None


async def test_an_address_that_is_not_proven_tells_and_takes_nothing(accounts: Accounts) -> None:
    """The answer is the same whether or not there is such an account."""
    await accounts.add()
    taken = await accounts.sign_in("uid-1", email_verified=False)
    free = await accounts.sign_in("uid-2", email="nobody@example.org", email_verified=False)

    for found, email in ((taken, "ann@example.org"), (free, "nobody@example.org")):
        assert found is not None
        assert found.is_new
        assert found.account.user.email == email
        assert found.account.user.profile_status == "PENDING"
    first, *others = await accounts.emails()
    assert first == "ann@example.org"
    assert all(email.endswith("@firebase.invalid") for email in others)
    owner = await accounts.sign_in("uid-3", email="nobody@example.org")
    assert owner is not None
    assert owner.account.user.email == "nobody@example.org", "it was kept from nobody"


async def test_an_address_becomes_theirs_when_it_is_proven_unless_it_is_anothers(accounts: Accounts) -> None:
    for uid in ("uid-1", "uid-2"):
        await accounts.sign_in(uid, email_verified=False)
    for uid in ("uid-1", "uid-2"):
        found = await accounts.sign_in(uid)
        assert found is not None
        assert not found.is_new

    first, second = await accounts.emails()
    assert first == "ann@example.org"
    assert second.endswith("@firebase.invalid")


async def test_an_account_that_came_over_from_the_original_is_found_by_its_proven_address_and_way_in(
    accounts: Accounts,
) -> None:
    old = await accounts.add("Ann@example.org", "google", fullname="Ann O.", profile_status="COMPLETE")

    assert await accounts.sign_in("uid-2", provider="apple") is None
    stranger = await accounts.sign_in("uid-3", email_verified=False)
    assert stranger is not None
    assert stranger.account.user.id != old
    found = await accounts.sign_in("uid-1")

    assert found is not None
    assert not found.is_new
    assert (found.account.user.id, found.account.user.full_name) == (old, "Ann O.")
    user = await accounts.store.firebase_user("uid-1")
    assert user is not None
    assert user.user_id == old


async def test_one_without_an_address_has_none(accounts: Accounts) -> None:
    found = await accounts.sign_in(email=None, email_verified=False)

    assert found is not None
    assert found.account.user.email == ""
