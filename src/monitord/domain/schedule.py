"""When a monitor is due: a grid of slots on the wall clock that anyone can compute.

The phase of the grid is a stable hash of the monitor's id within its interval. So monitors spread
evenly, every due time, past and future, follows from (id, interval) alone, and nothing is stored
per check to keep it: a restart neither fires everything at once nor ramps up slowly.
"""

import msgspec

from monitord.domain.instant import Instant, Micros

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


class Grid(msgspec.Struct, frozen=True, gc=False):
    """The slots ``phase + k * interval`` of one monitor."""

    interval: Micros
    phase: Micros

    def at_or_after(self, moment: Instant) -> Instant:
        """Return the first slot that is not before ``moment``."""
        return moment + (self.phase - moment) % self.interval

    def after(self, moment: Instant) -> Instant:
        """Return the first slot that is later than ``moment``."""
        return self.at_or_after(moment + 1)

    def at_or_before(self, moment: Instant) -> Instant:
        """Return the last slot that is not after ``moment``."""
        return moment - (moment - self.phase) % self.interval

    def count(self, start: Instant, until: Instant) -> int:
        """Return how many slots lie in [start, until)."""
        if until <= start:
            return 0
        return (until - 1 - self.phase) // self.interval - (start - 1 - self.phase) // self.interval


def grid_of(monitor_id: int, interval: Micros) -> Grid:
    """Return a monitor's grid.

    The hash is splitmix64's finaliser over the golden-ratio sequence (Steele, Lea, Flood 2014). The id
    alone spreads neighbours evenly; the finaliser breaks up patterns in which every n-th id is deleted.
    It must never change: the audit of past slots computes it too.
    """
    x = (monitor_id * _GOLDEN) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    x ^= x >> 31
    return Grid(interval=interval, phase=x * interval >> 64)


class Due(msgspec.Struct, frozen=True, gc=False):
    """The next slot to check, and the slots before it that nobody checked."""

    slot: Instant
    missed_from: Instant
    missed: int
    """How many slots in [missed_from, slot) have to be recorded as a GAP; usually 0."""


def next_due(grid: Grid, covered_until: Instant, now: Instant, *, catch_up: bool) -> Due:
    """Plan the next check of a monitor all of whose slots before ``covered_until`` are accounted for.

    ``catch_up`` runs the last missed slot at once and records only those before it: right after the
    machine slept (I18). Without it every slot up to and including ``now`` is recorded and the next future one
    waits its turn: right after a restart, where catching up would fire every monitor at once.
    """
    first = grid.at_or_after(covered_until)
    if first > now:
        return Due(slot=first, missed_from=first, missed=0)
    slot = grid.at_or_before(now) if catch_up else grid.after(now)
    return Due(slot=slot, missed_from=first, missed=grid.count(first, slot))
