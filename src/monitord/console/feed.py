"""What a console is told, and by whom."""

from collections.abc import Sequence
from typing import Protocol

from monitord.domain.health import Health, Transition
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Assignment


class Change(Protocol):
    """What a commit decided of one monitor."""

    @property
    def monitor_id(self) -> int:
        """The monitor."""
        ...

    @property
    def health(self) -> Health:
        """Its status and streaks from now on."""
        ...

    @property
    def transitions(self) -> Sequence[Transition]:
        """The changes of status in order; mostly none or one."""
        ...


class Commit(Protocol):
    """Rows that are durable now, and what they changed."""

    @property
    def entries(self) -> Sequence[LogEntry]:
        """The rows."""
        ...

    @property
    def changes(self) -> Sequence[Change]:
        """The monitors whose health changed."""
        ...


class Console(Protocol):
    """Shows what is committed. All but ``run`` are quick, and never wait for a terminal or a pipe."""

    def adopt(self, assignment: Assignment) -> None:
        """Begin to show a monitor, or show its new configuration."""
        ...

    def forget(self, monitor_id: int) -> None:
        """Show a monitor no more."""
        ...

    def committed(self, commit: Commit) -> None:
        """Take what was stored."""
        ...

    async def run(self) -> None:
        """Show it until cancelled."""
        ...
