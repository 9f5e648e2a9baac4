"""How people leave: with an export of everything first, and a time of grace in which they can come back (T12)."""

import datetime
import unicodedata
from collections.abc import Callable
from typing import Protocol
from uuid import uuid4

import msgspec

from monitord.domain.errors import (
    FailedPreconditionError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from monitord.domain.instant import DAY, Instant, to_datetime
from monitord.domain.letter import Letter
from monitord.identity import letters, passwords
from monitord.identity.passwords import Passwords
from monitord.identity.principal import Credential, Principal
from monitord.identity.throttle import LoginThrottle

EXPORT_HOLDS_US = DAY
"""How old an export may be that is to be the last."""

_GONE = "The account of this credential does not exist any more."


class Leaver(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be known of one who wants to leave."""

    shown_email: str
    """As GetUser shows it."""
    proven_email: str | None
    """Where mail may go; None: to nobody."""
    login: str
    """What failures to sign in are counted by."""
    password_hash: str | None
    exported_at: Instant | None
    """When everything was last exported whole."""

    def __repr__(self) -> str:
        """Leave the hash out (T15)."""
        return f"Leaver({self.shown_email!r}, exported_at={self.exported_at})"


class Departure(msgspec.Struct, frozen=True):
    """What ended as somebody left."""

    ended: tuple[Credential, ...]
    monitors: tuple[tuple[int, int], ...]
    """Those that were paused, and their new versions."""


class DeletionStore(Protocol):
    """Where accounts are kept. Every method raises UnavailableError when the database is away."""

    async def leaver(self, user_id: int) -> Leaver | None:
        """Return what has to be known of one who wants to leave."""
        ...

    async def exported(self, user_id: int, *, at: Instant) -> None:
        """Note that a whole export was taken."""
        ...

    async def begin(self, user_id: int, *, deletion_at: Instant, at: Instant) -> Departure:
        """Note when an account goes; end its credentials and pause what is checked in organisations that go with it.

        Raises FailedPreconditionError where it is to go already, where others would be left without an owner, and for
        the only administrator; UnauthenticatedError when it is gone.
        """
        ...

    async def cancel(self, user_id: int, *, at: Instant) -> tuple[tuple[int, int], ...]:
        """Take that back; return which monitors were resumed, and their new versions.

        Raises FailedPreconditionError where nothing is to be taken back; UnauthenticatedError when it is gone.
        """
        ...


class AccountDeletion:
    """Raises what the store raises. ``ended`` is told of each credential that ended, after the commit."""

    def __init__(
        self,
        store: DeletionStore,
        hasher: Passwords,
        throttle: LoginThrottle,
        *,
        grace_days: int,
        post: Callable[[Letter], None] | None,
        now: Callable[[], Instant],
        ended: Callable[[Credential], None],
    ) -> None:
        """Without ``post`` (mail is not set up) nobody is told how to come back."""
        self._store = store
        self._hasher = hasher
        self._throttle = throttle
        self._grace_us = grace_days * DAY
        self._post = post
        self._now = now
        self._ended = ended

    async def exported(self, principal: Principal) -> None:
        """Note that the principal took a whole export."""
        await self._store.exported(principal.user_id, at=self._now())

    async def begin(
        self, principal: Principal, password: str, confirm_email: str, peer: str, *, without_export: bool
    ) -> tuple[Instant, tuple[tuple[int, int], ...]]:
        """Begin the deletion; return when it will be done, and which monitors were paused, with their versions.

        Raises FailedPreconditionError; UnauthenticatedError for a wrong password, which counts as a failure to sign in;
        ResourceExhaustedError after too many of those.
        """
        leaver = await self._store.leaver(principal.user_id)
        if leaver is None:
            raise UnauthenticatedError(_GONE)
        now = self._now()
        _require_meant(leaver, confirm_email, now, without_export)
        await self._require_password(leaver, password, peer)
        deletion_at = now + self._grace_us
        departure = await self._store.begin(principal.user_id, deletion_at=deletion_at, at=now)
        for credential in departure.ended:
            self._ended(credential)
        if self._post is not None and leaver.proven_email is not None:
            until = f"{to_datetime(deletion_at).astimezone(datetime.UTC):%d %B %Y, %H:%M} UTC"
            self._post(letters.leaving(leaver.proven_email, until, f"leaving-{uuid4().hex}"))
        return deletion_at, departure.monitors

    async def cancel(self, principal: Principal) -> tuple[tuple[int, int], ...]:
        """Take a deletion back; return which monitors were resumed, with their versions."""
        return await self._store.cancel(principal.user_id, at=self._now())

    async def _require_password(self, leaver: Leaver, password: str, peer: str) -> None:
        if leaver.password_hash is None:
            return
        passwords.check_length(password)
        attempt = self._throttle.begin(leaver.login, peer)
        try:
            right = await self._hasher.verify(password, leaver.password_hash)
        except (UnavailableError, ResourceExhaustedError):
            attempt.undecided()
            raise
        if not right:
            raise UnauthenticatedError("The password is wrong.")
        attempt.succeeded()


def _require_meant(leaver: Leaver, confirm_email: str, now: Instant, without_export: bool) -> None:
    if _folded(confirm_email) != _folded(leaver.shown_email):
        raise FailedPreconditionError(
            "To be sure, confirm_email must be the address of your account, as GetUser shows it."
        )
    fresh = leaver.exported_at is not None and now - leaver.exported_at <= EXPORT_HOLDS_US
    if not fresh and not without_export:
        raise FailedPreconditionError(
            "Take a whole export with ExportAccount first, within the last 24 hours; or set without_export if "
            "you don't want one."
        )


def _folded(email: str) -> str:
    return unicodedata.normalize("NFC", email.strip()).lower()
