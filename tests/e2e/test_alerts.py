"""What a kill at any moment of a delivery may and may not do to what people are told (I3, I4, I20)."""

import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from monitord.storage.database import Database
from monitord.v1 import alert_pb2, contact_pb2
from tests.e2e.alerting import MOMENTS, Post, Trap, Watched, alert_mails, settings, watch
from tests.e2e.target import Target
from tests.support.process import Monitord, monitord, until
from tests.support.smtp_server import MailSink, mail_sink

KILLS = int(os.environ.get("ALERT_KILLS", "3"))
"""How many kills at random; ``ALERT_KILLS=200`` takes some fifteen minutes."""
SEED = os.environ.get("ALERT_SEED", "1")
"""Another one gives other kills."""

DOWN, UP = contact_pb2.ALERT_KIND_DOWN, contact_pb2.ALERT_KIND_UP


async def killed(process: Monitord) -> None:
    assert await process.ended() == -signal.SIGKILL


async def test_a_kill_at_each_moment_of_a_delivery(database_url: str, up: Target, tmp_path: Path) -> None:
    """I3, I4, I20: nothing is lost, and twice comes only what was taken by the other side before we knew."""
    async with mail_sink() as sink:
        sink.keeps = False
        trap, wish = Trap(sink), settings(database_url, sink)
        process = await Monitord(tmp_path, settings=wish, name="0").started()
        try:
            async with process.client() as client, Post(process) as post:
                watched = await watch(client, post, sink, up, [f"m{n}" for n in range(len(MOMENTS))])
            for n, (moment, each) in enumerate(zip(MOMENTS, watched, strict=True), 1):
                trap.arm(process, moment)
                up.fail(each.path)
                await killed(process)
                process = await Monitord(tmp_path, settings=wish, name=str(n)).started()
                async with Post(process) as post:
                    assert_sent_once(moment, await post.settled(each.contact_id, 1), sink, each)
            for each in watched:
                up.recover(each.path)
            async with Post(process) as post:
                for each in watched:
                    assert_in_order(await post.settled(each.contact_id, 2), sink, each)
            assert await process.stop() == 0
            process.assert_no_bug_shows()
        finally:
            process.process.kill()
            process.process.wait()
    assert trap.fired == len(MOMENTS)


def assert_sent_once(moment: str, alerts: Sequence[alert_pb2.Alert], sink: MailSink, each: Watched) -> None:
    (down,) = alerts
    sent = alert_mails(sink, each.address)
    ids = {mail["Message-ID"] for mail in sent}
    assert len(ids) == 1, "whatever is sent again is the same message"
    first, *others = down.attempts
    if moment == "answer" and first.outcome:  # we were quicker than the kill
        assert (len(sent), down.attempt_count) == (1, 1)
        return
    assert (first.outcome, first.HasField("end_time")) == ("", False), "it was counted when it began"
    assert [attempt.outcome for attempt in others] == ["accepted"]
    assert down.attempt_count == 2
    assert len(sent) == (2 if moment in (".", "answer") else 1), moment


def assert_in_order(alerts: Sequence[alert_pb2.Alert], sink: MailSink, each: Watched) -> None:
    """Fail unless a contact was told of each change, in order, and each recovery answers its outage (I20)."""
    assert [alert.kind for alert in alerts] == [DOWN, UP] * (len(alerts) // 2)
    came = alert_mails(sink, each.address)
    times = Counter(mail["Message-ID"] for mail in came)
    order = list(dict.fromkeys(mail["Message-ID"] for mail in came))
    assert len(order) == len(alerts), "each change has its message"
    for alert, message_id in zip(alerts, order, strict=True):
        assert f"-{alert.id}@" in message_id, "in the order of the changes"
        doubts = sum(attempt.outcome in ("", "ambiguous") for attempt in alert.attempts)
        assert 1 <= times[message_id] <= 1 + doubts, "twice only where we can't know, and then the attempts show it"
    replies = {mail["Message-ID"]: mail["In-Reply-To"] for mail in came}
    for down, recovery in zip(order[::2], order[1::2], strict=True):
        assert (replies[down], replies[recovery]) == (None, down)


async def test_kills_at_random_lose_nothing_and_repeat_only_what_nobody_can_know(
    database_url: str, database: Database, up: Target, tmp_path: Path
) -> None:
    """I3, I4, I20, with as many kills as ALERT_KILLS says."""
    chance = random.Random(SEED)
    async with mail_sink() as sink:
        sink.keeps = False  # so that each message has its "connect"
        trap, wish = Trap(sink), settings(database_url, sink)
        process = await Monitord(tmp_path, settings=wish, name="start").started()
        try:
            async with process.client() as client, Post(process) as post:
                watched = await watch(client, post, sink, up, [f"m{n}" for n in range(4)])
            changes: Counter[str] = Counter()
            for n in range(KILLS):
                process = await _a_life(process, trap, up, chance, watched, changes)
                process = await Monitord(tmp_path, settings=wish, name=f"life {n % 5}").started()
                async with Post(process) as post:
                    for each in watched:
                        await post.settled(each.contact_id, changes[each.path])
            async with Post(process) as post:
                for each in watched:
                    if changes[each.path] % 2:
                        changes[each.path] += 1
                        up.recover(each.path)
                    assert_in_order(await post.settled(each.contact_id, changes[each.path]), sink, each)
            assert await process.stop() == 0
        finally:
            process.process.kill()
            process.process.wait()
    async with database.connection() as held:
        assert await held.fetchval("SELECT count(*) FROM alerts WHERE state <> 'sent'") == 0
        transitions = await held.fetchval("SELECT count(*) FROM monitor_transitions WHERE silence IS NULL")
        assert await held.fetchval("SELECT count(DISTINCT transition_id) FROM alerts") == transitions


async def _a_life(
    process: Monitord, trap: Trap, up: Target, chance: random.Random, watched: Sequence[Watched], changes: Counter[str]
) -> Monitord:
    """Let some targets change, and kill a process at a moment of one of the deliveries, or as a target is asked."""
    moment = chance.choice((*MOMENTS, "asked"))
    flipped = chance.sample(watched, chance.randint(1, len(watched)))
    if moment != "asked":
        trap.arm(process, moment)
    for each in flipped:
        (up.recover if changes[each.path] % 2 else up.fail)(each.path)
        changes[each.path] += 1
    if moment == "asked":
        path = flipped[0].path
        await up.asked(path, more_than=up.count(path))
        process.process.kill()
    await killed(process)
    return process


async def test_a_clean_end_leaves_nothing_to_its_lease(database_url: str, up: Target, tmp_path: Path) -> None:
    """A delivery that hangs at the end is made again by the next process, at once."""
    async with mail_sink() as sink:
        wish = {**settings(database_url, sink), "MONITORD_SHUTDOWN_GRACE_S": "0"}
        async with monitord(tmp_path, settings=wish) as process:
            async with process.client() as client, Post(process) as post:
                (each,) = await watch(client, post, sink, up, ["m"])
            sink.script["RCPT"] = ["<silence>"]
            up.fail(each.path)
            await _asked_for(sink, each)
        async with monitord(tmp_path, settings=wish, name="2") as process, Post(process) as post:
            assert_sent_once("RCPT", await post.settled(each.contact_id, 1), sink, each)


async def _asked_for(sink: MailSink, each: Watched) -> None:
    async def look() -> bool:
        return not sink.script["RCPT"]

    await until(look, f"a mail to {each.address}")
