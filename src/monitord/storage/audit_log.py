"""The audit log, as its readers see it; what is in it is written by triggers. The organisation comes first (T9)."""

from monitord.domain.audit import AuditEvent, AuditQuery
from monitord.domain.instant import DAY, Instant, from_datetime, to_datetime
from monitord.storage.database import Database, touched

LIST = """
SELECT e.id, e.at, e.user_id, u.email, e.credential, e.address, e.method, e.action, e.kind, e.thing_id,
       e.before, e.after
FROM audit_events AS e LEFT JOIN users AS u ON u.id = e.user_id
WHERE e.org_id = $1 AND ($2::bigint IS NULL OR e.id < $2) AND ($3::bigint IS NULL OR e.user_id = $3)
  AND ($4::text[] IS NULL OR e.kind = ANY($4)) AND ($5::text IS NULL OR e.thing_id = $5)
  AND ($6::timestamptz IS NULL OR e.at >= $6) AND ($7::timestamptz IS NULL OR e.at < $7)
ORDER BY e.id DESC LIMIT $8
"""
ALLOW_PURGE = "SELECT set_config('monitord.retires_audit_events', 'on', true)"
PURGE = """
DELETE FROM audit_events WHERE (org_id, id) IN (SELECT org_id, id FROM audit_events WHERE at < $1 LIMIT 10000)
"""
FAILED_SIGN_IN = """
SELECT add_audit_event(u.org_id, 'sign_in_failed', 'user', u.id::text, NULL, jsonb_build_object('email', u.email))
FROM users AS u WHERE lower(u.email) = lower($1)
"""


class AuditLog:
    """Reads events, adds what no change tells of, and retires what is old."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, org_id: int, query: AuditQuery) -> list[AuditEvent]:
        """Return at most ``query.limit`` events, newest first."""
        async with self._database.connection() as held:
            rows = await held.fetch(
                LIST,
                org_id,
                query.before_id,
                query.user_id,
                list(query.kinds) or None,
                query.thing_id or None,
                None if query.start is None else to_datetime(query.start),
                None if query.end is None else to_datetime(query.end),
                query.limit,
            )
        return [
            AuditEvent(
                id=row["id"],
                at=from_datetime(row["at"]),
                user_id=row["user_id"],
                user_email=row["email"] or "",
                credential=row["credential"],
                address=row["address"],
                method=row["method"],
                action=row["action"],
                kind=row["kind"],
                thing_id=row["thing_id"],
                before=row["before"],
                after=row["after"],
            )
            for row in rows
        ]

    async def sign_in_failed(self, email: str) -> None:
        """Record a wrong password, in the log of the account's organisation; nothing where there is no account."""
        async with self._database.transaction() as tx:
            await tx.execute(FAILED_SIGN_IN, email)

    async def purge(self, now: Instant, keep_days: int) -> int:
        """Delete what is older than so many days, a part at a time; return how many events."""
        async with self._database.transaction() as tx:
            await tx.execute(ALLOW_PURGE)
            status = await tx.execute(PURGE, to_datetime(now - keep_days * DAY))
        return touched(status)
