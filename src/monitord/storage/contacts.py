"""The store of contacts. Every method takes the organisation first (T9)."""

from collections.abc import Callable
from typing import Any, TypeAlias

import asyncpg
import msgspec

from monitord.domain.contact import AlertSettings, Contact, ContactSpec
from monitord.domain.contacts import Channel, EmailContact, channel_of
from monitord.domain.errors import AlreadyExistsError, EtagMismatchError, NotFoundError, ResourceExhaustedError
from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.domain.rules.plan import of_contacts, require
from monitord.domain.secrets import secrets_of, without_secrets
from monitord.storage.database import Database, Row, Transaction
from monitord.storage.monitors import wall_clock
from monitord.storage.quotas import plan_of
from monitord.storage.sealing import Sealer, sealed_channel, unsealed_channel

MAX_CONTACTS = 1000
"""Of one organisation."""

Edit: TypeAlias = Callable[[ContactSpec], ContactSpec]

_COLUMNS = """
org_id, id, name, config::text AS config, secrets, time_zone, default_settings::text AS default_settings, version,
created_at, updated_at, verified_at, disabled_reason
"""
LOCK_ORGANISATION = "SELECT id FROM organisations WHERE id = $1 FOR NO KEY UPDATE"
COUNT = "SELECT count(*) FROM alert_contacts WHERE org_id = $1 AND deleted_at IS NULL"
INSERT = """
INSERT INTO alert_contacts (org_id, name, type, config, time_zone, default_settings, created_at, updated_at,
                            verified_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) RETURNING id
"""
SET_SECRETS = f"UPDATE alert_contacts SET secrets = $3 WHERE org_id = $1 AND id = $2 RETURNING {_COLUMNS}"  # noqa: S608
SELECT = f"SELECT {_COLUMNS} FROM alert_contacts WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL"  # noqa: S608
SELECT_LOCKED = f"{SELECT} FOR NO KEY UPDATE"
LIST = f"""
SELECT {_COLUMNS} FROM alert_contacts WHERE org_id = $1 AND id > $2 AND deleted_at IS NULL ORDER BY id LIMIT $3
"""  # noqa: S608 - made of constants
UPDATE = f"""
UPDATE alert_contacts SET name = $3, type = $4, config = $5, time_zone = $6, default_settings = $7, updated_at = $8,
    verified_at = CASE WHEN $10 THEN $9 ELSE verified_at END,
    disabled_at = CASE WHEN $10 THEN NULL ELSE disabled_at END,
    disabled_reason = CASE WHEN $10 THEN NULL ELSE disabled_reason END,
    version = version + 1
WHERE org_id = $1 AND id = $2 RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants
DELETE = "UPDATE alert_contacts SET deleted_at = $3, secrets = NULL WHERE org_id = $1 AND id = $2"
DELETE_CONFIGS = "DELETE FROM monitor_alert_configs WHERE org_id = $1 AND contact_id = $2"
# Not deleted: how often the contact was asked stays counted (T16).
EXPIRE_CONFIRMATION = "UPDATE contact_confirmations SET expires_at = sent_at WHERE org_id = $1 AND contact_id = $2"
DISABLE = f"""
UPDATE alert_contacts SET disabled_at = $3, disabled_reason = $4,
    verified_at = CASE WHEN $5 THEN NULL ELSE verified_at END,
    version = version + 1, updated_at = $3
WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants
ENABLE = f"""
UPDATE alert_contacts SET disabled_at = NULL, disabled_reason = NULL, verified_at = COALESCE(verified_at, $3),
    version = version + 1, updated_at = $3
WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants

_CHANNEL = msgspec.json.Decoder(Channel)
_SETTINGS = msgspec.json.Decoder(AlertSettings)


class ContactStore:
    """Creates, reads, changes and deletes contacts."""

    def __init__(self, database: Database, sealer: Sealer, *, clock: Callable[[], Instant] = wall_clock) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock

    async def create(self, org_id: int, spec: ContactSpec, *, tx: Transaction | None = None) -> Contact:
        """Store a contact; a mailbox has yet to confirm (T16).

        Raises:
            AlreadyExistsError: the name is taken.
            ResourceExhaustedError: there are too many already.
            QuotaExceededError: the organisation's plan has no room for it.

        """
        now = to_datetime(self._clock())
        async with self._database.transaction(tx) as held:
            await held.execute(LOCK_ORGANISATION, org_id)
            used = await held.fetchval(COUNT, org_id)
            if used >= MAX_CONTACTS:
                raise ResourceExhaustedError(f"There are {MAX_CONTACTS} contacts already: delete some first.")
            plan = await plan_of(held, org_id)
            require(org_id, plan, of_contacts(plan, used))
            try:
                made = await held.fetchval(INSERT, org_id, *_values(spec), now, _verified(spec, now))
            except asyncpg.UniqueViolationError:
                raise _name_taken(spec.name) from None
            return await self._sealed(held, org_id, made, spec.channel)

    async def get(self, org_id: int, contact_id: int, *, tx: Transaction | None = None) -> Contact:
        """Return a contact with its secrets; raise NotFoundError if it isn't there, or is another's."""
        if tx is not None:
            row = await tx.fetchrow(SELECT_LOCKED, org_id, contact_id)
        else:
            async with self._database.connection() as held:
                row = await held.fetchrow(SELECT, org_id, contact_id)
        return self._contact(_required(row, contact_id))

    async def list(self, org_id: int, after: int, limit: int) -> list[Contact]:
        """Return at most ``limit`` contacts with ids above ``after``, by id."""
        async with self._database.connection() as held:
            return [self._contact(row) for row in await held.fetch(LIST, org_id, after, limit)]

    async def update(self, org_id: int, contact_id: int, edit: Edit, *, expected_version: int | None = None) -> Contact:
        """Change a contact by ``edit``, which gets what is stored, secrets included.

        One that is reached in another way than before is new: a mailbox has to confirm again, and whatever disabled it
        is forgotten.

        Raises:
            NotFoundError: it isn't there, or is another's.
            EtagMismatchError: it has another version than expected.
            AlreadyExistsError: the new name is taken.

        """
        async with self._database.transaction(None) as held:
            row = await held.fetchrow(SELECT_LOCKED, org_id, contact_id)
            current = self._contact(_required(row, contact_id))
            _expect(expected_version, current.version)
            spec = edit(current.spec)
            if spec == current.spec:
                return current
            now = to_datetime(self._clock())
            moved = spec.channel != current.spec.channel
            try:
                values = (*_values(spec), now, _verified(spec, now), moved)
                changed = await held.fetchrow(UPDATE, org_id, contact_id, *values)
            except asyncpg.UniqueViolationError:
                raise _name_taken(spec.name) from None
            if moved:
                await held.execute(EXPIRE_CONFIRMATION, org_id, contact_id)
            # Sealed anew they would look changed, in the audit log too.
            if secrets_of(spec.channel) == secrets_of(current.spec.channel):
                return self._contact(_required(changed, contact_id))
            return await self._sealed(held, org_id, contact_id, spec.channel)

    async def delete(self, org_id: int, contact_id: int, *, expected_version: int | None = None) -> None:
        """Delete a contact; its history stays, its secrets don't. Raises as ``update``."""
        async with self._database.transaction(None) as held:
            row = await held.fetchrow(SELECT_LOCKED, org_id, contact_id)
            _expect(expected_version, _required(row, contact_id)["version"])
            await held.execute(DELETE, org_id, contact_id, to_datetime(self._clock()))
            await held.execute(DELETE_CONFIGS, org_id, contact_id)
            await held.execute(EXPIRE_CONFIRMATION, org_id, contact_id)

    async def disable(self, org_id: int, contact_id: int, reason: str, *, for_good: bool = False) -> Contact:
        """Tell a contact nothing any more; ``for_good``: until it has confirmed again. Raises NotFoundError."""
        now = to_datetime(self._clock())
        async with self._database.transaction(None) as held:
            row = await held.fetchrow(DISABLE, org_id, contact_id, now, reason, for_good)
            return self._contact(_required(row, contact_id))

    async def enable(self, org_id: int, contact_id: int, *, tx: Transaction | None = None) -> Contact:
        """Tell a contact that has confirmed, or was shown to work, what it wants to know. Raises NotFoundError."""
        async with self._database.transaction(tx) as held:
            row = await held.fetchrow(ENABLE, org_id, contact_id, to_datetime(self._clock()))
            return self._contact(_required(row, contact_id))

    async def _sealed(self, held: Transaction, org_id: int, contact_id: int, channel: Channel) -> Contact:
        secrets = sealed_channel(channel, self._sealer, org_id, contact_id)
        row = await held.fetchrow(SET_SECRETS, org_id, contact_id, secrets)
        return self._contact(_required(row, contact_id))

    def _contact(self, row: Row) -> Contact:
        org_id, contact_id = row["org_id"], row["id"]
        bare: Channel = _CHANNEL.decode(row["config"])
        settings = row["default_settings"]
        verified = row["verified_at"]
        return Contact(
            id=contact_id,
            org_id=org_id,
            spec=ContactSpec(
                name=row["name"],
                channel=unsealed_channel(bare, row["secrets"], self._sealer, org_id, contact_id),
                time_zone=row["time_zone"],
                default_settings=None if settings is None else _SETTINGS.decode(settings),
            ),
            version=row["version"],
            created_at=from_datetime(row["created_at"]),
            updated_at=from_datetime(row["updated_at"]),
            verified_at=None if verified is None else from_datetime(verified),
            disabled_reason=row["disabled_reason"],
        )


def _values(spec: ContactSpec) -> tuple[Any, ...]:
    return (
        spec.name,
        channel_of(spec.channel),
        without_secrets(spec.channel),
        spec.time_zone,
        spec.default_settings,
    )


def _verified(spec: ContactSpec, now: Any) -> Any:
    """Return since when a new channel may be used: whoever gives a secret of it has shown that it is theirs."""
    return None if isinstance(spec.channel, EmailContact) else now


def _required(row: Row | None, contact_id: int) -> Row:
    if row is None:
        raise NotFoundError(f"There is no contact {contact_id}.", id=str(contact_id))
    return row


def _expect(expected: int | None, stored: int) -> None:
    if expected is not None and expected != stored:
        raise EtagMismatchError("The contact was changed since it was read: read it again, and repeat the change.")


def _name_taken(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"There is a contact named {name!r} already: names are unique.", name=name)
