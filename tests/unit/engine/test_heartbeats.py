"""What is in memory of jobs: adopted, heard, judged."""

import msgspec
import pytest

from monitord.domain.check import Category, Verdict
from monitord.domain.errors import UnavailableError
from monitord.domain.health import Health, Status
from monitord.domain.heartbeat import Ping, PingKind, Words
from monitord.domain.instant import DAY, HOUR, MINUTE, Instant
from monitord.domain.kinds import Check, HeartbeatCheck, HttpCheck
from monitord.domain.monitor import Assignment, Monitor, MonitorSpec
from monitord.engine.heartbeats import Heartbeats

START: Instant = 20_000 * DAY
HOURLY = HeartbeatCheck(period_s=3600, grace_s=300)


class Store:
    """Keeps words as the real one does, unless it is away."""

    def __init__(self) -> None:
        self.words: dict[int, Words] = {}
        self.away = False

    async def record(self, monitor_id: int, url_version: int | None, ping: Ping) -> Words:
        if self.away:
            raise UnavailableError("The database is away.")
        self.words[monitor_id] = words = self.words.get(monitor_id, Words()).hear(ping)
        return words


class Scene:
    def __init__(self) -> None:
        self.now = START
        self.store = Store()
        self.rechecked: list[int] = []
        self.heartbeats = self.restarted()

    def restarted(self) -> Heartbeats:
        self.heartbeats = Heartbeats(self.store, lambda: self.now, self.rechecked.append)
        return self.heartbeats

    def monitor(self, check: Check = HOURLY, updated_at: Instant = START) -> Monitor:
        spec = MonitorSpec(name="job", check=check)
        return Monitor(id=7, org_id=1, spec=spec, version=1, created_at=START, updated_at=updated_at)

    def adopt(self, *, status: Status = Status.UP, covered: Instant | None = None, **monitor: object) -> None:
        self.heartbeats.adopt(
            Assignment(
                monitor=self.monitor(**monitor),  # type: ignore[arg-type]
                health=Health(status, START, judged=status),
                last_seq=0,
                covered_until=self.now if covered is None else covered,
                words=self.store.words.get(7),
            )
        )

    def verdict(self, **monitor: object) -> tuple[Verdict, Category | None]:
        seen = self.heartbeats.judge(self.monitor(**monitor))  # type: ignore[arg-type]
        return seen.verdict, seen.category

    async def hear(self, kind: PingKind = PingKind.SUCCESS, version: int | None = 0) -> None:
        await self.heartbeats.hear(7, version, Ping(at=self.now, kind=kind))


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_only_words_that_change_the_verdict_ask_for_a_check(scene: Scene) -> None:
    scene.adopt(status=Status.PENDING)
    await scene.hear()
    assert scene.rechecked == [7], "from awaited to UP"
    await scene.hear()
    await scene.hear(PingKind.LOG)
    assert scene.rechecked == [7]
    await scene.hear(PingKind.FAIL)
    assert scene.rechecked == [7, 7]
    assert scene.verdict() == (Verdict.DOWN, Category.HEARTBEAT_FAILED)


async def test_a_word_before_the_adoption_counts(scene: Scene) -> None:
    await scene.hear()
    scene.store.words.clear()  # as an adoption that read the store before the word came
    scene.adopt(status=Status.PENDING)
    assert scene.verdict() == (Verdict.UP, None)


async def test_a_word_counts_though_the_database_is_away(scene: Scene) -> None:
    scene.adopt(status=Status.PENDING)
    scene.store.away = True
    with pytest.raises(UnavailableError):
        await scene.hear()
    assert scene.verdict() == (Verdict.UP, None)


async def test_an_old_url_counts_for_nothing(scene: Scene) -> None:
    scene.adopt(status=Status.PENDING, check=HeartbeatCheck(period_s=3600, ping_url_version=2))
    scene.store.away = True
    with pytest.raises(UnavailableError):
        await scene.hear(version=1)
    assert scene.verdict() == (Verdict.INCONCLUSIVE, Category.HEARTBEAT_AWAITED)


async def test_after_a_restart_words_are_known_and_what_was_not_heard_is_forgiven(scene: Scene) -> None:
    scene.adopt(status=Status.PENDING)
    await scene.hear()
    stopped = scene.now = START + 50 * MINUTE
    scene.now = START + 2 * HOUR
    scene.restarted()
    scene.adopt(covered=stopped)
    assert scene.verdict() == (Verdict.INCONCLUSIVE, Category.ENGINE_GAP)
    await scene.hear()
    assert scene.verdict() == (Verdict.UP, None)


async def test_what_is_down_stays_so_over_a_restart(scene: Scene) -> None:
    scene.adopt(status=Status.PENDING)
    await scene.hear()
    scene.now = START + 3 * HOUR
    assert scene.verdict() == (Verdict.DOWN, Category.HEARTBEAT_MISSED)
    scene.restarted()
    scene.adopt(status=Status.DOWN, covered=scene.now - MINUTE)
    assert scene.verdict() == (Verdict.DOWN, Category.HEARTBEAT_MISSED)


async def test_another_schedule_and_a_resume_give_time_anew(scene: Scene) -> None:
    scene.adopt(status=Status.PENDING)
    await scene.hear()
    scene.now = START + 50 * MINUTE
    often = HeartbeatCheck(period_s=600, grace_s=60)
    scene.adopt(check=often, updated_at=scene.now)
    assert scene.verdict(check=often) == (Verdict.UP, None)
    scene.heartbeats.forget(7)
    scene.now = START + 2 * DAY
    assert scene.verdict()[0] is not Verdict.DOWN, "paused"
    scene.adopt(status=Status.PENDING, updated_at=scene.now)
    assert scene.verdict() == (Verdict.UP, None)
    scene.now += HOUR + 6 * MINUTE
    assert scene.verdict() == (Verdict.DOWN, Category.HEARTBEAT_MISSED)


def test_other_kinds_are_let_go(scene: Scene) -> None:
    scene.adopt(status=Status.PENDING)
    scene.adopt(check=HttpCheck(url="http://example.org/"))
    assert scene.verdict() == (Verdict.INCONCLUSIVE, Category.HEARTBEAT_AWAITED)


async def test_another_schedule_holds_after_a_restart_too(scene: Scene) -> None:
    scene.adopt()
    await scene.hear()
    scene.now += 2 * HOUR
    often = HeartbeatCheck(period_s=60, grace_s=60)
    scene.store.words[7] = msgspec.structs.replace(scene.store.words[7], rescheduled_at=scene.now)
    scene.restarted()
    scene.now += MINUTE
    scene.adopt(check=often, updated_at=scene.now - MINUTE)
    assert scene.verdict(check=often)[0] is not Verdict.DOWN, "by the new schedule it is not due yet"
    scene.now += 2 * MINUTE
    assert scene.verdict(check=often) == (Verdict.DOWN, Category.HEARTBEAT_MISSED)
