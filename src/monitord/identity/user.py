"""Accounts as they are known outside the database, and the rules for what they are called and guarded by."""

import unicodedata

import msgspec

from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.instant import Instant

_LONGEST_EMAIL = 254
"""The longest address that fits an SMTP path (RFC 5321, 4.5.3.1.3)."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever signs in."""

    id: int
    org_id: int
    email: str
    """Normalised, see ``normalise_email``."""
    full_name: str
    provider: str
    """``password``: kept here; ``firebase_password``, ``google`` or ``apple``: through Firebase."""
    created_at: Instant
    phone: str = ""
    profile_status: str = "COMPLETE"
    """``PENDING`` until they have told what a new account leaves open."""
    bio: str = ""
    deletion_at: Instant | None = None
    """When the account goes for good; None: it stays."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a user says of themselves; None: as it is."""

    full_name: str | None = None
    phone: str | None = None
    bio: str | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user with what signing in needs to know. Never leaves ``identity``."""

    user: User
    password_hash: str | None
    """None where the account has no password: it can't be signed in to with one."""
    session_version: int

    def __repr__(self) -> str:
        """Leave the hash out: it may be attacked offline (T15)."""
        return f"Account(user={self.user!r}, session_version={self.session_version})"


def normalise_email(email: str) -> str:
    """Return the one spelling under which an address is stored and looked up: NFC, lower case, no space around it.

    Only the shape that matters here is checked; whether mail arrives is known when some has arrived. An address
    without a dot, such as ``admin@localhost``, is one. Raises InvalidArgumentError for the field ``email``.
    """
    normal = unicodedata.normalize("NFC", email.strip()).lower()
    local, at, domain = normal.rpartition("@")
    if not (local and at and domain) or len(normal) > _LONGEST_EMAIL or any(_unwritable(char) for char in normal):
        raise InvalidArgumentError(
            [
                Violation(
                    "email",
                    "must be an e-mail address such as someone@example.org, without spaces, "
                    f"at most {_LONGEST_EMAIL} characters",
                )
            ]
        )
    return normal


def _unwritable(char: str) -> bool:
    """Tell spaces, controls and the like, none of which may stand in an address (I12), NUL included."""
    return unicodedata.category(char)[0] in "CZ"
