"""What a message says: read from what is stored at the moment of sending, so that each attempt says the same."""

from collections.abc import Callable
from typing import Any

import msgspec

from monitord.domain.check import Evidence
from monitord.domain.contacts import Channel
from monitord.domain.health import Status
from monitord.domain.instant import SECOND, Instant, from_datetime
from monitord.domain.kinds import Check
from monitord.domain.notice import (
    Line,
    Notice,
    NoticeKind,
    Phase,
    Picture,
    Subject,
    clean,
    evidence_lines,
)
from monitord.storage.database import Database, Row
from monitord.storage.outbox import Claim
from monitord.storage.sealing import Sealer, unsealed_channel

_LINES = 50
_GOING_ON = frozenset({NoticeKind.REMINDER, NoticeKind.ESCALATION})
_OVER = frozenset({NoticeKind.UP, NoticeKind.OUTAGE_OVER})
_MESSAGE_CHARS = 500

CONTACT = """
SELECT name, config::text AS config, secrets, time_zone FROM alert_contacts WHERE org_id = $1 AND id = $2
"""
# The partition that holds the row is found by its time, which is the transition's or, with a clock set back, near it.
ALERTS = """
SELECT a.id, a.incident_id, m.id AS monitor_id, m.name, m.type, m.config::text AS config, a.expires_at,
       COALESCE(t.after, s.status) AS after, COALESCE(t.at, a.at) AS at, t.category,
       COALESCE(t.message, a.message, '') AS message, i.opened_at, i.category AS opened_category,
       i.message AS opened_message, l.status_code,
       l.response_time, l.dns_ms, l.connect_ms, l.tls_ms, l.ttfb_ms, l.transfer_ms, l.screenshot_url, e.evidence
FROM alerts AS a
JOIN monitors AS m ON m.org_id = a.org_id AND m.id = a.monitor_id
JOIN monitor_states AS s ON s.org_id = m.org_id AND s.monitor_id = m.id
LEFT JOIN monitor_transitions AS t ON t.org_id = a.org_id AND t.id = a.transition_id
LEFT JOIN incidents AS i ON i.org_id = a.org_id AND i.id = a.incident_id
LEFT JOIN monitor_logs AS l ON l.org_id = t.org_id AND l.monitor_id = t.monitor_id AND l.seq = t.seq
  AND l.checked_at BETWEEN t.at - interval '1 day' AND t.at + interval '1 day'
LEFT JOIN check_evidence AS e
  ON e.org_id = l.org_id AND e.monitor_id = l.monitor_id AND e.seq = l.seq AND e.checked_at = l.checked_at
WHERE a.org_id = $1 AND a.id = ANY($2::bigint[])
ORDER BY a.id
"""
# The message in which the contact was first told of the same incident: what later ones answer.
FIRST = """
SELECT h.id, EXISTS (SELECT FROM alerts AS m WHERE m.org_id = h.org_id AND m.leader_id = h.id) AS is_digest
FROM alerts AS a
JOIN alerts AS f ON f.org_id = a.org_id AND f.incident_id = a.incident_id AND f.contact_id = a.contact_id
  AND f.state = 'sent' AND f.id < a.id
JOIN alerts AS h ON h.org_id = f.org_id AND h.id = COALESCE(f.leader_id, f.id)
WHERE a.org_id = $1 AND a.contact_id = $2 AND a.id = $3
ORDER BY f.id LIMIT 1
"""

_CHANNEL = msgspec.json.Decoder(Channel)
_CHECK = msgspec.json.Decoder(Check)
_EVIDENCE = msgspec.msgpack.Decoder(Evidence)


class Message(msgspec.Struct, frozen=True):
    """A notice, and where it goes."""

    channel: Channel
    notice: Notice


