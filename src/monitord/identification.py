"""Builds what knows who is asking: accounts, sessions, keys, and how people get an account or back into theirs."""

import asyncio
from collections.abc import Callable

import structlog

from monitord.domain.errors import UnavailableError
from monitord.domain.instant import Instant
from monitord.domain.letter import Letter
from monitord.domain.plan import Bounds, Usage
from monitord.firebase import Firebase
from monitord.identity.account_deletion import AccountDeletion
from monitord.identity.accounts import Accounts
from monitord.identity.address_proofs import AddressProofs
from monitord.identity.authenticator import Authenticator
from monitord.identity.invitations import Invitations
from monitord.identity.organisations import Organisations
from monitord.identity.passwords import Passwords
from monitord.identity.plan_rates import PlanRates
from monitord.identity.registration import Registration
from monitord.identity.sessions import Sessions
from monitord.identity.throttle import LoginThrottle
from monitord.identity.tokens import Tokens
from monitord.identity.upkeep import Upkeep
from monitord.identity.vault import Vault
from monitord.pages.accounts import AccountPages
from monitord.pages.invitations import InvitationPages
from monitord.rpc.account_export import AccountFile
from monitord.rpc.accounts import AccountService
from monitord.rpc.auth import AuthHandler, RequestLedger
from monitord.rpc.engine import Engine
from monitord.rpc.organisations import OrganisationService
from monitord.rpc.rates import CallRates, Rate
from monitord.settings import Settings
from monitord.storage.account_deletion import AccountDeletionStore
from monitord.storage.account_export import AccountExport
from monitord.storage.account_purge import AccountPurge
from monitord.storage.accounts import AccountStore
from monitord.storage.address_proofs import AddressProofStore
from monitord.storage.api_keys import ApiKeyStore
from monitord.storage.audit_log import AuditLog
from monitord.storage.credentials import CredentialStore
from monitord.storage.database import Database
from monitord.storage.memberships import InvitationStore, MembershipStore
from monitord.storage.organisations import OrganisationStore
from monitord.storage.plans import PlanStore
from monitord.storage.tenancy import Pools

_MAX_NOTES = 100
"""Of wrong passwords, under way; those beyond are not written: guessing is limited before it gets there (T14)."""

_log = structlog.get_logger(__name__)


