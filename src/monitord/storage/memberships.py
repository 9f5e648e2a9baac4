"""Members of organisations, and who is invited to be one. The organisation comes first (T9)."""

from monitord.domain.errors import (
    FailedPreconditionError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
)
from monitord.domain.instant import DAY, Instant, from_datetime, to_datetime
from monitord.domain.organisation import INVITATION_DAYS, Invitation, Member, Role
from monitord.domain.rules.membership import judge_change, judge_leaving
from monitord.domain.rules.plan import of_seats, require
from monitord.storage.database import Database, Row, Transaction, touched
from monitord.storage.organisations import not_found, require_room
from monitord.storage.quotas import plan_of

MOST_MEMBERS = 1000
"""Members of an organisation, and as many invitations."""

# One change at a time for each organisation: two owners could make each other none.
LOCK = "SELECT personal, deletion_at FROM organisations WHERE id = $1 FOR NO KEY UPDATE"
# Owners whose account is to be deleted are none to count on.
ROLES = """
SELECT (SELECT role FROM memberships WHERE org_id = $1 AND user_id = $2) AS actor,
       (SELECT role FROM memberships WHERE org_id = $1 AND user_id = $3) AS before,
       (SELECT count(*) FROM memberships AS m JOIN users AS u ON u.id = m.user_id
        WHERE m.org_id = $1 AND m.role = 'owner' AND (m.user_id = $3 OR u.deletion_at IS NULL)) AS owners
"""
LIST = """
SELECT m.user_id, u.email, u.fullname, m.role, m.created_at
FROM memberships AS m JOIN users AS u ON u.id = m.user_id
WHERE m.org_id = $1
ORDER BY array_position('{owner,admin,editor,viewer}', m.role), u.email LIMIT 1000
"""
MEMBER = """
SELECT m.user_id, u.email, u.fullname, m.role, m.created_at
FROM memberships AS m JOIN users AS u ON u.id = m.user_id WHERE m.org_id = $1 AND m.user_id = $2
"""
SET_ROLE = "UPDATE memberships SET role = $3 WHERE org_id = $1 AND user_id = $2"
REMOVE = "DELETE FROM memberships WHERE org_id = $1 AND user_id = $2"
# For good: who comes back later makes new ones.
REVOKE_KEYS = """
UPDATE api_keys SET revoked_at = $3 WHERE org_id = $1 AND user_id = $2 AND revoked_at IS NULL
"""
COUNT = """
SELECT (SELECT count(*) FROM memberships WHERE org_id = $1)
     + (SELECT count(*) FROM invitations WHERE org_id = $1 AND expires_at > $2 AND email <> $3)
"""
IS_MEMBER = """
SELECT EXISTS (SELECT FROM memberships AS m JOIN users AS u ON u.id = m.user_id
               WHERE m.org_id = $1 AND lower(u.email) = $2)
"""
INVITE = """
INSERT INTO invitations (org_id, email, role, invited_by, token_hash, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (org_id, email) DO UPDATE SET
    role = EXCLUDED.role, invited_by = EXCLUDED.invited_by, token_hash = EXCLUDED.token_hash,
    created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at
RETURNING id
"""
_INVITATION = """
SELECT i.id, i.org_id, o.name, i.email, i.role, COALESCE(u.email, '') AS invited_by, i.created_at, i.expires_at
FROM invitations AS i JOIN organisations AS o ON o.id = i.org_id LEFT JOIN users AS u ON u.id = i.invited_by
"""
LIST_INVITATIONS = f"""
{_INVITATION} WHERE i.org_id = $1 AND i.expires_at > $2 ORDER BY i.created_at DESC, i.id LIMIT 1000
"""
GET_INVITATION = f"{_INVITATION} WHERE i.org_id = $1 AND i.id = $2"
REVOKE = "DELETE FROM invitations WHERE org_id = $1 AND id = $2"
# To an address that its user has proven: one that Firebase has not verified stands elsewhere.
LIST_OWN = f"""
{_INVITATION} WHERE i.email = (SELECT lower(email) FROM users WHERE id = $1) AND i.expires_at > $2
ORDER BY i.created_at DESC, i.id LIMIT 1000
"""  # noqa: S608 - a constant
BY_TOKEN = f"{_INVITATION} WHERE i.token_hash = $1 AND i.expires_at > $2"
USER_OF = "SELECT id FROM users WHERE lower(email) = $1"
# The organisation first, as everywhere: it may be deleted at this moment.
LOCK_INVITING = """
SELECT o.id FROM organisations AS o JOIN invitations AS i ON i.org_id = o.id WHERE i.id = $1 FOR NO KEY UPDATE OF o
"""
TAKE = """
DELETE FROM invitations AS i
WHERE i.id = $1 AND i.email = (SELECT lower(email) FROM users WHERE id = $2) AND i.expires_at > $3
RETURNING i.org_id, i.role
"""
SEATED = """
SELECT count(*) AS count, COALESCE(bool_or(user_id = $2), false) AS sits FROM memberships WHERE org_id = $1
"""
JOIN = """
INSERT INTO memberships (org_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (org_id, user_id) DO NOTHING
"""
PURGE = "DELETE FROM invitations WHERE org_id = $1 AND expires_at < $2"


