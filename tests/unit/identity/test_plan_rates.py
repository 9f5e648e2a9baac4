import asyncio

import pytest

from monitord.domain.errors import UnavailableError
from monitord.identity.credential_cache import TTL_S
from monitord.identity.plan_rates import PlanRate, PlanRates


class FakePlans:
    def __init__(self) -> None:
        self.rates: dict[int, float | None] = {1: 10.0, 2: None}
        self.asked: list[int] = []
        self.away = False

    async def rpc_rate_of(self, org_id: int) -> PlanRate | None:
        self.asked.append(org_id)
        if self.away:
            raise UnavailableError("away")
        return PlanRate(self.rates[org_id]) if org_id in self.rates else None


@pytest.fixture
def plans() -> FakePlans:
    return FakePlans()


@pytest.fixture
async def rates(plans: FakePlans) -> PlanRates:
    return PlanRates(plans, clock=asyncio.get_running_loop().time)


async def test_a_call_costs_no_query_also_where_the_plan_says_nothing(plans: FakePlans, rates: PlanRates) -> None:
    assert [await rates.of(org_id) for org_id in (1, 2, 1, 2)] == [10.0, None, 10.0, None]
    assert plans.asked == [1, 2]
    assert await rates.of(3) is None


async def test_another_plan_counts_within_ten_seconds(plans: FakePlans, rates: PlanRates) -> None:
    await rates.of(1)
    plans.rates[1] = 50.0
    await asyncio.sleep(TTL_S)
    assert await rates.of(1) == 50.0


async def test_an_outage_refuses_no_call(plans: FakePlans, rates: PlanRates) -> None:
    await rates.of(1)
    plans.away = True
    await asyncio.sleep(2 * TTL_S)
    assert await rates.of(1) == 10.0
    assert await rates.of(2) is None
