"""Everything that is kept about a user, and what they alone own, page by page: one page is held at a time (I16).

What is read is listed, column by column: what is secret can't get in by being added to a table (T15). Each page is of
one moment, the whole is not: a transaction over all of it would hold up whoever changes something.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import msgspec

from monitord.domain.allow_list import holds
from monitord.domain.check import Evidence
from monitord.domain.contact import Contact
from monitord.domain.errors import AddressNotAllowedError
from monitord.domain.monitor import Monitor
from monitord.storage import rows
from monitord.storage.contacts import ContactStore
from monitord.storage.database import Database
from monitord.storage.sealing import Sealer

PAGE = 500

Line = dict[str, Any] | Monitor | Contact
"""A row as JSON has it; a monitor or a contact, whose form is not the table's."""


def _page(columns: str, table: str, key: str, where: str = "org_id = $1") -> str:
    """Return the statement for one page: behind the key $2, or the keys $2 and $3."""
    behind = "($2, $3)" if "," in key else "$2"
    return f"""
SELECT to_jsonb(r) AS line FROM (
    SELECT {columns} FROM {table} WHERE {where} AND ({key}) > {behind} ORDER BY {key} LIMIT {PAGE}
) AS r
"""  # noqa: S608 - made of constants


USER = """
SELECT to_jsonb(r) AS line FROM (
    SELECT id, org_id, COALESCE(claimed_email, email) AS email, claimed_email IS NULL AS email_proven, fullname, phone,
           provider, firebase_uid, role, profile_status, created_at, updated_at, exported_at, deletion_at
    FROM users WHERE id = $1
) AS r
"""
PROFILE = """
SELECT to_jsonb(r) AS line FROM (SELECT user_id, bio, is_premium, stripe_id FROM user_profile WHERE user_id = $1) AS r
"""
MEMBERSHIPS = """
SELECT to_jsonb(r) AS line FROM (
    SELECT m.org_id, o.name, o.personal, m.role, m.created_at
    FROM memberships AS m JOIN organisations AS o ON o.id = m.org_id WHERE m.user_id = $1 ORDER BY m.org_id
) AS r
"""
SESSIONS = _page("id, created_at, expires_at, ended_at, address", "sessions", "id::text", "user_id = $1")
API_KEYS = _page(
    "id, org_id, display_name, scope, labels, allowed_networks, created_at, expires_at, last_used_at, revoked_at",
    "api_keys",
    "id",
    "user_id = $1",
)
OWNED = """
SELECT m.org_id, o.allowed_networks FROM memberships AS m JOIN organisations AS o ON o.id = m.org_id
WHERE m.user_id = $1 AND NOT EXISTS (SELECT FROM memberships AS x WHERE x.org_id = m.org_id AND x.user_id <> $1)
ORDER BY m.org_id
"""
ORGANISATION = """
SELECT to_jsonb(r) AS line FROM (
    SELECT id, name, personal, allowed_networks, version, created_at, updated_at, deletion_at
    FROM organisations WHERE id = $1
) AS r
"""
INVITATIONS = _page("org_id, id, email, role, invited_by, created_at, expires_at", "invitations", "id")
MONITORS = f"""
SELECT {rows.MONITOR} FROM monitors AS m WHERE m.org_id = $1 AND m.id > $2 ORDER BY m.id LIMIT {PAGE}
"""  # noqa: S608 - made of constants
ALERT_CONFIGS = _page(
    "org_id, monitor_id, contact_id, kinds, is_active, delay_s, escalate_after_s, reminder_s, quiet, "
    "slow_threshold_ms, slow_since",
    "monitor_alert_configs",
    "monitor_id, contact_id",
)
WINDOWS = _page(
    "org_id, id, name, schedule, monitor_ids, labels, is_active, version, created_at, updated_at",
    "maintenance_windows",
    "id",
)
INCIDENTS = _page(
    "org_id, id, monitor_id, opened_at, resolved_at, opened_by, resolved_by, category, message, acknowledged_at, "
    "acknowledged_by, screenshot_url",
    "incidents",
    "id",
)
TRANSITIONS = _page(
    "org_id, id, monitor_id, seq, before, after, at, category, message, silence", "monitor_transitions", "id"
)
ALERTS = _page(
    "org_id, id, transition_id, monitor_id, contact_id, incident_id, kind AS about, state, attempts, created_at, "
    "due_at, repeat, notice, reason, settled_at, leader_id, at, message, expires_at, screenshot_url",
    "alerts",
    "id",
)
ATTEMPTS = _page(
    "org_id, alert_id, number, began_at, ended_at, outcome, code, detail", "alert_attempts", "alert_id, number"
)
EVENTS = _page(
    "org_id, id, at, user_id, credential, address, method, action, kind AS thing, thing_id, before, after",
    "audit_events",
    "id",
)
LOGS = _page(", ".join(rows.LOG_COLUMNS), "monitor_logs", "monitor_id, seq")
EVIDENCE = f"""
SELECT monitor_id, seq, checked_at, evidence FROM check_evidence
WHERE org_id = $1 AND (monitor_id, seq) > ($2, $3) ORDER BY monitor_id, seq LIMIT {PAGE}
"""  # noqa: S608 - made of constants


