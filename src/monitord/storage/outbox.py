"""The outbox: alerts are claimed under a lease, decided on, attempted, and end sent, dead or cancelled (I3).

Attempts are counted when they are claimed, so that a message that kills the process can't loop for ever. A contact's
alerts are claimed by one dispatcher at a time: it skips contacts that another holds.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from monitord.domain.alert import AlertKind, Cancellation
from monitord.domain.contact import QuietHours
from monitord.domain.dispatch import Decision, Pair, Quiet, Waiting, decide
from monitord.domain.instant import SECOND, Instant, from_datetime, to_datetime
from monitord.domain.notice import NoticeKind
from monitord.storage.database import Database, Row, Transaction
from monitord.storage.outbox_statements import BEGIN_ATTEMPTS, CANCEL, CLAIM, DUE, POSTPONE, TOLD, WAITING

LEASE_S = 120
"""How long an attempt may take; then whoever made it is taken for dead, and another is made."""

_RECOVERIES = ("up", "outage_over", "slow_over")
_FIRST = 50
"""Contacts looked at in one transaction."""
_NOBODY = (0, 0)
"""Before the first contact."""


class Key(NamedTuple):
    """A pair, a monitor and a contact of an organisation, and a topic: news of one topic doesn't overtake another's."""

    org_id: int
    monitor_id: int
    contact_id: int
    topic: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be sent now: one alert, or a digest of several under the first of them."""

    org_id: int
    contact_id: int
    channel: str
    """As ``domain.contacts.channel_of``."""
    alert_id: int
    """Names the message; of a digest: its first alert."""
    members: dict[int, NoticeKind]
    """Every alert that is told by it, and what it would say alone."""
    notice: NoticeKind
    attempt: int
    """From 1 on."""


class Ready(msgspec.Struct, frozen=True):
    """An alert that could be sent now."""

    key: Key
    alert_id: int
    notice: NoticeKind


Gather = Callable[[int, int, str, int], bool | None]
"""From an organisation, a contact, its channel and how many messages it would get at this moment: True to put them into
one digest, False to send each, None to hold them back for now."""


class Claims:
    """Claims what is due."""

    def __init__(self, database: Database, claimant: Callable[[], int | None] = lambda: None) -> None:
        """``claimant`` gives the number by which others tell whether this process lives; see ``storage.claimant``."""
        self._database = database
        self._claimant = claimant
        self._after = _NOBODY

    async def claim(
        self, now: Instant, channels: Iterable[str], held: Iterable[tuple[int, int]], gather: Gather
    ) -> list[Claim]:
        """Decide on the alerts of contacts that have some due, and claim what is to be sent.

        Args:
            now: the present.
            channels: of which kinds of contact.
            held: contacts, by (organisation, id), to leave alone for now.
            gather: what to do with several messages for one contact.

        """
        kinds, left = list(channels), list(held)

        def gather_once(org_id: int, contact_id: int, channel: str, ready: int) -> bool | None:
            as_one = gather(org_id, contact_id, channel, ready)
            if as_one is None:
                left.append((org_id, contact_id))
            return as_one

        while True:
            from_start = self._after == _NOBODY
            async with self._database.transaction(None) as tx:
                due = await tx.fetch(DUE, to_datetime(now), kinds, *_columns(left, 2), _FIRST, *self._after)
                claims = await self._claim(tx, due, gather_once, now) if due else []
            self._after = _NOBODY if len(due) < _FIRST else (due[-1]["org_id"], due[-1]["id"])
            if claims or (from_start and self._after == _NOBODY):
                return claims

    async def _claim(self, tx: Transaction, due: Sequence[Row], gather: Gather, now: Instant) -> list[Claim]:
        """Decide on the alerts of locked contacts, and begin the attempts that follow."""
        rows = await tx.fetch(WAITING, *_columns([tuple(row) for row in due], 2), to_datetime(now))
        decisions = {key: decide(pair, now) for key, pair in (await _pairs(tx, rows)).items()}
        await _apply(tx, decisions, now)
        await _postpone(tx, _behind_digests(rows, now))
        ready = [
            Ready(key, made.send, made.notice)
            for key, made in decisions.items()
            if made.send is not None and made.notice is not None
        ]
        channel_of = {(row["org_id"], row["contact_id"]): row["type"] for row in rows}
        claims = [*await _digests(tx, rows, now), *_gathered(ready, channel_of, gather)]
        return await _begin(tx, claims, self._claimant(), now)


async def _pairs(tx: Transaction, rows: Sequence[Row]) -> dict[Key, Pair]:
    """Return the pairs to decide on: not those of which something is part of a digest under way."""
    waiting: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        waiting[_key(row)].append(row)
    open_keys = [
        key
        for key, mine in waiting.items()
        if not any(row["leader_id"] is not None or row["is_leader"] for row in mine)
    ]
    told = await _told(tx, open_keys)
    return {key: _pair(waiting[key], told.get(key, False)) for key in open_keys}


async def _digests(tx: Transaction, rows: Sequence[Row], now: Instant) -> list[Claim]:
    """Return the digests to be tried again: they stay as they were begun, so that each attempt says the same (I4)."""
    members: defaultdict[tuple[int, int], dict[int, NoticeKind]] = defaultdict(dict)
    for row in rows:
        if row["leader_id"] is not None or row["is_leader"]:
            members[row["org_id"], row["leader_id"] or row["id"]][row["id"]] = NoticeKind(row["notice"])
    due = [r for r in rows if r["is_leader"] and not r["is_claimed"] and from_datetime(r["due_at"]) <= now]
    off = [row for row in due if not row["can_be_told"]]
    if off:
        gone = [(r["org_id"], id_, Cancellation.SWITCHED_OFF) for r in off for id_ in members[r["org_id"], r["id"]]]
        await cancel(tx, gone, now)
    return [
        Claim(
            org_id=row["org_id"],
            contact_id=row["contact_id"],
            channel=row["type"],
            alert_id=row["id"],
            members=members[row["org_id"], row["id"]],
            notice=NoticeKind.DIGEST,
            attempt=0,
        )
        for row in due
        if row["can_be_told"]
    ]


