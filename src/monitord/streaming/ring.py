"""The last committed rows in memory: a cache of the log's end, kept only while somebody reads it."""

from collections import deque
from collections.abc import Container, Sequence
from typing import Protocol

from monitord.domain.log import LogEntry


class Commit(Protocol):
    """Rows that were committed together, at consecutive positions."""

    @property
    def first_position(self) -> int:
        """The position of the first row."""
        ...

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        ...

    @property
    def entries(self) -> Sequence[LogEntry]:
        """The rows; they may be made only when this is asked for."""
        ...


class _Batch:
    """One commit, sorted by organisation when the first reader comes: the work is done once for all of them."""

    __slots__ = ("_by_org", "_commit", "first", "last")

    def __init__(self, commit: Commit) -> None:
        self.first = commit.first_position
        self.last = commit.first_position + commit.row_count - 1
        self._commit: Commit | None = commit
        self._by_org: dict[int, list[LogEntry]] = {}

    def of(self, org_id: int) -> Sequence[LogEntry]:
        if self._commit is not None:
            for entry in self._commit.entries:
                self._by_org.setdefault(entry.org_id, []).append(entry)
            self._commit = None  # with the evidence of its results
        return self._by_org.get(org_id, ())


class Ring:
    """The newest rows without a hole between them, at most ``max_rows`` but for one commit."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._batches: deque[_Batch] = deque()

    def append(self, commit: Commit) -> None:
        """Add a commit. If it does not continue the last one, everything before it is dropped."""
        batches = self._batches
        if batches and batches[-1].last + 1 != commit.first_position:
            batches.clear()
        batches.append(_Batch(commit))
        while len(batches) > 1 and batches[-1].last - batches[0].first >= self._max_rows:
            batches.popleft()

    def clear(self) -> None:
        """Drop everything."""
        self._batches.clear()

    def is_behind(self, position: int) -> bool:
        """Return whether there are rows after ``position`` that the ring knows of, but holds no more."""
        return bool(self._batches) and position < self._batches[0].first - 1

    def read(
        self, org_id: int, monitor_ids: Container[int] | None, position: int, limit: int
    ) -> tuple[list[LogEntry], int]:
        """Return an organisation's rows after ``position``, and the position up to which that is all of them.

        Ends with the commit that makes it ``limit`` rows. The reader must not be behind.
        """
        found: list[LogEntry] = []
        for batch in self._after(position):
            if len(found) >= limit:
                break
            found += [
                entry
                for entry in batch.of(org_id)
                if entry.position > position and (monitor_ids is None or entry.monitor_id in monitor_ids)
            ]
            position = batch.last
        return found, position

    def _after(self, position: int) -> list[_Batch]:
        newer: list[_Batch] = []
        for batch in reversed(self._batches):  # readers mostly stand near the end
            if batch.last <= position:
                break
            newer.append(batch)
        newer.reverse()
        return newer
