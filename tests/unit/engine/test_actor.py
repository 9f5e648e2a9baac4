"""An actor's checks at exact moments."""

import asyncio

import pytest

from monitord.domain.check import Category, GapReason, Observation, Trigger, Verdict
from monitord.domain.health import Policy
from monitord.domain.instant import SECOND
from tests.support.clock import EPOCH
from tests.support.engine_fakes import DOWN, UP, Call, Fold, assign, changed, monitor
from tests.unit.engine.conftest import Engine


def first_slot(m, at=EPOCH) -> float:
    return (m.grid.at_or_after(at) - EPOCH) / SECOND


async def test_checks_are_made_at_each_slot_exactly(engine: Engine) -> None:
    m = monitor(interval_s=60)
    engine.supervisor.adopt(assign(m, EPOCH))
    await engine.until(24 * 3600)
    first = first_slot(m)
    assert engine.slots() == [pytest.approx(first + 60 * k, abs=2e-6) for k in range(1440)]
    assert engine.slots() == engine.starts()
    assert {r.trigger for r in engine.recorder.results} == {Trigger.SCHEDULED}
    assert not engine.recorder.gaps
    assert max(engine.meter.lags) < 1e-5
