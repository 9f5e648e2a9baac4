"""apprise: only services whose hosts are fixed, in few threads, and silent."""

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import apprise
import msgspec
import pytest
import requests
from apprise.plugins.pushover import NotifyPushover

from monitord.alerting.apprise import OUTCOMES, SERVICES, AppriseSender
from monitord.domain.contacts import AppriseContact
from monitord.domain.delivery import Outcome
from monitord.domain.notice import NoticeKind
from monitord.domain.secrets import Secret
from tests.support.notices import DIGEST, DOWN
from tests.support.vendors import Canned, pushover, serving

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""One of the library's plugins still imports it, where there still is one."""

URL = f"pover://{pushover.USER}@{pushover.TOKEN}"
ASKING = "verify=no&redirect=yes&rto=900&cto=900&retry=5&wait=60&overflow=split&port=8080&host=127.0.0.2&format=text"
"""What a user may ask for in any URL of apprise."""


@pytest.fixture
def sender() -> Iterator[AppriseSender]:
    made = AppriseSender(SERVICES)
    yield made
    made.close()


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[pushover.Pushover]:
    """Pushover, in its place: the address is a constant of the library."""
    async with serving(stand_in := pushover.Pushover()):
        monkeypatch.setattr(NotifyPushover, "notify_url", f"{stand_in.base}{pushover.PATH}")
        monkeypatch.setattr(NotifyPushover, "request_rate_per_sec", 0)
        yield stand_in


def to(url: str) -> AppriseContact:
    return AppriseContact(url=Secret(url))


async def test_a_service_takes_every_kind(sender: AppriseSender, service: pushover.Pushover) -> None:
    for kind in NoticeKind:
        notice = DIGEST if kind is NoticeKind.DIGEST else msgspec.structs.replace(DOWN, kind=kind, duration_s=9.0)
        attempt = await sender.send(to(URL), notice, 20.0)
        assert (attempt.outcome, attempt.code) == (Outcome.ACCEPTED, "apprise.sent")
    assert len(service.taken) == len(NoticeKind)
    assert service.taken[0]["title"] == "[DOWN] Shop - the server answered 503"
    assert "Target: https://shop.example/" in service.taken[0]["message"]


async def test_a_long_message_is_cut_to_what_the_service_takes(
    sender: AppriseSender, service: pushover.Pushover
) -> None:
    long = msgspec.structs.replace(DOWN, message="x" * 900, evidence=("<b>y</b>" * 25,) * 40)
    assert (await sender.send(to(f"{URL}?overflow=split"), long, 20.0)).accepted
    assert len(service.seen) == 1


async def test_what_the_service_refuses_is_tried_again_and_says_nothing_of_the_url(
    sender: AppriseSender, service: pushover.Pushover
) -> None:
    """The library does not tell a refusal for good from another."""
    attempt = await sender.send(to(f"pover://{pushover.USER}@{'b' * 30}"), DOWN, 20.0)
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "apprise.failed")
    assert pushover.USER not in attempt.detail


async def test_no_redirect_is_followed(sender: AppriseSender, service: pushover.Pushover) -> None:
    service.canned.append(Canned(status=307, headers={"Location": f"{service.base}/inward"}))
    attempt = await sender.send(to(f"{URL}?redirect=yes"), DOWN, 20.0)
    assert attempt.code == "apprise.failed"
    assert [seen.path for seen in service.seen] == [pushover.PATH]


async def test_the_library_is_silent(
    sender: AppriseSender, service: pushover.Pushover, caplog: pytest.LogCaptureFixture
) -> None:
    """(T15): it would log URLs, and what services answer."""
    caplog.set_level(0)
    logging.getLogger("apprise").setLevel(1)
    service.canned.append(Canned(status=500, body=pushover.TOKEN.encode()))
    await sender.send(to(URL), DOWN, 20.0)
    await sender.send(to("pover://nonsense"), DOWN, 20.0)
    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("apprise"))
    assert not said


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "apprise.invalid"),
        ("pover", "apprise.invalid"),
        ("pover://", "apprise.invalid"),
        ("pover://nonsense", "apprise.invalid"),
        (" json://127.0.0.1", "apprise.invalid"),
        ("pover://a\r\nb@c", "apprise.invalid"),
        ("POVER://a@b", "apprise.invalid"),
        ("json://127.0.0.1", "apprise.not_allowed"),
        ("ntfy://127.0.0.1/topic", "apprise.not_allowed"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "apprise.not_allowed"),
        ("file:///etc/passwd", "apprise.not_allowed"),
        ("syslog://", "apprise.invalid"),
        ("mailto://a:b@c.example", "apprise.not_allowed"),
    ],
)
async def test_what_is_not_for_apprise(sender: AppriseSender, url: str, code: str) -> None:
    attempt = await sender.send(to(url), DOWN, 20.0)
    assert (attempt.outcome, attempt.code, attempt.disables_contact) == (Outcome.PERMANENT, code, False)