class Notices:
    """Reads what is to be said."""

    def __init__(
        self, database: Database, sealer: Sealer, unsubscribe_url: Callable[[int, int], str] = lambda org, contact: ""
    ) -> None:
        """``unsubscribe_url`` gives where a contact, by its organisation and id, ends its messages."""
        self._database = database
        self._sealer = sealer
        self._unsubscribe_url = unsubscribe_url

    async def load(self, claim: Claim, now: Instant) -> Message | None:
        """Return the message of a claim; None if what it was about is gone."""
        shown = sorted(claim.members)[:_LINES]
        async with self._database.connection() as held:
            contact = await held.fetchrow(CONTACT, claim.org_id, claim.contact_id)
            rows = await held.fetch(ALERTS, claim.org_id, shown)
            first = await held.fetchrow(FIRST, claim.org_id, claim.contact_id, claim.alert_id)
        if contact is None or not rows:
            return None
        channel = unsealed_channel(
            _CHANNEL.decode(contact["config"]), contact["secrets"], self._sealer, claim.org_id, claim.contact_id
        )
        notice = _digest(claim, rows) if claim.notice is NoticeKind.DIGEST else _single(claim, rows[0], now)
        return Message(
            channel,
            msgspec.structs.replace(
                notice,
                contact_name=clean(contact["name"]),
                time_zone=contact["time_zone"],
                replies_to="" if first is None else _key(claim.org_id, first["id"], first["is_digest"]),
                unsubscribe_url=self._unsubscribe_url(claim.org_id, claim.contact_id),
            ),
        )


def _key(org_id: int, alert_id: int, is_digest: bool) -> str:
    return f"{'digest' if is_digest else 'alert'}-{org_id}-{alert_id}"


def _digest(claim: Claim, rows: list[Row]) -> Notice:
    return Notice(
        key=_key(claim.org_id, claim.alert_id, is_digest=True),
        thread="",
        kind=NoticeKind.DIGEST,
        at=max(from_datetime(row["at"]) for row in rows),
        lines=tuple(
            Line(
                subject=_subject(row),
                status=Status(row["after"]),
                at=from_datetime(row["at"]),
                message=clean(row["message"]),
                kind=claim.members[row["id"]],
            )
            for row in rows
        ),
        more_lines=len(claim.members) - len(rows),
    )


def _single(claim: Claim, row: Row, now: Instant) -> Notice:
    at = now if claim.notice in _GOING_ON else from_datetime(row["at"])
    since = 0 if row["opened_at"] is None else from_datetime(row["opened_at"])
    over = claim.notice in _OVER
    about: dict[str, Any] = {}
    if since and (over or claim.notice in _GOING_ON):
        about["duration_s"] = max(at - since, 0) / SECOND
    if over:
        about |= {"category": row["opened_category"] or "", "message": row["opened_message"] or ""}
    else:
        about |= {"category": row["category"] or "", "message": row["message"]}
        if row["evidence"] is not None:
            about["evidence"] = evidence_lines(_EVIDENCE.decode(row["evidence"]))
    about["message"] = clean(about["message"], _MESSAGE_CHARS)
    if row["screenshot_url"]:
        about["picture"] = Picture(url=row["screenshot_url"])
    return Notice(
        key=_key(claim.org_id, claim.alert_id, is_digest=False),
        thread="" if row["incident_id"] is None else f"incident-{claim.org_id}-{row['incident_id']}",
        kind=claim.notice,
        at=at,
        subject=_subject(row),
        status=Status(row["after"]),
        since=since,
        expires_at=0 if row["expires_at"] is None else from_datetime(row["expires_at"]),
        status_code=row["status_code"],
        response_ms=row["response_time"],
        phases=tuple(
            Phase(name, ms)
            for name in ("dns", "connect", "tls", "ttfb", "transfer")
            if (ms := row[f"{name}_ms"]) is not None
        ),
        **about,
    )


def _subject(row: Row) -> Subject:
    check: Check = _CHECK.decode(row["config"])
    return Subject(
        id=row["monitor_id"], name=clean(row["name"]), kind=row["type"], target=clean(check.shown, _MESSAGE_CHARS)
    )
