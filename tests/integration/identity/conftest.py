"""Identity as app.py puts it together, on a real database, with cheap hashes and a clock that a test can move."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from monitord.domain.instant import SECOND, Instant
from monitord.domain.letter import Letter
from monitord.identity.account_deletion import AccountDeletion
from monitord.identity.accounts import Accounts
from monitord.identity.address_proofs import AddressProofs
from monitord.identity.authenticator import Authenticator
from monitord.identity.invitations import Invitations
from monitord.identity.organisations import Organisations
from monitord.identity.passwords import Passwords
from monitord.identity.principal import Principal
from monitord.identity.registration import Registration, RegistrationMode
from monitord.identity.sessions import Sessions
from monitord.identity.throttle import LoginThrottle
from monitord.identity.tokens import Tokens
from monitord.identity.upkeep import Upkeep
from monitord.identity.vault import Vault
from monitord.storage.account_deletion import AccountDeletionStore
from monitord.storage.account_purge import AccountPurge
from monitord.storage.accounts import AccountStore
from monitord.storage.address_proofs import AddressProofStore
from monitord.storage.api_keys import ApiKeyStore
from monitord.storage.credentials import CredentialStore
from monitord.storage.database import Database
from monitord.storage.memberships import InvitationStore, MembershipStore
from monitord.storage.organisations import OrganisationStore

ADMIN = "admin@localhost"
PASSWORD = "correct horse battery"


@dataclass
class Clock:
    """Wall clock and monotonic clock in one."""

    instant: Instant = 1_800_000_000 * SECOND

    def now(self) -> Instant:
        return self.instant

    def monotonic(self) -> float:
        return self.instant / SECOND

    def advance(self, micros: int) -> None:
        self.instant += micros


class Identity:
    def __init__(self, database: Database) -> None:
        self.clock = clock = Clock()
        self.database = database
        self.store = AccountStore(database)
        self.hasher = Passwords(cost=4)
        self.tokens = Tokens(Vault([bytes(32)]).derive, now=clock.now)
        self.throttle = LoginThrottle(clock=clock.monotonic)
        self.credentials = CredentialStore(database)
        self.upkeep = Upkeep(self.credentials, now=clock.now)
        self.authenticator = Authenticator(
            self.credentials, self.tokens, now=clock.now, on_use=self.upkeep.note_use, clock=clock.monotonic
        )
        self.sessions = Sessions(
            self.store, self.hasher, self.tokens, self.throttle, now=clock.now, ended=self.authenticator.forget
        )
        self.letters: list[Letter] = []
        changed = self.authenticator.forget_member
        members = MembershipStore(database)
        self.organisations = Organisations(
            OrganisationStore(database),
            members,
            now=clock.now,
            changed=changed,
            fenced=self.authenticator.forget_organisation,
        )
        self.invitations = Invitations(
            members,
            InvitationStore(database),
            lambda: "http://public.test",
            post=self.letters.append,
            now=clock.now,
            changed=changed,
        )
        self.registration = self.registering(RegistrationMode.OPEN)
        self.accounts = Accounts(
            self.store, ApiKeyStore(database), self.hasher, now=clock.now, ended=self.authenticator.forget
        )

        self.deletion = AccountDeletion(
            AccountDeletionStore(database, Vault([bytes(32)])),
            self.hasher,
            self.throttle,
            grace_days=14,
            post=self.letters.append,
            now=clock.now,
            ended=self.authenticator.forget,
        )
        self.purge = AccountPurge(database, ended=self.authenticator.forget, left=changed, clock=clock.now)

    def registering(self, mode: RegistrationMode, *, mail: bool = True) -> Registration:
        """Return what registers people, by another rule than ``open``."""
        proofs = AddressProofs(
            AddressProofStore(self.database),
            Vault([bytes(32)]).derive,
            lambda: "http://public.test",
            now=self.clock.now,
        )
        return Registration(
            self.store,
            proofs,
            self.hasher,
            self.sessions,
            self.throttle,
            self.invitations,
            mode=mode,
            post=self.letters.append if mail else None,
            now=self.clock.now,
            ended=self.authenticator.forget,
        )

    async def admin(self) -> Principal:
        """Bootstrap, and return the administrator as their first key proves them."""
        secret = await self.accounts.bootstrap_admin(ADMIN, PASSWORD)
        return await self.authenticator.authenticate(f"Bearer {secret}")

    async def add_user(self, email: str) -> Principal:
        """Store another user with an organisation of their own and an admin key."""
        async with self.database.transaction() as tx:
            org_id = await tx.fetchval("INSERT INTO organisations (name) VALUES ($1) RETURNING id", email)
            hashed = await self.hasher.hash(PASSWORD)
            await tx.execute(
                "INSERT INTO users (org_id, email, password_hash) VALUES ($1, $2, $3)", org_id, email, hashed
            )
        pair = (await self.sessions.login(email, PASSWORD, "192.0.2.9")).tokens
        return await self.authenticator.authenticate(f"Bearer {pair.access_token}")


@pytest.fixture
async def identity(database: Database) -> AsyncIterator[Identity]:
    made = Identity(database)
    yield made
    made.hasher.close()
