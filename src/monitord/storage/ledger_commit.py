"""What a commit of the ledger tells those who listen."""

from collections.abc import Sequence
from functools import cached_property

import msgspec

from monitord.domain.check import Category
from monitord.domain.health import Health, Transition
from monitord.domain.log import LogEntry
from monitord.storage.ledger_draft import Row
from monitord.storage.ledger_rows import entries


class Change(msgspec.Struct, frozen=True):
    """A monitor whose committed health changed in a way that matters."""

    monitor_id: int
    health: Health
    transitions: tuple[Transition, ...]
    """In order; mostly none or one."""
    category: Category | None = None
    """What was wrong at the newest transition; None: nothing, or there is none."""


class Commit:
    """Rows that are durable now, at positions ``first_position`` to ``last_position`` of the shard."""

    def __init__(
        self, *, shard: int, first_position: int, rows: Sequence[Row], changes: tuple[Change, ...], seconds: float
    ) -> None:
        self.shard = shard
        self.first_position = first_position
        self.changes = changes
        self.seconds = seconds
        """How long the transaction took."""
        self._rows = rows

    @property
    def row_count(self) -> int:
        """How many rows were written."""
        return len(self._rows)

    @property
    def last_position(self) -> int:
        """The position of the last row; one before ``first_position`` where there is none."""
        return self.first_position + len(self._rows) - 1

    @cached_property
    def entries(self) -> tuple[LogEntry, ...]:
        """The rows as readers see them; made when somebody looks, for mostly nobody does."""
        return tuple(entries(self._rows, self.shard, self.first_position))
