"""A database with monitors in it, and ledgers that write to it."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest

from monitord.domain.check import Category, CheckResult, Evidence, Observation, Step, Trigger, Verdict
from monitord.domain.contacts import EmailContact
from monitord.domain.health import Health
from monitord.domain.instant import SECOND
from monitord.domain.monitor import Assignment, Monitor
from monitord.storage.database import Database
from monitord.storage.ledger import Ledger
from monitord.storage.ledger_commit import Commit
from monitord.storage.monitors import MonitorStore
from tests.support.stored import NOON, Clock, PlainSealer, organisation, spec

CATEGORIES = {Verdict.DOWN: Category.CONNECT_REFUSED, Verdict.DEGRADED: Category.ASSERT_LATENCY}


class World:
    """One organisation, and what its tests ask of the database."""

    def __init__(self, database: Database, org_id: int) -> None:
        self.database = database
        self.org_id = org_id
        self.clock = Clock(NOON)
        self.store = MonitorStore(database, PlainSealer(), clock=self.clock)
        self._names = itertools.count(1)
        self._slots: dict[int, int] = {}
        self.positions = 0

    def ledger(self, database: Database | None = None, **options: Any) -> Ledger:
        return Ledger(database or self.database, clock=self.clock, **options)

    async def monitor(self, ledger: Ledger | None = None, **changes: Any) -> Monitor:
        view = await self.store.create(self.org_id, spec(f"m{next(self._names)}", **changes))
        if ledger is not None:
            adopt(ledger, view.monitor, view.health)
        return view.monitor

    async def contact(self, *monitors: Monitor, verified: bool = True, disabled: bool = False, **config: Any) -> int:
        """Make a contact, and tie it to monitors; ``config`` sets columns of that tie."""
        contact_id = await self.value(
            "INSERT INTO alert_contacts (org_id, name, type, config, verified_at, disabled_at) "
            "VALUES ($1, 'c' || gen_random_uuid(), 'email', $4, CASE WHEN $2 THEN now() END, "
            "CASE WHEN $3 THEN now() END) RETURNING id",
            self.org_id,
            verified,
            disabled,
            EmailContact(address="ann@example.org"),
        )
        columns = ["org_id", "monitor_id", "contact_id", *config]
        async with self.database.connection() as held:
            await held.copy_records_to_table(
                "monitor_alert_configs",
                columns=columns,
                records=[(self.org_id, m.id, contact_id, *config.values()) for m in monitors],
            )
        return int(contact_id)

    def result(
        self, monitor: Monitor, verdict: Verdict = Verdict.UP, trigger: Trigger = Trigger.SCHEDULED, **seen: Any
    ) -> CheckResult:
        """Make the result of the monitor's next slot."""
        slot = self._slots.get(monitor.id) or monitor.grid.after(NOON)
        self._slots[monitor.id] = slot + monitor.grid.interval
        if verdict is not Verdict.UP:
            seen.setdefault("category", CATEGORIES.get(verdict))
            seen.setdefault("message", f"it is {verdict.name}")
            seen.setdefault("evidence", Evidence(steps=(Step(0.0, "connect", "refused"),)))
        return CheckResult(
            monitor_id=monitor.id,
            org_id=monitor.org_id,
            monitor_version=monitor.version,
            trigger=trigger,
            scheduled_at=slot,
            started_at=slot + 1_000,
            duration_ms=12.5,
            observation=Observation(verdict=verdict, **seen),
        )

    async def rows(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        async with self.database.connection() as held:
            return [tuple(row) for row in await held.fetch(statement, *arguments)]

    async def value(self, statement: str, *arguments: Any) -> Any:
        async with self.database.connection() as held:
            return await held.fetchval(statement, *arguments)

    async def counts(self) -> dict[str, int]:
        """Return how many rows each table has that a transition concerns."""
        tables = ("monitor_logs", "check_evidence", "monitor_transitions", "incidents", "alerts")
        return {table: await self.value(f"SELECT count(*) FROM {table}") for table in tables}

    async def health(self, monitor: Monitor) -> Health:
        return (await self.store.get(self.org_id, monitor.id)).health


def adopt(ledger: Ledger, monitor: Monitor, health: Health, last_seq: int = 0) -> None:
    ledger.adopt(Assignment(monitor=monitor, health=health, last_seq=last_seq, covered_until=0))


@contextlib.asynccontextmanager
async def running(ledger: Ledger) -> AsyncIterator[list[Commit]]:
    """Run a ledger for the length of the block, and collect what it commits."""
    commits: list[Commit] = []
    ledger.listeners.append(commits.append)
    task = asyncio.create_task(ledger.run())
    try:
        yield commits
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def later(result: CheckResult, seconds: int) -> CheckResult:
    moved = seconds * SECOND
    return msgspec.structs.replace(
        result, scheduled_at=result.scheduled_at + moved, started_at=result.started_at + moved
    )


def record_all(ledger: Ledger, results: Sequence[CheckResult]) -> None:
    for result in results:
        ledger.record(result)


@pytest.fixture
async def world(database: Database) -> World:
    return World(database, await organisation(database))
