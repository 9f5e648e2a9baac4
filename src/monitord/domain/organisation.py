"""Organisations: who shares monitors and contacts, and what each of them may do there."""

from enum import IntEnum

import msgspec

from monitord.domain.allow_list import Network
from monitord.domain.instant import Instant

LONGEST_NAME = 100
"""Of an organisation, in characters."""
INVITATION_DAYS = 7
"""How long an invitation may be accepted."""


class Role(IntEnum):
    """What a member may do in an organisation. Each includes those below it. Stored by its name in lower case."""

    VIEWER = 1
    """Look."""
    EDITOR = 2
    """Change monitors, contacts, and who is told of what."""
    ADMIN = 3
    """Decide who else is a member, and read the audit log."""
    OWNER = 4
    """Decide who else owns it, and delete it. Each organisation has at least one."""


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation as one of its members sees it."""

    id: int
    name: str
    personal: bool
    """Everyone has one of these; nobody else can be in it."""
    role: Role
    """The member's."""
    networks: tuple[Network, ...]
    """That calls in it may come from; empty: from everywhere."""
    version: int
    created_at: Instant


class OrganisationChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be changed; None stays as it is."""

    name: str | None = None
    networks: tuple[Network, ...] | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in an organisation."""

    user_id: int
    email: str
    full_name: str
    role: Role
    joined_at: Instant


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """An address that may join an organisation."""

    id: int
    org_id: int
    org_name: str
    email: str
    """Normalised."""
    role: Role
    invited_by: str
    """The e-mail address of whoever did; empty: they are gone."""
    created_at: Instant
    expires_at: Instant