class Identification:
    """Everything between a credential and a principal. Construction wires; ``close`` ends what is open."""

    def __init__(
        self,
        settings: Settings,
        pools: Pools,
        vault: Vault,
        *,
        now: Callable[[], Instant],
        post: Callable[[Letter], None] | None,
        base: Callable[[], str],
    ) -> None:
        """Take what sends mails, None where mail is not set up, and what gives the beginning of links."""
        # To find out who somebody is takes the engine's pool; what they then ask for doesn't.
        database, tenants = pools
        store, credentials, throttle = AccountStore(database), CredentialStore(database), LoginThrottle()
        tokens = Tokens(vault.derive, now=now)
        self._settings, self._now, self._plans = settings, now, PlanStore(database)
        self._passwords = Passwords()
        self.upkeep = Upkeep(credentials, now=now)
        self._firebase = Firebase.open(settings, database, now=now)
        self.authenticator = Authenticator(
            credentials,
            tokens,
            now=now,
            on_use=self.upkeep.note_use,
            firebase=None if self._firebase is None else self._firebase.bearers,
        )
        self._build_deletion(settings, database, vault, throttle, now=now, post=post)
        ended = self.authenticator.forget
        self.accounts = Accounts(store, ApiKeyStore(database), self._passwords, now=now, ended=ended)
        self._callers_accounts = Accounts(
            AccountStore(tenants), ApiKeyStore(tenants), self._passwords, now=now, ended=ended
        )
        self._audit = AuditLog(database)
        self._noting: set[asyncio.Task[None]] = set()
        self._sessions = self._build_sessions(store, tokens, throttle, now)
        self._id_tokens = None if self._firebase is None else self._firebase.sign_in(self._sessions, throttle)
        self._build_organisations(database, post, base, now)
        self._registration = Registration(
            store,
            AddressProofs(AddressProofStore(database), vault.derive, base, now=now),
            self._passwords,
            self._sessions,
            throttle,
            self._invitations,
            mode=settings.registration,
            post=post,
            now=now,
            ended=ended,
        )
        self.pages = (AccountPages(self._registration), InvitationPages(self._invitations, self._registration))

    def _build_sessions(
        self, store: AccountStore, tokens: Tokens, throttle: LoginThrottle, now: Callable[[], Instant]
    ) -> Sessions:
        return Sessions(
            store,
            self._passwords,
            tokens,
            throttle,
            now=now,
            ended=self.authenticator.forget,
            failed=self._note_failure,
            welcome=None if self._firebase is None else self._firebase.welcome,
        )

    def _build_deletion(
        self,
        settings: Settings,
        database: Database,
        vault: Vault,
        throttle: LoginThrottle,
        *,
        now: Callable[[], Instant],
        post: Callable[[Letter], None] | None,
    ) -> None:
        """Build what people leave by; wrong passwords count with those of signing in."""
        ended = self.authenticator.forget
        self._deletion = AccountDeletion(
            AccountDeletionStore(database, vault),
            self._passwords,
            throttle,
            grace_days=settings.account_grace_days,
            post=post,
            now=now,
            ended=ended,
        )
        self._file = AccountFile(AccountExport(database, vault), self.authenticator)
        self.purge = AccountPurge(database, ended=ended, left=self.authenticator.forget_member, clock=now)

    def _build_organisations(
        self,
        database: Database,
        post: Callable[[Letter], None] | None,
        base: Callable[[], str],
        now: Callable[[], Instant],
    ) -> None:
        changed = self.authenticator.forget_member
        members = MembershipStore(database)
        self._organisations = Organisations(
            OrganisationStore(database),
            members,
            now=now,
            changed=changed,
            fenced=self.authenticator.forget_organisation,
        )
        self._invitations = Invitations(members, InvitationStore(database), base, post=post, now=now, changed=changed)

    def auth_service(self, requests: RequestLedger) -> AuthHandler:
        """Return what serves signing in and keys."""
        return AuthHandler(self._sessions, self._callers_accounts, requests, self._id_tokens)

    def account_service(self, engine: Engine) -> AccountService:
        """Return what serves accounts."""
        return AccountService(self._registration, self._callers_accounts, self._deletion, self._file, engine)

    def organisation_service(self, requests: RequestLedger, engine: Engine) -> OrganisationService:
        """Return what serves organisations and their members."""
        return OrganisationService(self._organisations, self._invitations, requests, engine, self._usage)

    def call_rates(self) -> CallRates:
        """Return what counts calls: by the plan of the organisation acted in, or as everybody's."""
        settings = self._settings
        return CallRates(
            Rate.of(settings.rpc_rate), Rate.of(settings.rpc_rate_unproven), of_plan=PlanRates(self._plans).of
        )

    async def close(self) -> None:
        """End what is open."""
        self._passwords.close()
        if self._firebase is not None:
            self._firebase.close()
        await asyncio.gather(*self._noting, return_exceptions=True)

    async def _usage(self, org_id: int) -> Usage:
        settings = self._settings
        bounds = Bounds(
            min_interval_s=settings.min_interval_s,
            retention_days=settings.log_retention_days,
            rpc_rate=settings.rpc_rate,
        )
        return await self._plans.usage(org_id, bounds, at=self._now())

    def _note_failure(self, email: str) -> None:
        """Write a wrong password into the audit log, beside the answer, which takes no longer for it (T14)."""
        if len(self._noting) < _MAX_NOTES:
            task = asyncio.create_task(self._note(email), name="note of a wrong password")
            self._noting.add(task)
            task.add_done_callback(self._noting.discard)

    async def _note(self, email: str) -> None:
        try:
            await self._audit.sign_in_failed(email)
        except UnavailableError as error:
            _log.warning("wrong_password_not_noted", reason=error.message)
