"""What a batch of results would make of the monitors: computed in memory, true once it is committed.

Here, and only here, results become statuses (I8): each counted verdict goes through ``domain.health.observe`` in the
order of arrival. Nothing known is changed by a draft, so a batch that fails is simply drafted again.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from monitord.domain.check import Category, CheckResult, Verdict
from monitord.domain.health import Health, Policy, Status, Transition, observe, steady
from monitord.storage.spool import Awaited, GapRecord, Item, Parking

_FROZEN = frozenset({Status.PAUSED, Status.FAULTED})


class Track:
    """What the writer knows of one monitor, as committed."""

    __slots__ = ("active", "fixed", "health", "org_id", "policy", "seq", "version")

    def __init__(self, *, org_id: int, version: int, active: bool, policy: Policy, health: Health, seq: int) -> None:
        self.org_id = org_id
        self.version = version
        self.active = active
        self.policy = policy
        self.health = health
        self.fixed: Verdict | None = None
        """The verdict that leaves ``health`` exactly as it is, where one is known: most results have it."""
        self.seq = seq
        """The sequence number of its newest row."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of the log, but for its position."""

    source: CheckResult | GapRecord
    seq: int
    counted: bool


class Shift(msgspec.Struct, frozen=True):
    """A transition with what caused it."""

    org_id: int
    monitor_id: int
    seq: int | None
    transition: Transition
    category: Category | None
    message: str


class Draft:
    """A batch, folded: rows, new states, transitions."""

    __slots__ = ("fixed", "gone", "healths", "loud", "rows", "seqs", "shifts", "strangers", "tracks")

    def __init__(self, tracks: Mapping[int, Track], gone: frozenset[int] = frozenset()) -> None:
        self.tracks = tracks
        self.gone = gone
        """Monitors that were deleted: their rows have no place any more."""
        self.rows: list[Row] = []
        self.seqs: dict[int, int] = {}
        """Each monitor's newest sequence number after this batch."""
        self.healths: dict[int, Health] = {}
        self.fixed: dict[int, Verdict] = {}
        self.loud: set[int] = set()
        """Monitors with a result that is more than an echo: their states are stored, their versions locked."""
        self.strangers: set[int] = set()
        """Monitors that nothing is known of in memory, or that have to be read again in any case."""
        self.shifts: list[Shift] = []


def draft(items: Iterable[Item], tracks: Mapping[int, Track], gone: frozenset[int] = frozenset()) -> Draft:
    """Fold a batch. Rows of strangers are left out: read them, and draft again."""
    made = Draft(tracks, gone)
    for item in items:
        kind = type(item)
        if kind is CheckResult:
            _add_result(made, item)  # type: ignore[arg-type]
        elif kind is Awaited:
            _add_result(made, item.result)  # type: ignore[union-attr]
        elif kind is GapRecord:
            gap = item.gap  # type: ignore[union-attr]
            _add_row(made, gap.monitor_id, item, counted=False)  # type: ignore[arg-type]
        elif kind is Parking:
            _add_parking(made, item)  # type: ignore[arg-type]
    return made


def _add_row(made: Draft, monitor_id: int, source: CheckResult | GapRecord, *, counted: bool) -> int | None:
    """Give a row the next sequence number of its monitor: no holes (I7)."""
    track = made.tracks.get(monitor_id)
    if track is None:
        if monitor_id not in made.gone:
            made.strangers.add(monitor_id)
        return None
    seq = made.seqs.get(monitor_id, track.seq) + 1
    made.seqs[monitor_id] = seq
    made.rows.append(Row(source, seq, counted))
    return seq


def _add_result(made: Draft, result: CheckResult) -> None:
    monitor_id = result.monitor_id
    track = made.tracks.get(monitor_id)
    # I10: what began before the last change of configuration or pause is kept, and counts for nothing.
    if track is None or result.monitor_version != track.version or not track.active:
        _add_row(made, monitor_id, result, counted=False)
        return
    verdict = result.observation.verdict
    health = made.healths.get(monitor_id)
    if health is None:
        health = track.health
        fixed = track.fixed
    else:
        fixed = made.fixed.get(monitor_id)
    if verdict is fixed and not result.maintenance:
        _add_row(made, monitor_id, result, counted=True)
        return
    counted = health.status not in _FROZEN
    seq = _add_row(made, monitor_id, result, counted=counted)
    if not counted:
        return
    after, transition = fold(health, result, track.policy)
    made.healths[monitor_id] = after
    if after == health and not result.maintenance:
        made.fixed[monitor_id] = verdict
    else:
        made.fixed.pop(monitor_id, None)
    if not steady(health, verdict, result.maintenance):
        made.loud.add(monitor_id)
    if transition is not None:
        seen = result.observation
        made.shifts.append(Shift(result.org_id, monitor_id, seq, transition, seen.category, seen.message))


def fold(health: Health, result: CheckResult, policy: Policy) -> tuple[Health, Transition | None]:
    """Fold one counted result.

    A transition never lies before the one it follows, should the wall clock have been set back (I18).
    """
    at = max(result.started_at, health.since)
    return observe(health, result.observation.verdict, at, policy, result.maintenance)


def _add_parking(made: Draft, parking: Parking) -> None:
    """Make the monitor FAULTED, unless it was changed meanwhile (I10), or is so already."""
    monitor = parking.monitor
    track = made.tracks.get(monitor.id)
    if track is None or track.version != monitor.version:
        if track is None and monitor.id not in made.gone:
            made.strangers.add(monitor.id)
        return
    health = made.healths.get(monitor.id, track.health)
    if health.status in _FROZEN:
        return
    at = max(parking.at, health.since)
    made.healths[monitor.id] = msgspec.structs.replace(health, status=Status.FAULTED, since=at)
    made.fixed.pop(monitor.id, None)
    made.loud.add(monitor.id)
    transition = Transition(health.status, Status.FAULTED, at, health.judged, health.judged)
    made.shifts.append(Shift(monitor.org_id, monitor.id, None, transition, Category.ENGINE_INTERNAL, parking.message))


def versions(made: Draft, monitor_ids: Iterable[int]) -> tuple[list[int], list[int], list[int]]:
    """Return organisations, ids and versions of monitors, as columns."""
    known: Sequence[tuple[int, Track]] = [(i, made.tracks[i]) for i in monitor_ids if i in made.tracks]
    return [t.org_id for _, t in known], [i for i, _ in known], [t.version for _, t in known]
