"""Alerts: the client's calls, and monitorctl."""

import json

import grpc
import pytest

from monitord_client import (
    Alert,
    AlertSettings,
    Client,
    Contact,
    EmailContact,
    FailedPreconditionError,
    UnavailableError,
    alert_filter,
    http_monitor,
)
from monitord_client.v1 import alert_pb2 as pb
from monitord_client.v1 import contact_pb2
from tests.client.conftest import Ctl
from tests.client.fake_monitord import FakeMonitord, Fault

LOST = Fault(grpc.StatusCode.UNAVAILABLE, after_acting=True)


@pytest.fixture
def history(server: FakeMonitord) -> FakeMonitord:
    """A server with a monitor, a contact, and alerts that were sent, given up, and wait."""
    server.put(http_monitor("shop", "https://shop.example/"))
    server.meet(Contact(name="ann", email=EmailContact(address="ann@example.org")))
    states = (pb.ALERT_STATE_SENT, pb.ALERT_STATE_DEAD, pb.ALERT_STATE_PENDING)
    for number, state in enumerate(states, 1):
        alert = Alert(
            id=number, monitor_id=1, contact_id=1, incident_id=7, kind=contact_pb2.ALERT_KIND_DOWN, state=state,
            channel="email", attempt_count=number,
        )  # fmt: skip
        alert.create_time.FromSeconds(1_000 * number)
        alert.due_time.FromSeconds(1_000 * number)
        server.alerts[number] = alert
    dead = server.alerts[2]
    dead.reason = "smtp.550"
    dead.settle_time.FromSeconds(2_003)
    dead.attempts.add(number=1, outcome="permanent", code="smtp.550", detail="no such user").begin_time.FromSeconds(
        2_001
    )
    return server


async def test_pages_and_filters(history: FakeMonitord, client: Client) -> None:
    history.page_size = 2
    assert [alert.id async for alert in client.list_alerts()] == [3, 2, 1]
    which = alert_filter(states=[pb.ALERT_STATE_DEAD], kinds=[contact_pb2.ALERT_KIND_DOWN], incident_id=7)
    assert [alert.id async for alert in client.list_alerts(which)] == [2]
    assert (await client.get_alert(2)).attempts[0].detail == "no such user"


async def test_an_export_that_breaks_at_its_beginning_is_repeated(history: FakeMonitord, client: Client) -> None:
    history.faults["ExportAlerts"].append(Fault(grpc.StatusCode.UNAVAILABLE))
    whole = b"".join([chunk async for chunk in client.export_alerts(alert_filter(states=[pb.ALERT_STATE_SENT]))])
    assert whole == b"id,kind\r\n1,1\r\n"
    assert len(history.called("ExportAlerts")) == 2


async def test_an_export_that_breaks_later_is_an_error(history: FakeMonitord, client: Client) -> None:
    history.faults["ExportAlerts"].append(LOST)
    chunks = client.export_alerts()
    assert await anext(chunks) == b"id,kind\r\n"
    with pytest.raises(UnavailableError):
        await anext(chunks)
    assert len(history.called("ExportAlerts")) == 1


async def test_another_try_is_asked_for_once(history: FakeMonitord, client: Client) -> None:
    history.faults["RetryDelivery"].append(LOST)
    with pytest.raises(UnavailableError):
        await client.retry_delivery(2)
    assert len(history.called("RetryDelivery")) == 1
    with pytest.raises(FailedPreconditionError):
        await client.retry_delivery(1)


# monitorctl


