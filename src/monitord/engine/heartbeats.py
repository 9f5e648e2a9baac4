"""What jobs have told, in memory: judging a heartbeat needs no database, which may be away."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from monitord.domain.check import Observation
from monitord.domain.health import Status
from monitord.domain.heartbeat import Ping, PingKind, Silence, Words, judge
from monitord.domain.instant import Instant
from monitord.domain.kinds import HeartbeatCheck
from monitord.domain.monitor import Assignment, Monitor

Record: TypeAlias = Callable[[int, int | None, Ping], Awaitable[Words]]
"""See ``PingStore.record``."""


class PingStore(Protocol):
    """Where words are kept."""

    async def record(self, monitor_id: int, url_version: int | None, ping: Ping) -> Words:
        """Keep a word; return what is remembered now.

        Raises:
            NotFoundError: there is no such heartbeat, or the URL is of an older version.
            UnavailableError: the database is away.

        """
        ...


class _Job:
    __slots__ = ("awaited_since", "check", "deaf", "words")

    def __init__(self, check: HeartbeatCheck, words: Words, awaited_since: Instant, deaf: Silence | None) -> None:
        self.check = check
        self.words = words
        self.awaited_since = awaited_since
        self.deaf = deaf

    def judge(self, now: Instant) -> Observation:
        return judge(self.check, self.words, now, awaited_since=self.awaited_since, deaf=self.deaf)


class Heartbeats:
    """Hears the words of jobs, and judges by them."""

    def __init__(self, store: PingStore, now: Callable[[], Instant], recheck: Callable[[int], None]) -> None:
        """Take where words are kept, and whom to ask for a check at once when one changes the verdict."""
        self._store = store
        self._now = now
        self._recheck = recheck
        self._listening_since = now()
        self._jobs: dict[int, _Job] = {}
        self._early: dict[int, Words] = {}
        """Of monitors that are not adopted: paused, or about to be."""

    def adopt(self, assignment: Assignment) -> None:
        """Expect the words of a job from now on, or in another way than before."""
        monitor = assignment.monitor
        check = monitor.spec.check
        if not isinstance(check, HeartbeatCheck):
            self.forget(monitor.id)
            return
        job = self._jobs.get(monitor.id)
        if job is None:
            words = self._early.pop(monitor.id, None) or assignment.words or Words()
            # What is DOWN stays so until its job tells more; what was resumed, or has never told, is given time anew.
            anew = assignment.health.judged is Status.PENDING or words.ended_at is None
            awaited_since = monitor.updated_at if anew else max(monitor.created_at, words.rescheduled_at)
            self._jobs[monitor.id] = _Job(check, words, awaited_since, self._deaf(assignment.covered_until))
        elif check != job.check:
            job.check, job.awaited_since = check, monitor.updated_at

    def forget(self, monitor_id: int) -> None:
        """Expect nothing any more."""
        self._jobs.pop(monitor_id, None)
        self._early.pop(monitor_id, None)

    async def hear(self, monitor_id: int, url_version: int | None, ping: Ping, *, record: Record | None = None) -> None:
        """Take a word in. ``url_version``: of the URL that it came by; None: the caller was known otherwise.

        ``record`` keeps it in place of the store, in the name of that caller (T9).
        Raises what ``PingStore.record`` raises. A word counts for the running process even then if the URL is right:
        the job did tell, whether or not it will tell again.
        """
        job = self._jobs.get(monitor_id)
        before = None if job is None else job.judge(ping.at).verdict
        if job is not None and url_version in (None, job.check.ping_url_version):
            job.words = job.words.hear(ping)
        words = await (record or self._store.record)(monitor_id, url_version, ping)
        if job is None:
            self._early[monitor_id] = words  # for an adoption that read the store before this
        elif ping.kind is not PingKind.LOG and job.judge(ping.at).verdict is not before:
            self._recheck(monitor_id)

    def judge(self, monitor: Monitor) -> Observation:
        """Return what a job's words say of it now."""
        check = monitor.spec.check
        assert isinstance(check, HeartbeatCheck)
        now = self._now()
        job = self._jobs.get(monitor.id)
        if job is None:  # paused: no word is missed
            job = _Job(check, self._early.get(monitor.id) or Words(), now, None)
        return job.judge(now)

    def _deaf(self, covered_until: Instant) -> Silence | None:
        """Return when nothing could be heard: from the last thing that an earlier process did until now."""
        since = self._listening_since
        return Silence(covered_until, since) if covered_until < since else None
