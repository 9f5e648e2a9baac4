"""firebase-admin, which judges ID tokens: the one file that knows it.

The library is blocking and has an HTTP client of its own, which our policy on addresses does not see: it talks to
Google's fixed hosts and to the ``token_uri`` that the operator's own file names, none of which a user chooses (T1). It
runs in a few threads of its own. It takes 0.6 s of CPU and 8 MB to import, so only those who set it up do.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from monitord.domain.errors import (
    FailedPreconditionError,
    ProviderUnavailableError,
    ResourceExhaustedError,
    UnauthenticatedError,
)
from monitord.domain.instant import SECOND, Instant
from monitord.identity.firebase import CLOCK_SKEW_S, Claims
from monitord.identity.service_account import ServiceAccount

if TYPE_CHECKING:
    from firebase_admin.auth import Client

EMULATOR = "FIREBASE_AUTH_EMULATOR_HOST"
"""With this variable set, the library takes unsigned tokens (T13)."""

_THREADS = 4
_TAKEN = 128
"""Questions under way or waiting for a thread."""
_HTTP_TIMEOUT_S = 5.0
"""Of one request; the library may make three for a token: the keys, a token of its own, the user."""
_LIMIT_S = 9.0
"""Of all of it: less than the deadline of the calls that wait."""

_WELCOME_LIMIT_S = 4.0
_MILLISECOND = SECOND // 1000

R = TypeVar("R")

_AWAY = "Firebase does not answer at the moment, so nobody can say whether this ID token is good: try again."
_WRONG = "This is no ID token that Firebase gave for this server's project: send what getIdToken gives."
_EXPIRED = "The ID token has expired: ask Firebase for the next one (getIdToken) and send that."
_REVOKED = "The ID token was revoked: sign in to Firebase again."
_DISABLED = "This Firebase user is disabled, or was deleted: whoever runs this service can tell why."

_log = structlog.get_logger(__name__)


class FirebaseLibrary:
    """Judges ID tokens of one Firebase project. ``close`` it at the end."""

    def __init__(self, account: ServiceAccount, *, development: bool, limit_s: float = _LIMIT_S) -> None:
        """Take the operator's service account.

        Raises FailedPreconditionError where the emulator is set and it is not ``development`` (T13).
        """
        self._account = account
        self._limit_s = limit_s
        self._emulated = bool(os.environ.get(EMULATOR))
        if self._emulated and not development:
            raise FailedPreconditionError(f"{EMULATOR} is set, and with it anyone can sign in as anyone: unset it.")
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._taken = 0
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="firebase")

    def warm(self) -> None:
        """Begin to import the library, so that the first who signs in needn't wait for that. Returns at once."""
        self._executor.submit(self._warm)

    async def judge(self, token: str) -> Claims:
        """See ``firebase.Judge``: signature, project and times; at Google, that neither token nor user has ended."""
        return await self._run(self._limit_s, partial(self._judge, token))

    async def is_welcome(self, uid: str, since: Instant) -> bool:
        """Tell whether whoever signed in then may stay: not disabled, deleted, or signed out everywhere in Firebase.

        While Google is away they may: it is asked again at the next refresh, in a quarter of an hour.
        """
        try:
            return await self._run(_WELCOME_LIMIT_S, partial(self._is_welcome, uid, since))
        except (ProviderUnavailableError, ResourceExhaustedError):
            return True

    def close(self) -> None:
        """Begin nothing more, and wait for nothing."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _run(self, limit_s: float, work: Callable[[], R]) -> R:
        if self._taken >= _TAKEN:
            raise ResourceExhaustedError("Too many ID tokens are being verified at the moment.", retry_after_s=1.0)
        self._taken += 1
        asked = asyncio.wrap_future(self._executor.submit(self._guarded, work))
        # Not when the caller gives up, but when the thread is free: the library goes on until its own timeouts.
        asked.add_done_callback(self._given_back)
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.shield(asked)
        except TimeoutError:
            raise ProviderUnavailableError(_AWAY) from None

    def _given_back(self, asked: "asyncio.Future[R]") -> None:
        self._taken -= 1
        if not asked.cancelled():
            asked.exception()  # whoever waited for it may be gone

    def _guarded(self, work: Callable[[], R]) -> R:
        """Work in a thread; whatever happens becomes an error of ours, which tells nothing of the token (T15)."""
        try:
            if bool(os.environ.get(EMULATOR)) != self._emulated:  # the library looks at each token (T13)
                raise ProviderUnavailableError(f"{EMULATOR} was changed while monitord ran: start it again.")
            return work()
        except (UnauthenticatedError, ProviderUnavailableError):
            raise
        except Exception as error:  # the guard of this thread: errors of HTTP, TLS and JSON come from four libraries
            # The text is Google's where it is a FirebaseError, and may tell which role the service account lacks.
            from firebase_admin.exceptions import FirebaseError

            reason = str(error)[:300] if isinstance(error, FirebaseError) else ""
            _log.warning("firebase_away", error=type(error).__name__, reason=reason)
            raise ProviderUnavailableError(_AWAY) from None

    def _warm(self) -> None:
        try:
            self._opened()
        except Exception as error:  # the guard of this thread; whoever signs in first is told
            _log.error("firebase_failed", error=type(error).__name__)

    def _opened(self) -> "Client":
        """Return the library's client, in a thread."""
        with self._lock:
            if self._client is None:
                self._client = _client(self._account)
            return self._client

    def _judge(self, token: str) -> Claims:
        from firebase_admin import auth

        client = self._opened()
        try:
            claims: dict[str, Any] = client.verify_id_token(token, check_revoked=True, clock_skew_seconds=CLOCK_SKEW_S)
        except auth.ExpiredIdTokenError:
            refusal = _EXPIRED
        except auth.RevokedIdTokenError:
            refusal = _REVOKED
        except (auth.UserDisabledError, auth.UserNotFoundError):
            refusal = _DISABLED
        except auth.InvalidIdTokenError:
            refusal = _WRONG
        except (TypeError, KeyError, AttributeError):
            refusal = _WRONG  # claims of a kind that the library doesn't expect, as an unsigned token may have
        else:
            return claims
        raise UnauthenticatedError(refusal)

    def _is_welcome(self, uid: str, since: Instant) -> bool:
        from firebase_admin import auth

        try:
            user = self._opened().get_user(uid)
        except auth.UserNotFoundError:
            return False
        return not user.disabled and bool(user.tokens_valid_after_timestamp * _MILLISECOND <= since)


def _client(account: ServiceAccount) -> "Client":
    import firebase_admin
    from firebase_admin import auth, credentials

    options = {"httpTimeout": _HTTP_TIMEOUT_S, "projectId": account.project_id}
    app = firebase_admin.App("monitord", credentials.Certificate(account.info), options)
    return auth.Client(app)
