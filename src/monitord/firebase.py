"""Builds what lets people in by Firebase, where the operator has set it up."""

import os
import time
from collections.abc import Callable

import structlog

from monitord.domain.instant import Instant
from monitord.identity.firebase import FirebaseTokens
from monitord.identity.firebase_bearers import FirebaseBearers
from monitord.identity.firebase_library import EMULATOR, FirebaseLibrary
from monitord.identity.firebase_sign_in import FirebaseSignIn
from monitord.identity.service_account import ServiceAccount, read_service_account
from monitord.identity.sessions import Sessions
from monitord.identity.throttle import LoginThrottle
from monitord.settings import Settings
from monitord.storage.database import Database
from monitord.storage.firebase_accounts import FirebaseAccounts

_log = structlog.get_logger(__name__)


class Firebase:
    """Signing in with one Firebase project. ``close`` it at the end."""

    def __init__(
        self,
        account: ServiceAccount,
        database: Database,
        *,
        now: Callable[[], Instant],
        development: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what ``Settings.firebase_service_account`` says."""
        self._library = FirebaseLibrary(account, development=development)
        self._tokens = FirebaseTokens(account.project_id, self._library.judge, now=now, clock=clock)
        self._accounts = FirebaseAccounts(database)
        self._now = now
        self.bearers = FirebaseBearers(self._tokens, self._accounts, now=now, clock=clock)
        """For the authenticator: ID tokens as bearers of calls."""
        self.welcome = self._library.is_welcome
        """For the sessions: whether one who came through Firebase may stay."""
        self._library.warm()

    @classmethod
    def open(cls, settings: Settings, database: Database, *, now: Callable[[], Instant]) -> "Firebase | None":
        """Return it ready; None, which is said once, where it is not set up.

        Raises FailedPreconditionError for an emulator outside of development (T13).
        """
        given = settings.firebase_service_account
        if given is None:
            _log.info("firebase_off", reason="set FIREBASE_SERVICE_ACCOUNT to let people sign in with it")
            return None
        account = read_service_account(given.get_secret_value())
        made = cls(account, database, now=now, development=settings.development)
        if host := os.environ.get(EMULATOR):
            _log.warning("firebase_emulated", emulator=host, reason="ID tokens are unsigned: anyone can be anyone")
        return made

    def sign_in(self, sessions: Sessions, throttle: LoginThrottle) -> FirebaseSignIn:
        """Return what serves LoginWithIdToken."""
        return FirebaseSignIn(self._tokens, self._accounts, sessions, throttle, now=self._now, made=self.bearers.forget)

    def close(self) -> None:
        """Take no more work, and wait for nothing."""
        self._library.close()