class _Part(NamedTuple):
    kind: str
    statement: str
    key: tuple[str, ...]


_OF_USER = (_Part("session", SESSIONS, ("id",)), _Part("api_key", API_KEYS, ("id",)))
_OF_ORGANISATION = (
    _Part("alert_config", ALERT_CONFIGS, ("monitor_id", "contact_id")),
    _Part("maintenance_window", WINDOWS, ("id",)),
    _Part("incident", INCIDENTS, ("id",)),
    _Part("transition", TRANSITIONS, ("id",)),
    _Part("alert", ALERTS, ("id",)),
    _Part("alert_attempt", ATTEMPTS, ("alert_id", "number")),
    _Part("audit_event", EVENTS, ("id",)),
    _Part("check_log", LOGS, ("monitor_id", "seq")),
)
_decode_evidence = msgspec.msgpack.Decoder(Evidence).decode


class AccountExport:
    """Reads it. Raises UnavailableError when the database is away."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._contacts = ContactStore(database, sealer)

    async def pages(self, user_id: int, address: str) -> AsyncIterator[tuple[str, Sequence[Line]]]:
        """Yield the kind and the lines of one page after the other; some kinds have none.

        Raises AddressNotAllowedError unless each organisation of theirs may be acted in from there; empty: from within.
        """
        owned = await self._owned(user_id, address)
        for kind, statement in (("user", USER), ("profile", PROFILE), ("membership", MEMBERSHIPS)):
            yield kind, await self._lines(statement, user_id)
        for part in _OF_USER:
            async for page in self._part(part, user_id, ("",)):
                yield part.kind, page
        for org_id in owned:
            async for kind, lines in self._organisation(org_id):
                yield kind, lines

    async def _owned(self, user_id: int, address: str) -> list[int]:
        async with self._database.connection() as held:
            found = await held.fetch(OWNED, user_id)
        for org_id, networks in found:
            if networks and address and not holds(networks, address):
                raise AddressNotAllowedError(
                    f"The organisation {org_id}, which is yours alone, may not be acted in from {address}: take the "
                    "export from one of the networks that it allows."
                )
        return [org_id for org_id, _ in found]

    async def _organisation(self, org_id: int) -> AsyncIterator[tuple[str, Sequence[Line]]]:
        yield "organisation", await self._lines(ORGANISATION, org_id)
        async for page in self._part(_Part("invitation", INVITATIONS, ("id",)), org_id, (0,)):
            yield "invitation", page
        async for monitors in self._monitors(org_id):
            yield "monitor", monitors
        last = 0
        while contacts := await self._contacts.list(org_id, last, PAGE):
            yield "contact", contacts
            last = contacts[-1].id
        for part in _OF_ORGANISATION:
            async for page in self._part(part, org_id, (0,) * len(part.key)):
                yield part.kind, page
        async for evidence in self._evidence(org_id):
            yield "evidence", evidence

    async def _part(self, part: _Part, owner_id: int, after: tuple[object, ...]) -> AsyncIterator[list[dict[str, Any]]]:
        while page := await self._lines(part.statement, owner_id, *after):
            yield page
            after = tuple(page[-1][column] for column in part.key)

    async def _lines(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        async with self._database.connection() as held:
            return [row["line"] for row in await held.fetch(statement, *arguments)]

    async def _monitors(self, org_id: int) -> AsyncIterator[list[Monitor]]:
        last = 0
        while True:
            async with self._database.connection() as held:
                page = [rows.monitor(row[:], self._sealer) for row in await held.fetch(MONITORS, org_id, last)]
            if not page:
                return
            yield page
            last = page[-1].id

    async def _evidence(self, org_id: int) -> AsyncIterator[list[dict[str, Any]]]:
        after = (0, 0)
        while True:
            async with self._database.connection() as held:
                page = await held.fetch(EVIDENCE, org_id, *after)
            if not page:
                return
            yield [
                {
                    "org_id": org_id,
                    "monitor_id": row["monitor_id"],
                    "seq": row["seq"],
                    "checked_at": row["checked_at"].isoformat(),
                    "evidence": msgspec.to_builtins(_decode_evidence(row["evidence"])),
                }
                for row in page
            ]
            after = (page[-1]["monitor_id"], page[-1]["seq"])
