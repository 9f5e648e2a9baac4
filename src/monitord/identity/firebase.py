"""ID tokens of Firebase: who they prove, asked at most once a minute of each (T13).

Whether a token is good takes Google's public keys; whether it was revoked, or its user disabled, takes a question to
Google. Both are the ``Judge``'s to find out. What it said, good or bad, holds for a minute.
"""

import asyncio
import base64
import binascii
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import msgspec

from monitord.domain.errors import InvalidArgumentError, ResourceExhaustedError, UnauthenticatedError
from monitord.domain.instant import SECOND, Instant
from monitord.identity.user import normalise_email

TTL_S = 60.0
"""How long a revocation in Firebase may go unnoticed by calls that show the ID token itself."""
CLOCK_SKEW_S = 10
"""By how much Google's clock may differ from ours."""
ISSUER = "https://securetoken.google.com/"

_LONGEST_TOKEN = 4096
_LONGEST_NAME = 100
_SIZE = 10_000
_REFUSED_SIZE = 1_000
_STRANGERS_AT_ONCE = 2
_STRANGERS_WAITING = 64
_PACE_S = 0.1
"""How long a wrong token keeps its place: judging takes the library 1 ms of CPU, most of it for getting out its copy of
Google's keys, and handing it over as much again, so a flood of wrong ones has at most 5 % of a core (T14)."""

_PROVIDERS = {"password": "firebase_password", "google.com": "google", "apple.com": "apple"}
"""Firebase's names for ways to sign in (https://firebase.google.com/docs/reference/rules/rules#auth), and ours."""

_EXPIRED = "The ID token has expired: ask Firebase for the next one (getIdToken) and send that."
_ODD = "This ID token lacks what Firebase writes into each: send it as getIdToken gave it."

V = TypeVar("V")

Claims: TypeAlias = Mapping[str, Any]

Judge: TypeAlias = Callable[[str], Awaitable[Claims]]
"""Returns what a token says, once it is known to be good now and not revoked.

Raises UnauthenticatedError with a sentence for people; ProviderUnavailableError when Google can't be asked;
ResourceExhaustedError when too many ask.
"""


class FirebaseIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an ID token proves."""

    uid: str
    """Who it is in the Firebase project, for ever."""
    provider: str
    """How they signed in: ``firebase_password``, ``google`` or ``apple``."""
    email: str | None
    """Normalised; None when Firebase knows none that monitord could write down."""
    email_verified: bool
    """Without it anybody may have typed the address."""
    full_name: str
    expires_at: Instant


class _SignIn(msgspec.Struct):
    sign_in_provider: str


class _Claims(msgspec.Struct):
    """The claims that count (https://firebase.google.com/docs/auth/admin/verify-id-tokens)."""

    sub: str
    exp: int
    firebase: _SignIn
    email: str | None = None
    email_verified: bool = False
    name: str | None = None


class _Issued(msgspec.Struct):
    iss: str = ""


class FirebaseTokens:
    """Tells whom an ID token of one Firebase project proves."""

    def __init__(
        self,
        project_id: str,
        judge: Judge,
        *,
        now: Callable[[], Instant],
        clock: Callable[[], float] = time.monotonic,
        size: int = _SIZE,
    ) -> None:
        """``size`` is how many good tokens are remembered (I16), by their hashes."""
        self._issuer = ISSUER + project_id
        self._judge = judge
        self._now = now
        self._clock = clock
        self._good: _Recent[FirebaseIdentity] = _Recent(size)
        self._bad: _Recent[str] = _Recent(_REFUSED_SIZE)
        """Apart, so that a flood of wrong tokens pushes out no good one."""
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._strangers = asyncio.Semaphore(_STRANGERS_AT_ONCE)
        self._waiting = 0
        self._questions = 0

    def takes(self, token: str) -> bool:
        """Tell whether a token says that it is one of the project; whether that is true is for ``verify``."""
        if len(token) > _LONGEST_TOKEN:
            return False
        parts = token.split(".")
        if len(parts) != 3:
            return False
        try:
            payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
            return msgspec.json.decode(payload, type=_Issued).iss == self._issuer
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            return False

    async def verify(self, token: str, *, fresh: bool = False) -> FirebaseIdentity:
        """Return whom a token proves, as Google said within the last minute; with ``fresh``: as it says now.

        Raises as ``Judge`` does.
        """
        key = sha256(token.encode("utf-8", "surrogatepass")).digest()
        # Fresh is what a question brought that began after this call.
        after = self._questions if fresh else 0
        if (known := self._known(key, after)) is not None:
            return known
        # One question for all who show the same token; a lock goes when the last of them does.
        async with self._locks.setdefault(key, asyncio.Lock()):
            if (known := self._known(key, after)) is not None:
                return known
            # Whoever was right before is not held up by a flood of strangers.
            return await (self._ask(key, token) if key in self._good else self._ask_for_stranger(key, token))

    def _known(self, key: bytes, after: int) -> FirebaseIdentity | None:
        """Return what a question after that one brought, and is still remembered; raise when that is a refusal."""
        oldest = self._clock() - TTL_S
        if (refusal := self._bad.get(key, oldest, after)) is not None:
            raise UnauthenticatedError(refusal)
        identity = self._good.get(key, oldest, after)
        if identity is not None and self._has_expired(identity.expires_at):
            raise UnauthenticatedError(_EXPIRED)
        return identity

    async def _ask_for_stranger(self, key: bytes, token: str) -> FirebaseIdentity:
        if self._waiting >= _STRANGERS_WAITING:
            raise ResourceExhaustedError("Too many unknown credentials at the moment: try again.", retry_after_s=1.0)
        self._waiting += 1
        try:
            async with self._strangers:
                try:
                    return await self._ask(key, token)
                except UnauthenticatedError:
                    await asyncio.sleep(_PACE_S)
                    raise
        finally:
            self._waiting -= 1

    async def _ask(self, key: bytes, token: str) -> FirebaseIdentity:
        self._questions += 1
        asked = _Asked(self._clock(), self._questions)
        try:
            identity = _identity(await self._judge(token))
            # Again here: the emulator's tokens are judged by nobody else.
            if self._has_expired(identity.expires_at):
                raise UnauthenticatedError(_EXPIRED)
        except UnauthenticatedError as error:
            self._good.drop(key)
            self._bad.put(key, asked, error.message)
            raise
        self._bad.drop(key)
        self._good.put(key, asked, identity)
        return identity

    def _has_expired(self, expires_at: Instant) -> bool:
        return self._now() >= expires_at + CLOCK_SKEW_S * SECOND


class _Asked(NamedTuple):
    """When a question was put, and the how manieth it was."""

    at: float
    number: int


class _Recent(Generic[V]):
    """The ``size`` answers that were used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, tuple[_Asked, V]] = OrderedDict()

    def get(self, key: bytes, oldest: float, after: int) -> V | None:
        entry = self._entries.get(key)
        if entry is None or entry[0].at <= oldest or entry[0].number <= after:
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: bytes, asked: _Asked, value: V) -> None:
        self._entries[key] = (asked, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, key: bytes) -> None:
        self._entries.pop(key, None)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries


def _identity(raw: Claims) -> FirebaseIdentity:
    try:
        claims = msgspec.convert(dict(raw), _Claims)
    except msgspec.ValidationError:
        raise UnauthenticatedError(_ODD) from None
    if not 0 < len(claims.sub) <= 128 or not 0 < claims.exp < 2**40 or "\x00" in claims.sub:
        raise UnauthenticatedError(_ODD)
    provider = _PROVIDERS.get(claims.firebase.sign_in_provider)
    if provider is None:
        raise UnauthenticatedError(
            "This Firebase user signed in in a way that monitord doesn't take: e-mail and password, Google and Apple "
            "are taken."
        )
    email = _written(claims.email)
    return FirebaseIdentity(
        uid=claims.sub,
        provider=provider,
        email=email,
        email_verified=claims.email_verified and email is not None,
        full_name=_name(claims.name or ""),
        expires_at=claims.exp * SECOND,
    )


def _written(email: str | None) -> str | None:
    try:
        return None if email is None else normalise_email(email)
    except InvalidArgumentError:
        return None


def _name(text: str) -> str:
    """Return a name as it may be shown to others: one line, without controls, not too long (T19)."""
    # Line breaks and tabs are controls too, and stood between words.
    readable = "".join(" " if char.isspace() else char for char in text if char.isprintable() or char.isspace())
    return unicodedata.normalize("NFC", " ".join(readable.split()))[:_LONGEST_NAME].strip()
