"""However long the database is away: in bounded memory (I16) no slot is lost (I5), nor any decision changed (I17)."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.check import CheckResult, Evidence, Gap, GapReason, Observation, Trigger, Verdict
from monitord.domain.errors import UnavailableError
from monitord.domain.health import Health, Status
from monitord.domain.instant import MINUTE, Instant
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment, Monitor
from monitord.storage.ledger_draft import Draft, draft
from monitord.storage.ledger_tracks import Tracks
from monitord.storage.spool import Awaited, Barrier, GapRecord, Item, Parking, Spool
from tests.support.engine_fakes import monitor

MONITORS = 2
UNTHINNED = 10**9

healths = st.sampled_from([Status.PENDING, Status.UP, Status.DEGRADED, Status.DOWN]).map(
    lambda s: Health(status=s, judged=s)
)
policies = st.tuples(st.integers(1, 4), st.integers(1, 4))
triggers = st.sampled_from([Trigger.SCHEDULED] * 4 + [Trigger.RECHECK, Trigger.MANUAL])
runs = st.tuples(st.integers(1, MONITORS), st.sampled_from(Verdict), st.lists(triggers, min_size=1, max_size=6))
steps = st.lists(
    st.one_of(
        runs.map(lambda run: ("results", run)),
        st.tuples(st.just("gap"), st.tuples(st.integers(1, MONITORS), st.integers(1, 3))),
        st.tuples(st.just("failed flush"), st.integers(1, 6)),
    ),
    max_size=40,
)


class _Answered:
    """The future of somebody who waits no more."""

    def done(self) -> bool:
        return True


class Outage:
    """Monitors, their spool, and what was put into it."""

    def __init__(self, spool: Spool, policy: tuple[int, int] = (2, 1), health: Health | None = None) -> None:
        self.spool = spool
        self.tracks = Tracks()
        self.monitors: dict[int, Monitor] = {}
        self.next: dict[int, Instant] = {}
        self.given: set[tuple[int, Instant]] = set()
        self.longest = 0
        for id_ in range(1, MONITORS + 1):
            made = monitor(id_)
            thresholds = {"failure_threshold": policy[0], "success_threshold": policy[1]}
            made = msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, **thresholds))
            self.monitors[id_] = made
            self.next[id_] = made.grid.at_or_after(0)
            assigned = Assignment(monitor=made, health=health or Health(), last_seq=0, covered_until=0)
            self.tracks.adopt(assigned)

    def result(self, id_: int, verdict: Verdict, trigger: Trigger = Trigger.SCHEDULED, **seen: object) -> CheckResult:
        slot = self.next[id_]
        if trigger is Trigger.SCHEDULED:
            self.next[id_] += MINUTE
            self.given.add((id_, slot))
        return CheckResult(
            monitor_id=id_,
            org_id=7,
            monitor_version=1,
            trigger=trigger,
            scheduled_at=slot,
            started_at=slot + 5,
            duration_ms=1.0,
            observation=Observation(verdict=verdict, **seen),  # type: ignore[arg-type]
        )

    def record(self, item: CheckResult | Awaited) -> None:
        idle, _ = self.tracks.judge(item.result if isinstance(item, Awaited) else item)
        self.spool.append(item, idle=idle)
        self.longest = max(self.longest, len(self.spool))

    def record_gap(self, id_: int, slots: int, reason: GapReason = GapReason.OVERRUN) -> None:
        first = self.next[id_]
        self.next[id_] += slots * MINUTE
        self.given |= {(id_, first + k * MINUTE) for k in range(slots)}
        gap = Gap(id_, 7, 1, first, self.next[id_], slots, reason)
        self.spool.append(GapRecord(gap, self.next[id_]))
        self.longest = max(self.longest, len(self.spool))

    def play(self, script: list[tuple[str, object]]) -> None:
        for step, argument in script:
            match step, argument:
                case "results", (int(id_), Verdict() as verdict, list(how)):
                    for trigger in how:
                        result = self.result(id_, verdict, trigger)
                        awaited = trigger is Trigger.MANUAL and len(self.given) % 2
                        self.record(Awaited(result, _Answered()) if awaited else result)  # type: ignore[arg-type]
                case "gap", (int(id_), int(count)):
                    self.record_gap(id_, count)
                case "failed flush", int(count):
                    self.spool.put_back(self.spool.take(count))

    def drain(self) -> list[Item]:
        return self.spool.take(10**9)

    def fold(self, items: list[Item]) -> Draft:
        return draft(items, self.tracks.of(self.monitors))

    def slots(self, items: list[Item]) -> list[tuple[int, Instant]]:
        """Return the slots that items account for, each as often as it is."""
        found: list[tuple[int, Instant]] = []
        for item in items:
            if isinstance(item, GapRecord):
                gap = item.gap
                grid = self.monitors[gap.monitor_id].grid
                inside = range(grid.at_or_after(gap.first_slot), gap.until, grid.interval)
                assert gap.slots == len(inside)
                found += [(gap.monitor_id, slot) for slot in inside]
            elif isinstance(item, CheckResult) and item.trigger is Trigger.SCHEDULED:
                found.append((item.monitor_id, item.scheduled_at))
        return found


@given(steps, policies, healths)
def test_thinning_out_changes_nothing_that_is_decided(
    script: list[tuple[str, object]], policy: tuple[int, int], health: Health
) -> None:
    whole, thin = (Outage(Spool(UNTHINNED, thin_from=n), policy, health) for n in (UNTHINNED, 0))
    for outage in (whole, thin):
        outage.play(script)
        for verdict in (Verdict.DOWN, Verdict.DEGRADED, Verdict.UP, Verdict.UP, Verdict.DOWN, Verdict.DOWN):
            outage.record(outage.result(1, verdict))
    every, kept = whole.drain(), thin.drain()
    decided, same = whole.fold(every), thin.fold(kept)
    assert [(s.monitor_id, s.transition, s.message) for s in by_monitor(same)] == [
        (s.monitor_id, s.transition, s.message) for s in by_monitor(decided)
    ]
    for id_, state in decided.healths.items():
        after = same.healths.get(id_, thin.tracks.of([id_])[id_].health)
        assert (after.status, after.since) == (state.status, state.since)
    assert sorted(thin.slots(kept)) == sorted(thin.given)
    assert thin.spool.dropped == 0


def by_monitor(made: Draft) -> list:  # type: ignore[type-arg]
    return sorted(made.shifts, key=lambda shift: shift.monitor_id)


@given(steps, st.integers(2, 20))
def test_the_bound_holds_and_every_slot_stays_accounted_for(script: list[tuple[str, object]], bound: int) -> None:
    outage = Outage(Spool(bound))
    outage.play(script)
    # What a failed flush returns may stand over the bound until the next row comes.
    outage.record(outage.result(1, Verdict.UP))
    assert len(outage.spool) <= bound + MONITORS
    items = outage.drain()
    assert sorted(outage.slots(items)) == sorted(outage.given)
    assert len(outage.spool) == 0
    assert outage.spool.take(5) == []


def test_an_outage_of_steady_monitors_holds_three_rows_of_each() -> None:
    outage = Outage(Spool(UNTHINNED, thin_from=0), health=Health(status=Status.UP, judged=Status.UP))
    for _ in range(10_000):
        for id_ in outage.monitors:
            outage.record(outage.result(id_, Verdict.UP))
    assert outage.longest == 3 * MONITORS
    first, gap, last = [item for item in outage.drain() if _monitor_of(item) == 1]
    assert isinstance(first, CheckResult)
    assert isinstance(gap, GapRecord)
    assert isinstance(last, CheckResult)
    assert (gap.gap.slots, gap.gap.reason) == (9_998, GapReason.SPOOL_FULL)
    assert first.scheduled_at < gap.gap.first_slot < gap.gap.until <= last.scheduled_at
    assert outage.spool.thinned == 2 * 9_998


def test_a_monitor_that_flaps_for_ever_is_bounded_and_counted() -> None:
    outage = Outage(Spool(100))
    for n in range(10_000):
        outage.record(outage.result(1, Verdict.UP if n % 2 else Verdict.DOWN))
    assert outage.longest <= 101
    assert outage.spool.dropped >= 9_800
    oldest, *rest = outage.drain()
    assert isinstance(oldest, GapRecord)
    assert all(isinstance(item, CheckResult) for item in rest)


def test_what_was_taken_is_not_thinned_out_any_more() -> None:
    outage = Outage(Spool(UNTHINNED, thin_from=0), health=Health(status=Status.UP, judged=Status.UP))
    for id_, trigger in ((1, Trigger.SCHEDULED), (1, Trigger.SCHEDULED), (1, Trigger.RECHECK), (2, Trigger.SCHEDULED)):
        outage.record(outage.result(id_, Verdict.UP, trigger))
    taken = outage.spool.take(3)
    outage.record(outage.result(1, Verdict.UP))
    outage.spool.put_back(taken)
    assert sorted(outage.slots(outage.drain())) == sorted(outage.given)


def test_thinning_out_begins_anew_after_a_pause() -> None:
    outage = Outage(Spool(UNTHINNED, thin_from=4), health=Health(status=Status.UP, judged=Status.UP))
    for id_ in (2, 2, 2, 2, 1, 1, 1):
        outage.record(outage.result(id_, Verdict.UP))
    outage.spool.take(4)
    outage.record(outage.result(1, Verdict.DOWN))
    for _ in range(3):
        outage.record(outage.result(2, Verdict.UP))
    outage.record(outage.result(1, Verdict.UP))
    rows = [item for item in outage.drain() if isinstance(item, CheckResult) and item.monitor_id == 1]
    assert [row.observation.verdict for row in rows][-2:] == [Verdict.DOWN, Verdict.UP]


def test_nothing_gets_before_what_somebody_waits_for() -> None:
    outage = Outage(Spool(UNTHINNED, thin_from=0), health=Health(status=Status.UP, judged=Status.UP))
    for _ in range(3):
        outage.record(outage.result(1, Verdict.UP))
    asked = Awaited(outage.result(1, Verdict.DOWN, Trigger.MANUAL), _Answered())  # type: ignore[arg-type]
    outage.record(asked)
    last = outage.result(1, Verdict.UP)
    outage.record(last)
    assert outage.drain()[3:] == [asked, last]


def test_gaps_of_one_reason_become_one() -> None:
    outage = Outage(Spool(UNTHINNED, thin_from=0))
    for _ in range(1_000):
        outage.record_gap(1, 2)
    outage.record_gap(1, 2, GapReason.OVERLOAD)
    gaps = [item.gap for item in outage.drain() if isinstance(item, GapRecord)]
    assert [(gap.slots, gap.reason) for gap in gaps] == [(2_000, GapReason.OVERRUN), (2, GapReason.OVERLOAD)]


def test_evidence_is_kept_for_the_first_only() -> None:
    outage = Outage(Spool(UNTHINNED, thin_from=UNTHINNED))
    outage.spool._max_evidence = 10
    for _ in range(50):
        outage.record(outage.result(1, Verdict.DOWN, evidence=Evidence(body_excerpt=b"x" * 1024)))
    outage.spool.put_back(outage.spool.take(5))
    items = outage.drain()
    assert [isinstance(i, CheckResult) and i.observation.evidence is not None for i in items] == [True] * 10 + [
        False
    ] * 40
    outage.record(outage.result(1, Verdict.DOWN, evidence=Evidence()))
    (item,) = outage.drain()
    assert isinstance(item, CheckResult)
    assert item.observation.evidence is not None


async def test_what_somebody_waits_for_goes_last() -> None:
    outage = Outage(Spool(10))
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[LogEntry] = loop.create_future()
    parked, flushed = loop.create_future(), loop.create_future()
    outage.record(Awaited(outage.result(1, Verdict.UP, Trigger.MANUAL), answer))
    outage.spool.append(Parking(outage.monitors[2], "crashed", 0, parked))
    outage.spool.append(Barrier(flushed))
    for n in range(50):
        outage.record(outage.result(1, Verdict.UP if n % 2 else Verdict.DOWN))
    with pytest.raises(UnavailableError):
        answer.result()
    assert list(outage.spool.waiting()) == [parked, flushed]
    kinds = [type(item) for item in outage.drain()]
    assert kinds[:3] == [GapRecord, Parking, Barrier]
    assert not parked.done()


def _monitor_of(item: Item) -> int:
    assert isinstance(item, CheckResult | GapRecord)
    return item.monitor_id if isinstance(item, CheckResult) else item.gap.monitor_id
