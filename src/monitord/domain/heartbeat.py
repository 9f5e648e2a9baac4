"""Heartbeats: what a job has told, and what that says of it. Pure: the time is an argument.

The rules are those that users of such services know: a word is due a period after the last one, or at the times of a
schedule; it may be late by the grace time; a job that told of its start has the grace time to end.
"""

import datetime as dt
from enum import IntEnum
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim

from monitord.domain.check import Category, Evidence, Observation, Step, Verdict
from monitord.domain.instant import SECOND, Instant, Micros, from_datetime, to_datetime
from monitord.domain.kinds.heartbeat import CronSchedule, HeartbeatCheck

MAX_BODY_BYTES = 10 * 1024
"""Kept of what a job sends along."""

_EXCERPT_BYTES = 1024
_EARLY: Micros = 5 * SECOND
"""A job whose clock is ahead of ours by no more than this tells of the time of a schedule that it ran for."""
_NEVER: Instant = 1 << 62


class PingKind(IntEnum):
    """What a job tells. The numbers are stored and sent: never reuse one."""

    SUCCESS = 1
    START = 2
    FAIL = 3
    LOG = 4
    """Something to keep that changes nothing."""


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    """One word of a job."""

    at: Instant
    kind: PingKind
    exit_code: int | None = None
    """0 to 255; other than 0 the kind is FAIL."""
    body: bytes = b""
    source: str = ""
    """The address that it came from, as the listener saw it; or ``grpc``."""


class Words(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a job's words to judge it by. Stored."""

    ended_at: Instant | None = None
    """When it last told that it had ended, well or not."""
    failed: bool = False
    exit_code: int | None = None
    excerpt: bytes = b""
    started_at: Instant | None = None
    """When it told of a start that it has not told the end of."""
    run_ms: float | None = None
    """How long the last run took of which it told both."""
    rescheduled_at: Instant = 0
    """When its schedule was changed last: words are due by the new one from then on; 0: never."""

    def hear(self, ping: Ping) -> "Words":
        """Return what is remembered after another word."""
        match ping.kind:
            case PingKind.LOG:
                return self
            case PingKind.START:
                return msgspec.structs.replace(self, started_at=ping.at)
            case PingKind.SUCCESS | PingKind.FAIL:
                began = self.started_at
                return Words(
                    ended_at=max(ping.at, self.ended_at or 0),
                    failed=ping.kind is PingKind.FAIL,
                    exit_code=ping.exit_code,
                    excerpt=ping.body[:_EXCERPT_BYTES],
                    run_ms=None if began is None else max(ping.at - began, 0) / 1000,
                    rescheduled_at=self.rescheduled_at,
                )


class Silence(msgspec.Struct, frozen=True):
    """[``since``, ``until``): monitord did not run, and could not have heard anything."""

    since: Instant
    until: Instant


def judge(
    check: HeartbeatCheck,
    words: Words,
    now: Instant,
    *,
    awaited_since: Instant,
    deaf: Silence | None = None,
) -> Observation:
    """Return what a job's words say of it.

    ``awaited_since``: words are due from then on, as the monitor was made, changed or resumed. A word that would have
    come while monitord was ``deaf`` is not missed: the next one is waited for (I9).
    """
    if words.failed and words.ended_at is not None:
        return _seen(check, words, now, Verdict.DOWN, Category.HEARTBEAT_FAILED, _told_failure(words))
    since = max(words.ended_at or 0, awaited_since)
    due = _next_due(check, since)
    grace = check.grace_s * SECOND
    deadline, missing = due + grace, f"a word was due {_when(due)}, and {check.grace_s} s of grace are over"
    if words.started_at is not None and words.started_at + grace < deadline:
        deadline = words.started_at + grace
        missing = f"it told of a start {_when(words.started_at)}, and of no end within {check.grace_s} s of grace"
    if now <= deadline:
        if words.ended_at is not None:
            return _seen(check, words, now, Verdict.UP)
        awaited = f"The job has told nothing yet; its first word is due by {_clock(deadline)}."
        return _seen(check, words, now, Verdict.INCONCLUSIVE, Category.HEARTBEAT_AWAITED, awaited)
    if deaf is not None and deaf.since <= deadline and deaf.until > deadline - 2 * grace:
        again = _next_due(check, max(deaf.until, since)) + grace
        if now <= again:
            message = (
                f"monitord did not run from {_clock(deaf.since)} to {_clock(deaf.until)}, when the job may have "
                f"told of itself; another word is waited for until {_clock(again)}."
            )
            return _seen(check, words, now, Verdict.INCONCLUSIVE, Category.ENGINE_GAP, message)
    last = "It has never told of itself." if words.ended_at is None else f"Its last word came {_when(words.ended_at)}."
    return _seen(check, words, now, Verdict.DOWN, Category.HEARTBEAT_MISSED, f"No word of the job: {missing}. {last}")


def _next_due(check: HeartbeatCheck, since: Instant) -> Instant:
    if check.cron is None:
        return since + check.period_s * SECOND
    return _next_time(check.cron, since + _EARLY)


def _next_time(cron: CronSchedule, after: Instant) -> Instant:
    begin = to_datetime(after).astimezone(ZoneInfo(cron.time_zone))
    found = next(CronSim(cron.expression, begin), None)
    return _NEVER if found is None else from_datetime(found.astimezone(dt.UTC))


def _seen(
    check: HeartbeatCheck,
    words: Words,
    now: Instant,
    verdict: Verdict,
    category: Category | None = None,
    message: str = "",
) -> Observation:
    measurements: dict[str, float] = {}
    if words.ended_at is not None:
        measurements["heartbeat.age_ms"] = max(now - words.ended_at, 0) / 1000
    if words.run_ms is not None:
        measurements["heartbeat.duration_ms"] = words.run_ms
    evidence = None
    if verdict is not Verdict.UP:
        text = message or check.shown
        evidence = Evidence(steps=(Step(at_ms=0.0, phase="judge", text=text),), body_excerpt=words.excerpt)
    return Observation(
        verdict=verdict,
        category=category,
        message=message,
        response_ms=words.run_ms,
        dialled=False,
        measurements=measurements or None,
        evidence=evidence,
    )


def _told_failure(words: Words) -> str:
    code = "" if words.exit_code is None else f" with exit code {words.exit_code}"
    assert words.ended_at is not None
    return f"The job told that it failed{code}, {_when(words.ended_at)}."


def _clock(moment: Instant) -> str:
    return to_datetime(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def _when(moment: Instant) -> str:
    return f"at {_clock(moment)}"
