"""What becomes of the alerts that wait for one contact about one monitor: a pure decision that takes the time (I20).

Alerts of a pair are sent one at a time, in order. What was overtaken while it waited, because the mail server was down,
the contact slept or asked for a delay, is not told in its turn: the latest says it all.
"""

from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec

from monitord.domain.alert import AlertKind, Cancellation
from monitord.domain.instant import MINUTE, Instant, from_datetime, to_datetime
from monitord.domain.notice import NoticeKind

_FOLLOW_UPS = frozenset({AlertKind.ESCALATION, AlertKind.REMINDER})
_AS_NOTICE = {
    AlertKind.DOWN: NoticeKind.DOWN,
    AlertKind.UP: NoticeKind.UP,
    AlertKind.DEGRADED: NoticeKind.DEGRADED,
    AlertKind.FAULTED: NoticeKind.FAULTED,
    AlertKind.ESCALATION: NoticeKind.ESCALATION,
    AlertKind.REMINDER: NoticeKind.REMINDER,
    AlertKind.SLOW: NoticeKind.SLOW,
    AlertKind.SLOW_OVER: NoticeKind.SLOW_OVER,
    AlertKind.CERTIFICATE: NoticeKind.CERTIFICATE,
}
_ENDS = frozenset({AlertKind.UP, AlertKind.SLOW_OVER})


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of each day in which a contact wants to sleep: what is due then waits for their end."""

    start_min: int
    """Minutes after midnight, 0 to 1439, on the wall clock of ``time_zone``."""
    end_min: int
    """The same; may be before ``start_min``: then they span midnight. Equal: there are none."""
    time_zone: str = "UTC"
    """A name of the IANA time zone database, validated before it gets here."""

    def end_of(self, now: Instant) -> Instant | None:
        """Return when the quiet hours end in which ``now`` lies; None if it lies in none."""
        local = to_datetime(now).astimezone(ZoneInfo(self.time_zone))
        minute = local.hour * 60 + local.minute
        spans_midnight = self.end_min < self.start_min
        inside = (
            (minute >= self.start_min or minute < self.end_min)
            if spans_midnight
            else self.start_min <= minute < self.end_min
        )
        if not inside:
            return None
        day = local.date() + timedelta(days=1 if spans_midnight and minute >= self.start_min else 0)
        hours, minutes = divmod(self.end_min, 60)
        end = local.replace(
            year=day.year, month=day.month, day=day.day, hour=hours, minute=minutes, second=0, microsecond=0
        )
        # A clock that is set back within the quiet hours must not hold anything for another day.
        return max(from_datetime(end), now + MINUTE)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is neither sent nor given up, as stored."""

    id: int
    kind: AlertKind
    created_at: Instant
    due_at: Instant
    """Not to be told before: the delay that was asked for, or the next attempt."""
    held_until: Instant = 0
    """Not to be sent before, though it is due: a picture is being taken, or the contact sleeps. 0: it isn't held."""
    attempts: int = 0
    notice: NoticeKind | None = None
    """What its attempts said: another attempt says the same. None before the first."""
    is_claimed: bool = False
    """Whether somebody is sending it at this moment."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A contact and a monitor, in one topic: what waits, and what the contact knows."""

    waiting: Sequence[Waiting]
    """In the order of their transitions."""
    told: bool
    """Whether the last thing that the contact was told is that something is wrong."""
    is_wanted: bool = True
    """Whether the contact can be, and still wants to be, told of this monitor."""
    is_open: bool = True
    """Whether the incident that the newest alert is about goes on."""
    is_acknowledged: bool = False
    quiet: Quiet | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now with a pair. Neither ``send`` nor ``wait_until``: nothing is left, or somebody is at it."""

    cancel: dict[int, Cancellation] = {}
    send: int | None = None
    """The alert to send."""
    notice: NoticeKind | None = None
    """What it says, if it is sent."""
    wait_until: Instant | None = None
    """When to decide again."""


def decide(pair: Pair, now: Instant) -> Decision:
    """Return what becomes of the alerts of a pair at a moment."""
    if any(each.is_claimed for each in pair.waiting) or not pair.waiting:
        return Decision()
    if not pair.is_wanted:
        return Decision(cancel={each.id: Cancellation.SWITCHED_OFF for each in pair.waiting})
    news = [each for each in pair.waiting if each.kind not in _FOLLOW_UPS]
    if not news:
        return _follow_up(pair, now)
    latest = news[-1]
    others = [each for each in pair.waiting if each.id != latest.id]
    superseded = {each.id: Cancellation.SUPERSEDED for each in others}
    if latest.notice is not None or latest.kind not in _ENDS:
        return _when_due(latest, latest.notice or _AS_NOTICE[latest.kind], superseded, pair.quiet, now)
    if pair.told:
        return _when_due(latest, _AS_NOTICE[latest.kind], superseded, pair.quiet, now)
    if latest.kind is AlertKind.SLOW_OVER:  # who was not told that it was slow need not know that it was
        return _nothing_to_recover_from(latest, others)
    # Not told: was there anything that should have been, had it been possible?
    if any(each.kind is not AlertKind.UP and (each.attempts or each.due_at <= latest.created_at) for each in others):
        return _when_due(latest, NoticeKind.OUTAGE_OVER, superseded, pair.quiet, now)
    return _nothing_to_recover_from(latest, others)


def _nothing_to_recover_from(up: Waiting, others: Sequence[Waiting]) -> Decision:
    cancel = {each.id: Cancellation.RESOLVED if each.kind in _FOLLOW_UPS else Cancellation.BRIEF for each in others}
    brief = Cancellation.BRIEF in cancel.values()
    return Decision(cancel={**cancel, up.id: Cancellation.BRIEF if brief else Cancellation.OUTAGE_NOT_SENT})


def _follow_up(pair: Pair, now: Instant) -> Decision:
    """Decide on escalations and reminders: the first that is due speaks for all that are."""
    if not pair.is_open or pair.is_acknowledged:
        reason = Cancellation.ACKNOWLEDGED if pair.is_open else Cancellation.RESOLVED
        return Decision(cancel={each.id: reason for each in pair.waiting})
    first, *rest = sorted(pair.waiting, key=lambda each: (each.due_at, each.id))
    cancel = {each.id: Cancellation.SUPERSEDED for each in rest if each.due_at <= now}
    return _when_due(first, _AS_NOTICE[first.kind], cancel, pair.quiet, now)


def _when_due(
    alert: Waiting, notice: NoticeKind, cancel: dict[int, Cancellation], quiet: Quiet | None, now: Instant
) -> Decision:
    """Send an alert in place of others, or wait: what it stands for is not given up before it is told."""
    ready_at = max(alert.due_at, alert.held_until)
    if ready_at > now:
        return Decision(wait_until=ready_at)
    awake = None if quiet is None else quiet.end_of(now)
    if awake is not None:
        return Decision(wait_until=awake)
    return Decision(cancel=cancel, send=alert.id, notice=notice)
