"""The ledger, as others follow it who keep something of each monitor that is checked."""

from collections.abc import Callable
from typing import Protocol

from monitord.domain.instant import Instant
from monitord.domain.monitor import Assignment
from monitord.storage.database import Database
from monitord.storage.ledger import Ledger


class Follower(Protocol):
    """Whoever keeps something of each monitor that is checked."""

    def adopt(self, assignment: Assignment) -> None:
        """A monitor is checked from now on, or in another way than before."""
        ...

    def forget(self, monitor_id: int) -> None:
        """It is checked no more."""
        ...


class FollowedLedger(Ledger):
    """The ledger, with others who want to know which monitors there are: the metrics and the console."""

    def __init__(self, database: Database, *, clock: Callable[[], Instant], spool_rows: int) -> None:
        super().__init__(database, clock=clock, spool_rows=spool_rows)
        self.followers: list[Follower] = []

    def adopt(self, assignment: Assignment) -> None:
        """Begin, or replace, what is known of a monitor."""
        super().adopt(assignment)
        for follower in self.followers:
            follower.adopt(assignment)

    def forget(self, monitor_id: int) -> None:
        """Drop what is known of a monitor that runs no more."""
        super().forget(monitor_id)
        for follower in self.followers:
            follower.forget(monitor_id)