class MembershipStore:
    """Reads and changes who is in an organisation. What the actor may do is judged as things stand, under a lock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def members(self, org_id: int) -> list[Member]:
        """Return the members, those with the highest role first; at most 1,000."""
        async with self._database.connection() as held:
            return [_member(row) for row in await held.fetch(LIST, org_id)]

    async def set_role(self, org_id: int, actor_id: int, user_id: int, role: Role) -> Member:
        """Change what a member may do. Raises NotFoundError, PermissionDeniedError, FailedPreconditionError."""
        async with self._database.transaction() as tx:
            await _judge(tx, org_id, actor_id, user_id, role)
            await tx.execute(SET_ROLE, org_id, user_id, role.name.lower())
            row = await tx.fetchrow(MEMBER, org_id, user_id)
        assert row is not None
        return _member(row)

    async def remove(self, org_id: int, actor_id: int, user_id: int, *, at: Instant) -> None:
        """Remove a member, who may be the actor, and revoke their keys. Raises as ``set_role``."""
        async with self._database.transaction() as tx:
            await _judge(tx, org_id, actor_id, user_id, None)
            await tx.execute(REVOKE_KEYS, org_id, user_id, to_datetime(at))
            await tx.execute(REMOVE, org_id, user_id)

    async def invite(
        self, org_id: int, actor_id: int, email: str, role: Role, token_digest: bytes, *, at: Instant
    ) -> Invitation:
        """Store an invitation in place of an earlier one to the same address.

        Raises PermissionDeniedError; FailedPreconditionError where the address is a member's, or the organisation a
        personal one; ResourceExhaustedError; QuotaExceededError where the plan has no seat for it.
        """
        async with self._database.transaction() as tx:
            await _judge(tx, org_id, actor_id, None, role)
            await tx.execute(PURGE, org_id, to_datetime(at))
            if await tx.fetchval(IS_MEMBER, org_id, email):
                raise FailedPreconditionError(f"{email} is a member already: see UpdateMember.")
            used = await tx.fetchval(COUNT, org_id, to_datetime(at), email)
            if used >= MOST_MEMBERS:
                raise ResourceExhaustedError(f"An organisation has at most {MOST_MEMBERS} members and invitations.")
            plan = await plan_of(tx, org_id)
            require(org_id, plan, of_seats(plan, used))
            until = to_datetime(at + INVITATION_DAYS * DAY)
            made = await tx.fetchval(
                INVITE, org_id, email, role.name.lower(), actor_id, token_digest, to_datetime(at), until
            )
            row = await tx.fetchrow(GET_INVITATION, org_id, made)
        assert row is not None
        return _invitation(row)

    async def invitations(self, org_id: int, *, at: Instant) -> list[Invitation]:
        """Return the invitations that can be accepted, newest first; at most 1,000."""
        async with self._database.connection() as held:
            return [_invitation(row) for row in await held.fetch(LIST_INVITATIONS, org_id, to_datetime(at))]

    async def revoke(self, org_id: int, invitation_id: int) -> None:
        """Take an invitation back. Raises NotFoundError."""
        async with self._database.transaction() as tx:
            if not touched(await tx.execute(REVOKE, org_id, invitation_id)):
                raise no_invitation(invitation_id)


class InvitationStore:
    """Invitations as those see them who are invited: by their own address, or by the link of the mail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_user(self, user_id: int, *, at: Instant) -> list[Invitation]:
        """Return those to a user's own address that can be accepted, newest first; at most 1,000."""
        async with self._database.connection() as held:
            return [_invitation(row) for row in await held.fetch(LIST_OWN, user_id, to_datetime(at))]

    async def by_token(self, token_digest: bytes, *, at: Instant) -> tuple[Invitation, int | None] | None:
        """Return what a link leads to, and the user who has the address that it was sent to; None: nowhere any more."""
        async with self._database.connection() as held:
            row = await held.fetchrow(BY_TOKEN, token_digest, to_datetime(at))
            return None if row is None else (_invitation(row), await held.fetchval(USER_OF, row["email"]))

    async def accept(self, user_id: int, invitation_id: int, *, at: Instant) -> int:
        """Make a user a member, and return of which organisation. One who is a member already keeps their role.

        Raises NotFoundError; ResourceExhaustedError for one who is in too many; QuotaExceededError where the plan has
        fewer seats by now than when they were invited.
        """
        async with self._database.transaction() as tx:
            await require_room(tx, user_id)
            await tx.execute(LOCK_INVITING, invitation_id)
            row = await tx.fetchrow(TAKE, invitation_id, user_id, to_datetime(at))
            if row is None:
                raise no_invitation(invitation_id)
            joined: int = row["org_id"]
            await _require_seat(tx, joined, user_id)
            await tx.execute(JOIN, joined, user_id, row["role"], to_datetime(at))
        return joined

    async def decline(self, user_id: int, invitation_id: int, *, at: Instant) -> None:
        """Forget an invitation. Raises NotFoundError."""
        async with self._database.transaction() as tx:
            if await tx.fetchrow(TAKE, invitation_id, user_id, to_datetime(at)) is None:
                raise no_invitation(invitation_id)


