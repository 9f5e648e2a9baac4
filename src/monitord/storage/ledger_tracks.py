"""What the ledger knows of all monitors: as committed, and as it will be once what is spooled is committed too."""

import time
from collections import deque
from collections.abc import Iterable, Mapping

from monitord.domain.check import CheckResult
from monitord.domain.health import Health, Policy, Status, steady
from monitord.domain.monitor import Assignment
from monitord.storage.ledger_draft import Draft, Track, fold

_REMEMBERED_S = 600.0
"""How long the sequence of a monitor that stopped is remembered: longer than anyone takes to adopt what they read."""

_FROZEN = frozenset({Status.PAUSED, Status.FAULTED})


class Tracks:
    """One track per monitor that runs, or did a short while ago."""

    def __init__(self) -> None:
        self._tracks: dict[int, Track] = {}
        self._retired: deque[tuple[float, int]] = deque()
        self._stopped: set[int] = set()
        self._ahead: dict[int, Health] = {}
        """Health after all that is spooled, where it isn't the committed one."""

    def adopt(self, assignment: Assignment) -> None:
        """Begin, or replace, what is known of a monitor.

        Of one and the same version memory knows more than what was read: rows may have been committed since.
        """
        monitor = assignment.monitor
        self._stopped.discard(monitor.id)
        known = self._tracks.get(monitor.id)
        if known is None:
            self._tracks[monitor.id] = _track(assignment)
        elif monitor.version > known.version:
            self._replace(monitor.id, _track(assignment))
        else:
            known.seq = max(known.seq, assignment.last_seq)

    def retire(self, monitor_id: int) -> None:
        """Forget a monitor before long."""
        if monitor_id not in self._tracks:
            return
        now = time.monotonic()
        self._stopped.add(monitor_id)
        self._retired.append((now, monitor_id))
        while self._retired[0][0] < now - _REMEMBERED_S:
            _, old = self._retired.popleft()
            if old in self._stopped:
                self.distrust(old)

    def distrust(self, monitor_id: int) -> None:
        """Forget a monitor at once: what is stored is read before its next row."""
        self._stopped.discard(monitor_id)
        self._tracks.pop(monitor_id, None)
        self._ahead.pop(monitor_id, None)

    def of(self, monitor_ids: Iterable[int]) -> dict[int, Track]:
        """Return those known of these. What is adopted later does not change them."""
        tracks = self._tracks
        return {i: tracks[i] for i in monitor_ids if i in tracks}

    def judge(self, result: CheckResult) -> tuple[bool, bool]:
        """Return whether a result will change nothing that is decided, and whether it must not wait for others."""
        monitor_id, verdict = result.monitor_id, result.observation.verdict
        track = self._tracks.get(monitor_id)
        if track is None or result.monitor_version > track.version:
            return False, True
        if monitor_id in self._ahead:
            health = self._ahead[monitor_id]
        elif verdict is track.fixed and result.monitor_version == track.version and not result.maintenance:
            return True, False
        else:
            health = track.health
        if result.monitor_version < track.version or health.status in _FROZEN:
            return True, False
        self._ahead[monitor_id], _ = fold(health, result, track.policy)
        quiet = steady(health, verdict, result.maintenance)
        return quiet, not quiet

    def commit(self, draft: Draft, fresh: Mapping[int, Track]) -> None:
        """Make a committed batch what is known; ``fresh`` was read in its transaction."""
        for monitor_id, track in fresh.items():
            known = self._tracks.get(monitor_id)
            if known is None:
                self._tracks[monitor_id] = track
                self.retire(monitor_id)  # nobody runs it: somebody checked a paused one
            elif known.version <= track.version:
                self._replace(monitor_id, track)
        tracks = self._tracks
        for monitor_id, seq in draft.seqs.items():
            now = tracks.get(monitor_id)
            if now is not None and now.seq < seq:
                now.seq = seq
        for monitor_id, health in draft.healths.items():
            now = tracks.get(monitor_id)
            if now is None or now.version != draft.tracks[monitor_id].version:
                continue
            now.health, now.fixed = health, draft.fixed.get(monitor_id)
            if self._ahead.get(monitor_id) == health:
                del self._ahead[monitor_id]

    def caught_up(self) -> None:
        """Note that nothing is spooled any more."""
        self._ahead.clear()

    def _replace(self, monitor_id: int, track: Track) -> None:
        track.seq = max(track.seq, self._tracks[monitor_id].seq)
        self._tracks[monitor_id] = track
        # What is spooled ran with an older version and will not count.
        self._ahead.pop(monitor_id, None)


def _track(assignment: Assignment) -> Track:
    monitor = assignment.monitor
    return Track(
        org_id=monitor.org_id,
        version=monitor.version,
        active=monitor.spec.active,
        policy=Policy(monitor.spec.failure_threshold, monitor.spec.success_threshold),
        health=assignment.health,
        seq=assignment.last_seq,
    )