async def _told(tx: Transaction, keys: Sequence[Key]) -> dict[Key, bool]:
    found = await tx.fetch(TOLD, *_columns(keys, 4))
    return {_key(row): row["notice"] not in _RECOVERIES for row in found}


def _pair(rows: Sequence[Row], told: bool) -> Pair:
    newest = rows[-1]
    quiet = None if newest["quiet"] is None else msgspec.convert(newest["quiet"], QuietHours)
    return Pair(
        waiting=[_waiting(row) for row in rows],
        told=told,
        is_wanted=newest["can_be_told"] and newest["is_wanted"],
        is_open=bool(newest["is_open"]),
        is_acknowledged=bool(newest["is_acknowledged"]),
        quiet=None
        if quiet is None
        else Quiet(start_min=quiet.start_min, end_min=quiet.end_min, time_zone=newest["time_zone"]),
    )


def _waiting(row: Row) -> Waiting:
    return Waiting(
        id=row["id"],
        kind=AlertKind(row["kind"]),
        created_at=from_datetime(row["created_at"]),
        due_at=from_datetime(row["due_at"]),
        held_until=0 if row["held_until"] is None else from_datetime(row["held_until"]),
        attempts=row["attempts"],
        notice=None if row["notice"] is None else NoticeKind(row["notice"]),
        is_claimed=bool(row["is_claimed"]),
    )


async def _apply(tx: Transaction, decisions: Mapping[Key, Decision], now: Instant) -> None:
    cancelled = [(key.org_id, id_, reason) for key, made in decisions.items() for id_, reason in made.cancel.items()]
    if cancelled:
        await cancel(tx, cancelled, now)
    await _postpone(tx, {key: made.wait_until for key, made in decisions.items() if made.wait_until is not None})


async def _postpone(tx: Transaction, until: Mapping[Key, Instant]) -> None:
    if until:
        await tx.execute(POSTPONE, *_columns([(*key, to_datetime(at)) for key, at in until.items()], 5))


def _behind_digests(rows: Sequence[Row], now: Instant) -> dict[Key, Instant]:
    """Return until when pairs wait that have news, and are part of a digest that is to be tried again later."""
    tried = {(row["org_id"], row["id"]): row for row in rows if row["is_leader"] and not row["is_claimed"]}
    news: set[Key] = set()
    until: dict[Key, Instant] = {}
    for row in rows:
        message_id = row["leader_id"] or (row["id"] if row["is_leader"] else None)
        if message_id is None:
            news.add(_key(row))
        elif (leader := tried.get((row["org_id"], message_id))) and from_datetime(leader["due_at"]) > now:
            until[_key(row)] = from_datetime(leader["due_at"])
    return {key: at for key, at in until.items() if key in news}


async def cancel(tx: Transaction, alerts: Sequence[tuple[int, int, Cancellation]], now: Instant) -> None:
    """End alerts, by organisation and id, that are not sent, with the reason (I3)."""
    await tx.execute(CANCEL, *_columns(alerts, 3), to_datetime(now))


def _gathered(ready: Sequence[Ready], channel_of: Mapping[tuple[int, int], str], gather: Gather) -> list[Claim]:
    """Return the messages that are made of what is ready."""
    by_contact: defaultdict[tuple[int, int], list[Ready]] = defaultdict(list)
    for each in ready:
        by_contact[each.key.org_id, each.key.contact_id].append(each)
    claims: list[Claim] = []
    for (org_id, contact_id), mine in by_contact.items():
        channel = channel_of[org_id, contact_id]
        as_one = gather(org_id, contact_id, channel, len(mine))
        if as_one is None:
            continue
        groups = [mine] if as_one and len(mine) > 1 else [[each] for each in mine]
        claims += [
            Claim(
                org_id=org_id,
                contact_id=contact_id,
                channel=channel,
                alert_id=group[0].alert_id,
                members={each.alert_id: each.notice for each in group},
                notice=NoticeKind.DIGEST if len(group) > 1 else group[0].notice,
                attempt=0,
            )
            for group in groups
        ]
    return claims


async def _begin(tx: Transaction, claims: Sequence[Claim], claimant: int | None, now: Instant) -> list[Claim]:
    """Count the attempts, before they are made."""
    if not claims:
        return []
    taken = [
        (claim.org_id, id_, notice, None if id_ == claim.alert_id else claim.alert_id)
        for claim in claims
        for id_, notice in claim.members.items()
    ]
    await tx.execute(CLAIM, *_columns(taken, 4), to_datetime(now + LEASE_S * SECOND), claimant)
    keys = [(claim.org_id, id_) for claim in claims for id_ in claim.members]
    begun = await tx.fetch(BEGIN_ATTEMPTS, *_columns(keys, 2), to_datetime(now))
    number = {(row["org_id"], row["alert_id"]): row["number"] for row in begun}
    return [msgspec.structs.replace(claim, attempt=number[claim.org_id, claim.alert_id]) for claim in claims]


def _key(row: Row) -> Key:
    return Key(row["org_id"], row["monitor_id"], row["contact_id"], row["topic"])


def _columns(values: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    columns = [list(column) for column in zip(*values, strict=True)]
    return columns or [[] for _ in range(width)]
