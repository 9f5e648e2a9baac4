"""Reads what explains an alert, or that there was none. The organisation comes first (T9)."""

from monitord.domain.alert import Silence
from monitord.domain.errors import NotFoundError
from monitord.domain.explanation import Case
from monitord.domain.health import Status
from monitord.domain.instant import Instant, from_datetime, to_datetime
from monitord.storage.alert_configs import AlertConfigStore
from monitord.storage.alert_history import OF_TRANSITION, with_attempts
from monitord.storage.contacts import ContactStore
from monitord.storage.database import Database

LAST_CHANGE = """
SELECT t.id, m.name, t.at, t.before, t.after, t.message, t.silence
FROM monitors AS m
LEFT JOIN LATERAL (
    SELECT * FROM monitor_transitions
    WHERE org_id = m.org_id AND monitor_id = m.id AND ($3::timestamptz IS NULL OR at <= $3)
    ORDER BY at DESC, id DESC LIMIT 1
) AS t ON true
WHERE m.org_id = $1 AND m.id = $2
"""


class Explanations:
    """Gathers the facts of one change and one contact."""

    def __init__(self, database: Database, contacts: ContactStore, configs: AlertConfigStore) -> None:
        self._database = database
        self._contacts = contacts
        self._configs = configs

    async def case(self, org_id: int, monitor_id: int, contact_id: int, until: Instant | None) -> Case:
        """Return what is known of the last change of a monitor, until a moment, and a contact.

        Raises:
            NotFoundError: either isn't there, or is another's; or there was no change.

        """
        contact = await self._contacts.get(org_id, contact_id)
        configs = await self._configs.list(org_id, monitor_id, contact_id, (0, 0), 1)
        moment = None if until is None else to_datetime(until)
        async with self._database.connection() as held:
            change = await held.fetchrow(LAST_CHANGE, org_id, monitor_id, moment)
            if change is None:
                raise NotFoundError(f"There is no monitor {monitor_id}.", id=str(monitor_id))
            if change["id"] is None:
                raise NotFoundError("Its status had not changed until then: there was nothing to tell.")
            rows = await held.fetch(OF_TRANSITION, org_id, change["id"], contact_id)
            alerts = await with_attempts(held, org_id, rows)
        return Case(
            monitor_name=change["name"],
            at=from_datetime(change["at"]),
            before=Status(change["before"]),
            after=Status(change["after"]),
            message=change["message"],
            silence=None if change["silence"] is None else Silence(change["silence"]),
            contact=contact,
            settings=configs[0].settings if configs else None,
            alerts=alerts,
        )