async def test_what_the_operator_does_not_allow(service: pushover.Pushover) -> None:
    few = AppriseSender(["prowl"])
    assert (await few.send(to(URL), DOWN, 20.0)).code == "apprise.not_allowed"
    assert not service.seen
    few.close()


@pytest.mark.parametrize("scheme", ["json", "ntfy", "mailto", "syslog", "https", "slack", ""])
def test_an_operator_cannot_allow_what_dials_anything(scheme: str) -> None:
    """(T1)"""
    with pytest.raises(ValueError, match="may not be used for"):
        AppriseSender(["pover", scheme])


SAMPLES = {
    "gchat": "gchat://workspace1/key-key-key1/token-token1",
    "ifttt": "ifttt://webhook-id-1@EventId/",
    "ilert": "ilert://abcdefghijklmnopqrstuvwxyz0123456789",
    "incidentio": "incidentio://01ABCDEFGHJKMNPQRSTVWXYZ01/abcdef0123456789abcdef0123456789",
    "join": f"join://{'a' * 32}/{'b' * 32}",
    "pagertree": "pagertree://int_abcdefghij",
    "pbul": f"pbul://{'a' * 32}",
    "pover": URL,
    "prowl": f"prowl://{'a' * 40}",
    "psafers": f"psafers://{'a' * 20}",
    "signl4": "signl4://abcd1234",
    "spike": f"spike://{'1a' * 16}",
    "splunk": f"splunk://routing@{'1a' * 16}",
    "twilio": f"twilio://AC{'1' * 32}:{'2' * 32}@15551234567/15557654321",
    "victorops": f"victorops://routing@{'1a' * 16}",
    "wxteams": f"wxteams://{'a' * 80}",
}


@pytest.mark.parametrize("scheme", SERVICES)
async def test_each_service_dials_its_vendor_alone(
    sender: AppriseSender, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """(T1): whatever a URL asks for. Nothing leaves: what the library would send is looked at, and refused."""
    sent: list[tuple[str, object]] = []

    def refuse(session: requests.Session, request: requests.PreparedRequest, **how: object) -> requests.Response:
        sent.append((str(request.url), how))
        raise requests.ConnectionError("not in a test")

    monkeypatch.setattr(requests.Session, "send", refuse)
    sample = SAMPLES[scheme]
    for url in (sample, f"{sample}{'&' if '?' in sample else '?'}{ASKING}"):
        attempt = await sender.send(to(url), DOWN, 20.0)
        assert attempt.code in ("apprise.failed", "apprise.invalid")
    assert sent
    hosts = SERVICES[scheme].split(", ")
    for url, how in sent:
        assert (urlsplit(url).scheme, urlsplit(url).hostname in hosts, urlsplit(url).port) == ("https", True, None), url
        assert isinstance(how, dict)
        assert how["allow_redirects"] is False
        assert how["verify"], "True, or where the authorities are"
        assert max(how["timeout"]) <= 20.0
    assert len(sent) <= 2, "nothing is repeated by the library"


async def test_one_that_hangs_is_ambiguous_and_the_next_waits_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    release, calls = threading.Event(), []

    def hang(*_: object, **__: object) -> bool:
        calls.append(1)
        return release.wait(30)

    monkeypatch.setattr(apprise.Apprise, "notify", hang)
    sender = AppriseSender(["pover"], threads=1)
    stuck = await sender.send(to(URL), DOWN, 0.3)
    assert (stuck.outcome, stuck.code) == (Outcome.AMBIGUOUS, "apprise.timeout")
    late = await sender.send(to(URL), DOWN, 0.1)
    assert (late.outcome, late.code) == (Outcome.RETRY, "apprise.busy")
    release.set()
    assert (await sender.send(to(URL), DOWN, 20.0)).accepted
    assert len(calls) == 2, "what was given up before it began is never sent"
    sender.close()


async def test_without_the_library_it_is_not_set_up(sender: AppriseSender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    attempt = await sender.send(to(URL), DOWN, 20.0)
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "apprise.not_installed")
    assert "not set up" in attempt.detail


async def test_a_bug_of_the_library_tells_nothing(sender: AppriseSender, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"cannot send to {URL}")

    monkeypatch.setattr(apprise.Apprise, "instantiate", broken)
    attempt = await sender.send(to(URL), DOWN, 20.0)
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "apprise.failed")
    assert pushover.TOKEN not in attempt.detail


def test_every_row_is_tested() -> None:
    assert set(OUTCOMES) == {"not_allowed", "invalid", "not_installed", "busy", "failed", "timeout"}
    assert set(SAMPLES) == set(SERVICES)