async def _require_seat(tx: Transaction, org_id: int, user_id: int) -> None:
    """See to it that the plan has a seat for one who is invited, and so is counted, unless they sit already."""
    members = await tx.fetchrow(SEATED, org_id, user_id)
    assert members is not None
    if not members["sits"]:
        plan = await plan_of(tx, org_id)
        require(org_id, plan, of_seats(plan, members["count"]))


async def _judge(tx: Transaction, org_id: int, actor_id: int, user_id: int | None, after: Role | None) -> None:
    """Judge a change of a member; of one who is yet to come, when ``user_id`` is None."""
    org = await tx.fetchrow(LOCK, org_id)
    if org is None:
        raise not_found(org_id)
    roles = await tx.fetchrow(ROLES, org_id, actor_id, user_id)
    assert roles is not None
    actor, before = _role(roles["actor"]), _role(roles["before"])
    if actor is None:
        raise PermissionDeniedError("You are no member of this organisation any more.")
    if user_id is not None and before is None:
        raise NotFoundError(f"There is no member {user_id}.", user_id=str(user_id))
    if user_id is None and org["deletion_at"] is not None:
        raise FailedPreconditionError("This organisation is to be deleted with its only member's account.")
    if org["personal"]:
        raise FailedPreconditionError(
            "A personal organisation is its user's alone: make one to share with CreateOrganisation."
        )
    if actor_id == user_id and after is None:
        judge_leaving(before, after, roles["owners"])
    else:
        judge_change(actor, before, after, roles["owners"])


def no_invitation(invitation_id: int) -> NotFoundError:
    """Return the error for an invitation that isn't there, or is another's."""
    return NotFoundError(f"There is no invitation {invitation_id}.", id=str(invitation_id))


def _role(name: str | None) -> Role | None:
    return None if name is None else Role[name.upper()]


def _member(row: Row) -> Member:
    return Member(
        user_id=row["user_id"],
        email=row["email"],
        full_name=row["fullname"],
        role=Role[row["role"].upper()],
        joined_at=from_datetime(row["created_at"]),
    )


def _invitation(row: Row) -> Invitation:
    return Invitation(
        id=row["id"],
        org_id=row["org_id"],
        org_name=row["name"],
        email=row["email"],
        role=Role[row["role"].upper()],
        invited_by=row["invited_by"],
        created_at=from_datetime(row["created_at"]),
        expires_at=from_datetime(row["expires_at"]),
    )
