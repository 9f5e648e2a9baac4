"""What readiness asks of the parts that calls depend on: each answers with what is wrong, or None."""

from monitord.domain.errors import UnavailableError
from monitord.engine.reconciler import Reconciler
from monitord.engine.supervisor import Supervisor
from monitord.storage.database import Database
from monitord.storage.ledger import Ledger

_STUCK_ROWS = 0.5
"""monitord is not ready while more than this share of the spool is waiting to be stored."""


class DatabaseWell:
    """Asks whether the database answers and takes writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self) -> str | None:
        """Return what is wrong with it."""
        try:
            await self._database.ping()
        except UnavailableError as error:
            return error.message
        return None


class EngineWell:
    """Asks whether checks run, and their results are stored."""

    def __init__(self, supervisor: Supervisor, reconciler: Reconciler, ledger: Ledger, *, spool_rows: int) -> None:
        self._supervisor = supervisor
        self._reconciler = reconciler
        self._ledger = ledger
        self._most_rows = _STUCK_ROWS * spool_rows

    async def __call__(self) -> str | None:
        """Return what is wrong with it."""
        if not self._supervisor.accepting:
            return "the checks are not running"
        if not self._reconciler.complete:
            return "the monitors are being loaded"
        if self._ledger.spooled > self._most_rows:
            return f"{self._ledger.spooled} results wait to be stored"
        return None
