"""Maintenance as the engine knows it: rows that began within a window carry it."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from monitord.domain.check import Trigger
from monitord.domain.errors import UnavailableError
from monitord.domain.instant import SECOND
from monitord.domain.maintenance import MaintenanceSpec, MaintenanceWindow, Once
from monitord.engine.calendar import Calendar
from monitord.engine.checker import Checker, Flight
from monitord.engine.gate import Gate
from tests.support.clock import EPOCH, VirtualClock
from tests.support.engine_fakes import FakeProbe, monitor


def window(start_s: int, end_s: int, *, id_: int = 1, version: int = 1, org_id: int = 7) -> MaintenanceWindow:
    spec = MaintenanceSpec(name="w", schedule=Once(EPOCH + start_s * SECOND, EPOCH + end_s * SECOND))
    return MaintenanceWindow(id=id_, org_id=org_id, spec=spec, version=version, created_at=0, updated_at=0)


class Store:
    def __init__(self, *windows: MaintenanceWindow) -> None:
        self.windows: Sequence[MaintenanceWindow] | None = windows
        self.reads = 0

    async def all(self) -> Sequence[MaintenanceWindow]:
        self.reads += 1
        if self.windows is None:
            raise UnavailableError("away")
        return self.windows


@pytest.fixture
async def store() -> Store:
    return Store(window(10, 20))


async def test_a_check_that_begins_within_a_window_says_so(store: Store) -> None:
    clock = VirtualClock()
    calendar = Calendar(store)
    calendar.know(store.windows or ())
    checker = Checker(
        probe=FakeProbe(), gate=Gate(9, 9), clock=clock, stalled_since=lambda mono: 0.0, maintenance=calendar
    )
    tagged = []
    for _ in range(5):
        flight = Flight(monitor(), "h", Trigger.SCHEDULED, 5, clock.monotonic())
        flight.task = asyncio.current_task()
        tagged.append((await checker.check(flight)).maintenance)
        await asyncio.sleep(5)
    assert tagged == [False, False, True, True, False], "at 0, 5, 10, 15 and 20 s"


async def test_only_ones_own_windows_count() -> None:
    calendar = Calendar(Store())
    calendar.know([window(0, 100, org_id=8)])
    assert not calendar.covers(monitor(), EPOCH + SECOND)
    calendar.know([window(0, 100)])
    assert calendar.covers(monitor(), EPOCH + SECOND)


async def test_a_change_counts_within_two_seconds_and_an_outage_changes_nothing(store: Store) -> None:
    """(I13), (I17)"""
    calendar = Calendar(store)
    running = asyncio.create_task(calendar.run())
    await asyncio.sleep(1)
    assert calendar.covers(monitor(), EPOCH + 15 * SECOND)
    store.windows = [window(100, 200, version=2)]
    calendar.poke()
    await asyncio.sleep(2)
    assert not calendar.covers(monitor(), EPOCH + 15 * SECOND)
    assert calendar.covers(monitor(), EPOCH + 150 * SECOND)
    store.windows = None
    calendar.poke()
    await asyncio.sleep(2)
    assert calendar.covers(monitor(), EPOCH + 150 * SECOND)
    store.windows = []
    await asyncio.sleep(31)
    assert not calendar.covers(monitor(), EPOCH + 150 * SECOND), "also without a hint"
    running.cancel()
    await asyncio.wait([running])


async def test_what_did_not_change_keeps_what_was_found_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calendar = Calendar(store)
    calendar.know(store.windows or ())
    calendar.covers(monitor(), EPOCH + 15 * SECOND)
    looked: list[object] = []
    monkeypatch.setattr("monitord.engine.calendar.span_at", lambda spec, moment: looked.append(moment))
    calendar.know([msgspec.structs.replace(each) for each in store.windows or ()])
    assert calendar.covers(monitor(), EPOCH + 16 * SECOND)
    assert looked == []
