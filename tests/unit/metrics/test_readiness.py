import asyncio

from monitord.metrics.readiness import KEEP_S, KEEP_UNREADY_S, LIMIT_S, Readiness


async def well() -> str | None:
    return None


async def test_ready_when_every_condition_holds():
    report = await Readiness({"database": well, "engine": well}).report()
    assert report.ready
    assert report.conditions == {"database": "ok", "engine": "ok"}


async def test_it_tells_which_condition_does_not_hold_and_why():
    async def ill() -> str | None:
        return "the ledger has not committed for 31 s"

    async def hangs() -> str | None:
        await asyncio.sleep(3600)
        return None

    async def breaks() -> str | None:
        raise RuntimeError("secret detail")

    loop = asyncio.get_running_loop()
    before = loop.time()
    report = await Readiness({"database": well, "ledger": ill, "engine": hangs, "other": breaks}).report()
    assert not report.ready
    assert report.conditions == {
        "database": "ok",
        "ledger": "the ledger has not committed for 31 s",
        "engine": f"no answer within {LIMIT_S:g} s",
        "other": "could not be found out",
    }
    assert loop.time() - before == LIMIT_S


async def test_a_crowd_of_askers_costs_one_look_a_second():
    looks = 0

    async def counted() -> str | None:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0.1)
        return None

    readiness = Readiness({"database": counted})
    await asyncio.gather(*(readiness.report() for _ in range(100)))
    assert looks == 1
    await asyncio.sleep(KEEP_S)
    await readiness.report()
    assert looks == 2


async def test_becoming_ready_is_told_at_once():
    reasons = ["the monitors are being loaded"]

    async def loading() -> str | None:
        return reasons[0] if reasons else None

    readiness = Readiness({"engine": loading})
    assert not await readiness.is_ready()
    reasons.clear()
    await asyncio.sleep(KEEP_UNREADY_S)
    assert await readiness.is_ready()


async def test_not_ready_at_once_when_it_drains():
    readiness = Readiness({"database": well})
    assert await readiness.is_ready()
    readiness.drain()
    assert not await readiness.is_ready()
    assert (await readiness.report()).conditions == {"process": "shutting down"}