async def test_set_unset_and_configs(history: FakeMonitord, ctl: Ctl) -> None:
    assert "Nobody is told anything" in (await ctl("alert", "configs")).stderr
    done = await ctl("alert", "set", "shop", "ann", "--on", "down", "--on", "up,faulted", "--delay", "2m")
    assert done.stdout == "shop -> ann: down, up, faulted; if it lasts 2m\n"
    assert "before it has confirmed" in done.stderr
    slow = await ctl("alert", "set", "1", "1", "--slow", "800ms", "--quiet", "22:00-07:00")
    assert slow.stdout.endswith("certificate, slow; slow above 800ms; quiet 22:00-07:00\n")
    assert "shop     ann" in (await ctl("alert", "configs", "-m", "shop", "-c", "ann")).stdout
    assert len(json.loads((await ctl("alert", "configs", "-o", "json")).stdout)["configs"]) == 1
    short = await ctl("alert", "set", "shop", "ann", "--remind", "3s")
    assert (short.exit_code, "config.settings.reminder_interval: must be" in short.stderr) == (2, True)
    assert (await ctl("alert", "unset", "shop", "ann")).stdout == "- shop -> ann\n"
    nothing = await ctl("alert", "unset", "shop", "ann")
    assert (nothing.exit_code, nothing.stderr) == (3, "Error: ann was told nothing of shop\n")
    assert (await ctl("alert", "set", "shop", "bob")).exit_code == 3
    assert (await ctl("alert", "set", "blog", "ann")).exit_code == 3


async def test_list_with_filters(history: FakeMonitord, ctl: Ctl) -> None:
    lines = (await ctl("alerts", "list")).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["3", "2", "1"]
    assert lines[2].split()[-6:] == ["shop", "ann", "down", "DEAD", "2", "smtp.550"]
    some = await ctl(
        "alerts", "list", "-m", "shop", "-c", "ann", "--incident", "7", "-s", "dead,sent", "--kind", "down"
    )
    assert len(some.stdout.splitlines()) == 3
    sent = history.called("ListAlerts")[-1].filter
    assert (sent.monitor_id, sent.contact_id, sent.incident_id, len(sent.states), len(sent.kinds)) == (1, 1, 7, 2, 1)
    assert len((await ctl("alerts", "list", "-n", "1")).stdout.splitlines()) == 2
    assert "no alerts" in (await ctl("alerts", "list", "--from", "1h")).stderr
    wrong = await ctl("alerts", "list", "--state", "lost")
    assert "--state: 'lost' is not one of pending, sent, dead, cancelled" in wrong.stderr
    assert "--kind: 'x' is not one of down, up" in (await ctl("alerts", "list", "--kind", "x")).stderr


async def test_show_retry_and_export(history: FakeMonitord, ctl: Ctl) -> None:
    card = (await ctl("alerts", "show", "2")).stdout
    assert "DEAD (smtp.550)" in card
    assert "permanent smtp.550 - no such user" in card
    assert "after 3 s" in card
    assert (await ctl("alerts", "retry", "2")).stdout == "alert 2: tried again\n"
    assert (await ctl("alerts", "retry", "1")).exit_code == 6
    assert (await ctl("alerts", "export", "-s", "sent")).stdout_bytes == b"id,kind\r\n1,1\r\n"
    assert (await ctl("alerts", "show", "x")).exit_code == 2


async def test_explain_says_why(history: FakeMonitord, ctl: Ctl) -> None:
    history.reasons = ["shop went from UP to DOWN.", "It was sent."]
    told = await ctl("alerts", "explain", "shop", "ann", "--at", "2026-11-28T12:00+01:00")
    assert told.stdout == "ann was told of shop:\n  shop went from UP to DOWN.\n  It was sent.\n"
    assert history.called("ExplainAlert")[0].time.seconds == 1_795_863_600
    history.alerts.clear()
    assert "ann was NOT told of shop:" in (await ctl("alerts", "explain", "shop", "ann")).stdout


async def test_settings_that_are_off_say_so(history: FakeMonitord, ctl: Ctl) -> None:
    await ctl("alert", "set", "shop", "ann", "--off")
    assert history.configs[1, 1].active is False
    history.configs[1, 1] = AlertSettings(active=False, kinds=[contact_pb2.ALERT_KIND_UP])
    assert "OFF; up" in (await ctl("alert", "configs")).stdout
