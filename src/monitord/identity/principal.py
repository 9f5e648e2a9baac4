"""Who is asking, and what they may do. Comes from the interceptor alone, never from a request (T10)."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TypeAlias
from uuid import UUID

import msgspec

from monitord.domain.allow_list import Network
from monitord.domain.instant import Instant
from monitord.domain.organisation import Role


class Scope(IntEnum):
    """What a credential may be used for. Each includes those below it."""

    READ = 1
    WRITE = 2
    ADMIN = 3


class ApiKeyCredential(msgspec.Struct, frozen=True):
    """The caller showed an API key."""

    key_id: str


class SessionCredential(msgspec.Struct, frozen=True):
    """The caller showed an access token of a session."""

    session_id: UUID
    session_version: int
    """The user's session version when the token was signed: a higher one in the database ends it (T12)."""


class FirebaseCredential(msgspec.Struct, frozen=True):
    """The caller showed an ID token of Firebase."""

    uid: str
    expires_at: Instant
    token: str
    """The whole of it: an open stream asks again whether it still holds."""
    session_version: int = 1
    """The user's when the call began: a higher one ends its stream; another call may show the token again (T12)."""

    def __repr__(self) -> str:
        """Show the token to nobody, logs and tracebacks included (T15)."""
        return f"FirebaseCredential({self.uid!r}, until {self.expires_at})"


Credential: TypeAlias = ApiKeyCredential | SessionCredential | FirebaseCredential


def credential_name(credential: Credential) -> str:
    """Return what a credential is called where people read of it; never a secret."""
    match credential:
        case ApiKeyCredential(key_id):
            return f"key:{key_id}"
        case SessionCredential(session_id):
            return f"session:{session_id}"
        case FirebaseCredential(uid):
            return f"firebase:{uid}"


class Principal(msgspec.Struct, frozen=True):
    """Whoever proved who they are, for as long as ``credential`` stays valid."""

    user_id: int
    org_id: int
    """The organisation that they act in and whose rows they see; the first argument of every storage function (T9)."""
    scope: Scope
    credential: Credential
    role: Role = Role.OWNER
    """What they may do there, whatever the credential's scope: both have to allow it."""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Of an API key that is for some monitors: those that have all of these. Empty: all of the organisation."""
    networks: tuple[Network, ...] = ()
    """Of an API key that may be used from some networks: these. Empty: from everywhere."""
    address: str = ""
    """From where they call; empty: from within."""
