"""Any notice becomes a message that its service takes (I12), whatever is in it (T19)."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings

from monitord.alerting import apprise, discord, pagerduty, slack, teams, telegram, webhook
from monitord.alerting.markup import units
from monitord.domain.notice import Notice, NoticeKind, Phase, Picture
from tests.support import vendors
from tests.support.notices import AT, DIGEST, DOWN, NASTY, notices
from tests.support.vendors import discord as discord_service
from tests.support.vendors import pagerduty as pagerduty_service
from tests.support.vendors import slack as slack_service
from tests.support.vendors import teams as teams_service
from tests.support.vendors import telegram as telegram_service


def as_slack(notice: Notice) -> None:
    slack_service.judge(msgspec.json.decode(msgspec.json.encode(slack.message(notice))))


def as_discord(notice: Notice) -> None:
    discord_service.judge(msgspec.json.decode(msgspec.json.encode(discord.message(notice))))


def as_teams(notice: Notice) -> None:
    teams_service.judge(teams.message(notice))


def as_telegram(notice: Notice) -> None:
    telegram_service.judge(telegram.text_of(notice))


def as_pagerduty(notice: Notice) -> None:
    pagerduty_service.judge(pagerduty.event(notice, pagerduty_service.KEY))


def as_webhook(notice: Notice) -> None:
    body = msgspec.json.encode(webhook.document(notice))
    assert len(body) < 2_000_000
    assert b"\\u00" not in body, "a control character"


def as_apprise(notice: Notice) -> None:
    text = apprise.body_of(notice)
    assert text.strip()
    assert units(text) <= 3000


CHANNELS = [as_slack, as_discord, as_teams, as_telegram, as_pagerduty, as_webhook, as_apprise]
WORST = [
    msgspec.structs.replace(
        DOWN,
        subject=msgspec.structs.replace(DOWN.subject, name=text, target=text),
        message=text,
        category=text,
        evidence=(text,) * 40,
        phases=(Phase(text, 1.0),) * 6,
        picture=Picture(url="https://shots.example/" + "&" * 900),
        link="https://monitord.example/" + "&" * 900,
        duration_s=1e6,
        expires_at=AT,
        since=AT - 1,
        lines=tuple(msgspec.structs.replace(line, message=text) for line in DIGEST.lines) * 25,
        more_lines=10**6,
    )
    for text in NASTY
]


@pytest.mark.parametrize("check", CHANNELS)
@pytest.mark.parametrize("kind", NoticeKind)
def test_the_longest_of_each_kind_fits(check: Callable[[Notice], None], kind: NoticeKind) -> None:
    """Every text for those that show all there is, every fourth for the others: they differ in little."""
    step = 1 if kind in (NoticeKind.DOWN, NoticeKind.DIGEST) else 4
    for notice in WORST[list(NoticeKind).index(kind) % step :: step]:
        check(msgspec.structs.replace(notice, kind=kind))


@pytest.mark.parametrize("check", CHANNELS)
def test_any_notice_fits(check: Callable[[Notice], None]) -> None:
    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(notices())
    @example(DOWN)
    @example(DIGEST)
    def holds(notice: Notice) -> None:
        check(notice)

    holds()


def test_the_judges_do_refuse() -> None:
    """Judges that took anything would prove nothing."""
    for broken in ("<!channel>", "&", "x" * 151, ""):
        document = slack.message(DOWN)
        document["blocks"][0]["text"]["text"] = broken
        with pytest.raises(vendors.RefusalError):
            slack_service.judge(document)
    for broken in ("*x*", "@everyone", "[a](b)", "x" * 257):
        document = discord.message(DOWN)
        document["embeds"][0]["title"] = broken
        with pytest.raises(vendors.RefusalError):
            discord_service.judge(document)
    for broken in ("<i>x</i>", "<b>x", "a & b", "&nbsp;", "hi @you", "", "x" * 4097):
        with pytest.raises(vendors.RefusalError):
            telegram_service.judge(broken)
    for broken in (b"*shop*", b"{{DATE(x)}}", b""):
        with pytest.raises(vendors.RefusalError):
            teams_service.judge(teams.message(DOWN).replace(b"Shop", broken).replace(b"\\\\[DOWN\\\\] ", b""))
