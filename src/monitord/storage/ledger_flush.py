"""One flush: a batch, judged against what is stored, and written in one transaction."""

from collections.abc import Sequence

from monitord.domain.check import Category, CheckResult
from monitord.domain.health import Transition
from monitord.domain.log import entry_of_result
from monitord.storage import ledger_writes as writes
from monitord.storage.database import Transaction
from monitord.storage.ledger_commit import Change, Commit
from monitord.storage.ledger_draft import Draft, Track, draft
from monitord.storage.ledger_rows import storable
from monitord.storage.ledger_tracks import Tracks
from monitord.storage.ledger_writes import Lease
from monitord.storage.spool import Awaited, GapRecord, Item, Parking


class Flush:
    """A batch on its way into the database."""

    def __init__(self, items: Sequence[Item], tracks: Tracks, lease: Lease, hold_s: writes.Hold) -> None:
        self._items = items
        self._organisations = dict(map(_key, items))
        # As known now: what is adopted while the transaction runs must not pass for what the draft was made of.
        self._known = tracks.of(self._organisations)
        self._lease = lease
        self._hold_s = hold_s
        self.draft: Draft
        """What the batch makes of the monitors."""
        self.fresh: dict[int, Track] = {}
        """Monitors whose stored version was not the one in memory, as read."""
        self.last_position: int | None = None
        """The batch's last position, once asked for; from then on the commit may happen."""

    async def perform(self, tx: Transaction) -> None:
        """Judge and write the batch; it is true once ``tx`` commits.

        Raises:
            OwnershipLostError: another process owns the shard (I7).

        """
        await self._judge(tx)
        count = len(self.draft.rows)
        last = await self._lease.advance(tx, count)
        self.last_position = last
        await writes.write(tx, self.draft, self._lease.shard, last - count + 1, self._hold_s)

    def commit(self, seconds: float) -> Commit:
        """Return what to tell the listeners."""
        assert self.last_position is not None
        rows = self.draft.rows
        transitions: dict[int, list[Transition]] = {}
        categories: dict[int, Category | None] = {}
        for shift in self.draft.shifts:
            transitions.setdefault(shift.monitor_id, []).append(shift.transition)
            categories[shift.monitor_id] = shift.category
        return Commit(
            shard=self._lease.shard,
            first_position=self.last_position - len(rows) + 1,
            rows=rows,
            changes=tuple(
                Change(i, self.draft.healths[i], tuple(transitions.get(i, ())), categories.get(i))
                for i in sorted(self.draft.loud)
            ),
            seconds=seconds,
        )

    def answer(self, awaited: Sequence[Awaited]) -> None:
        """Give those who wait their committed rows."""
        assert self.last_position is not None
        answers = {id(item.result): item.answer for item in awaited if not item.answer.done()}
        if not answers:
            return
        rows = self.draft.rows
        for position, row in enumerate(rows, self.last_position - len(rows) + 1):
            source = row.source
            if isinstance(source, CheckResult) and id(source) in answers:
                entry = entry_of_result(
                    source, seq=row.seq, shard=self._lease.shard, position=position, counted=row.counted
                )
                answers[id(source)].set_result(entry)

    async def _judge(self, tx: Transaction) -> None:
        """Fold the batch over what is stored at this moment of the transaction (I10).

        Monitors whose results only echo their state are looked at without a lock: were one changed between this look
        and our commit, the batch counts as before the change, and as it changes no state, nothing contradicts that.
        All others are locked first, so that no change can come between.
        """
        known = self._known
        made = draft(self._items, known)
        parked = {item.monitor.id for item in self._items if type(item) is Parking}
        doubtful = made.loud | made.strangers | parked | await writes.moved(tx, made)
        if not doubtful:
            self.draft = made
            return
        organisations = self._organisations
        versions = await writes.lock(tx, [(organisations[i], i) for i in doubtful])
        stale = {i for i in doubtful if i in parked or i not in known or versions.get(i) != known[i].version}
        if not stale:
            self.draft = made
            return
        self.fresh = await writes.load_tracks(tx, [(organisations[i], i) for i in stale if i in versions])
        for monitor_id, track in self.fresh.items():
            if monitor_id in known:  # its rows may all be older than the retention
                track.seq = max(track.seq, known[monitor_id].seq)
        tracks = {i: track for i, track in known.items() if i not in stale}
        self.draft = draft(self._items, tracks | self.fresh, frozenset(stale - self.fresh.keys()))


def without_texts(item: Item) -> Item | None:
    """Return an item with nothing of the target's in it; None if it is so already."""
    result = item.result if isinstance(item, Awaited) else item
    if not isinstance(result, CheckResult):
        return None
    plain = storable(result)
    if plain == result:
        return None
    return Awaited(plain, item.answer) if isinstance(item, Awaited) else plain


def _key(item: Item) -> tuple[int, int]:
    """Return (monitor, organisation) of an item; (0, 0) for one that has none."""
    if type(item) is CheckResult:  # nearly all: this runs for every row
        return item.monitor_id, item.org_id
    if isinstance(item, Awaited):
        return item.result.monitor_id, item.result.org_id
    if isinstance(item, GapRecord):
        return item.gap.monitor_id, item.gap.org_id
    if isinstance(item, Parking):
        return item.monitor.id, item.monitor.org_id
    return 0, 0
