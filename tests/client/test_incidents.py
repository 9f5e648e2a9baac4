"""Incidents: the client's calls, the stream that resumes, and monitorctl."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import grpc
import pytest

from monitord_client import (
    Acknowledged,
    CheckLog,
    Client,
    Contact,
    Disconnected,
    EmailContact,
    FailedPreconditionError,
    Gap,
    Heartbeat,
    Incident,
    IncidentEvent,
    Opened,
    PermissionDeniedError,
    Reconnected,
    Resolved,
    TimelineEntry,
)
from monitord_client.v1 import alert_pb2, contact_pb2, monitor_pb2
from monitord_client.v1 import incident_service_pb2 as pb
from monitord_client.v1.check_log_service_pb2 import TAIL_END_REASON_SHUTDOWN, TailEnd
from tests.client.conftest import Ctl
from tests.client.fake_monitord import FakeMonitord, Fault

LOST = Fault(grpc.StatusCode.UNAVAILABLE)


def incident(number: int, *, over: bool = False, **fields: Any) -> Incident:
    made = Incident(
        id=number, monitor_id=1, monitor_name="shop", category="http.status", message="It is 503.", **fields
    )
    made.open_time.FromSeconds(1_000 * number)
    if over:
        made.resolve_time.FromSeconds(1_000 * number + 90)
    return made


def said(cursor: str, **event: Any) -> pb.WatchIncidentsResponse:
    return pb.WatchIncidentsResponse(cursor=cursor, **event)


def beat(cursor: str) -> pb.WatchIncidentsResponse:
    return said(cursor, heartbeat=pb.IncidentHeartbeat())


async def take(client: Client, count: int, **options: Any) -> list[IncidentEvent]:
    events = []
    async with asyncio.timeout(5), aclosing(client.watch_incidents(**options)) as watched:
        async for event in watched:
            events.append(event)
            if len(events) == count:
                break
    return events


def shown(events: list[IncidentEvent]) -> list[str]:
    return [
        f"{type(event).__name__} {event.incident.id}"
        if isinstance(event, Opened | Acknowledged | Resolved)
        else type(event).__name__
        for event in events
    ]


async def test_reading_them(server: FakeMonitord, client: Client) -> None:
    server.page_size = 2
    server.incidents = {number: incident(number, over=number < 4) for number in range(1, 6)}
    assert [each.id async for each in client.list_incidents()] == [5, 4, 3, 2, 1]
    assert [each.id async for each in client.list_incidents(is_open=True)] == [5, 4]
    assert [each.id async for each in client.list_incidents(is_open=False)] == [3, 2, 1]
    assert (await client.get_incident(3)).incident.message == "It is 503."


async def test_acknowledging_twice_does_no_harm(server: FakeMonitord, client: Client) -> None:
    server.incidents = {1: incident(1), 2: incident(2, over=True)}
    server.faults["AcknowledgeIncident"].append(Fault(grpc.StatusCode.UNAVAILABLE, after_acting=True))
    assert (await client.acknowledge_incident(1)).acknowledged_by == "ada@example.com"
    with pytest.raises(FailedPreconditionError):
        await client.acknowledge_incident(2)


async def test_a_broken_stream_goes_on_behind_its_last_message(server: FakeMonitord, client: Client) -> None:
    server.scripts = [
        [said("a", opened=incident(1)), beat("a"), said("b", opened=incident(2)), LOST],
        [said("c", acknowledged=incident(1)), said("d", end=TailEnd(reason=TAIL_END_REASON_SHUTDOWN))],
        [said("e", resolved=incident(2))],
    ]
    events = await take(client, 8)
    assert shown(events) == [
        *("Opened 1", "Opened 2", "Disconnected", "Reconnected"),
        *("Acknowledged 1", "Disconnected", "Reconnected", "Resolved 2"),
    ]
    assert [request.cursor for request in server.watched] == ["", "b", "d"]
    assert [event.cursor for event in events] == ["a", "b", "b", "c", "c", "d", "e", "e"]


async def test_one_that_breaks_among_the_standing_incidents_begins_anew(server: FakeMonitord, client: Client) -> None:
    """Their one cursor would skip those that had not come yet, and what ended in between would never be told."""
    server.scripts = [
        [said("a", opened=incident(1)), LOST],
        [said("a2", opened=incident(2)), said("a2", opened=incident(3)), beat("a2")],
    ]
    events = [event for event in await take(client, 4) if not isinstance(event, Disconnected | Reconnected)]
    assert shown(events) == ["Opened 2", "Opened 3"]
    assert [event.cursor for event in events] == ["", "a2"], "the first of two leaves out the second"
    assert [request.cursor for request in server.watched] == ["", ""]


async def test_a_start_at_a_cursor_is_told_at_once(server: FakeMonitord, client: Client) -> None:
    server.scripts = [[said("b", opened=incident(7))]]
    assert shown(await take(client, 1, cursor="a")) == ["Opened 7"]
    assert server.watched[0].cursor == "a"


async def test_what_a_server_tells_twice_is_passed_on_once(server: FakeMonitord, client: Client) -> None:
    server.scripts = [[said(each, opened=incident(number)) for each, number in (("b", 1), ("b", 1), ("c", 2))]]
    assert shown(await take(client, 2, cursor="a")) == ["Opened 1", "Opened 2"]


async def test_a_cursor_that_is_not_known_any_more_is_a_gap(server: FakeMonitord, client: Client) -> None:
    server.faults["WatchIncidents"].append(
        Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR", violations={"cursor": "not of this server"})
    )
    server.scripts = [[said("z", opened=incident(4)), beat("z")]]
    events = await take(client, 3, cursor="old", heartbeats=True)
    assert shown(events) == ["Gap", "Opened 4", "Heartbeat"]
    assert isinstance(events[0], Gap)
    assert isinstance(events[2], Heartbeat)
    assert server.watched[-1].cursor == ""


async def test_what_no_retry_helps_is_raised(server: FakeMonitord, client: Client) -> None:
    server.faults["WatchIncidents"].append(Fault(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"))
    with pytest.raises(PermissionDeniedError):
        await take(client, 1)


# monitorctl


def timeline() -> list[TimelineEntry]:
    change = TimelineEntry()
    change.time.FromSeconds(5_000)
    change.status_change.before = monitor_pb2.MONITOR_STATUS_UP
    change.status_change.after = monitor_pb2.MONITOR_STATUS_DOWN
    change.status_change.category, change.status_change.message = "http.status", "It is \x1b[31m503."
    change.status_change.check_log.CopyFrom(CheckLog(sequence=9))
    told = TimelineEntry()
    told.time.FromSeconds(5_001)
    told.alert.CopyFrom(
        alert_pb2.Alert(
            id=3, contact_id=1, kind=contact_pb2.ALERT_KIND_DOWN, state=alert_pb2.ALERT_STATE_SENT, channel="email",
            attempt_count=2,
        )
    )  # fmt: skip
    told.alert.create_time.FromSeconds(5_000)
    told.alert.settle_time.FromSeconds(5_007)
    given_up = TimelineEntry()
    given_up.CopyFrom(told)
    given_up.alert.id, given_up.alert.contact_id, given_up.alert.reason = 4, 9, "smtp.550"
    given_up.alert.state = alert_pb2.ALERT_STATE_DEAD
    given_up.alert.attempts.add(code="smtp.550", detail="no such user")
    acknowledged = TimelineEntry()
    acknowledged.acknowledgement.by = "ada@example.com"
    over = TimelineEntry()
    over.status_change.before = monitor_pb2.MONITOR_STATUS_DOWN
    over.status_change.after = monitor_pb2.MONITOR_STATUS_UP
    over.status_change.silence = "maintenance"
    return [change, told, given_up, acknowledged, over]


async def test_show_reads_as_a_story(server: FakeMonitord, ctl: Ctl) -> None:
    server.meet(Contact(name="ann", email=EmailContact(address="ann@example.org")))
    server.incidents, server.timelines = {5: incident(5, over=True)}, {5: timeline()}
    told = [line.split("  ", 1)[1].strip() for line in (await ctl("incident", "show", "5")).stdout.splitlines()[-5:]]
    assert told == [
        "UP -> DOWN  http.status - It is \ufffd[31m503.",
        "alert 3 to ann by email: down, SENT after 7 s, 2 attempts",
        "alert 4 to contact 9 (deleted) by email: down, DEAD (smtp.550), 2 attempts, the last: smtp.550 - no such user",
        "acknowledged by ada@example.com",
        "DOWN -> UP  (nobody was told: maintenance)",
    ]
    whole = json.loads((await ctl("incident", "show", "5", "-o", "json")).stdout)
    assert (whole["incident"]["id"], len(whole["timeline"])) == ("5", 5)


async def test_list_and_ack(server: FakeMonitord, ctl: Ctl) -> None:
    assert (await ctl("incident", "list")).stderr == "There are no incidents.\n"
    await ctl("add", "shop", "https://shop.example/")
    server.incidents = {1: incident(1, over=True), 2: incident(2)}
    lines = (await ctl("incident", "list", "-m", "shop")).stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["2", "shop", "OPEN"], ["1", "shop", "OVER"]]
    assert "1 min 30 s" in lines[2]
    assert len((await ctl("incident", "list", "--open")).stdout.splitlines()) == 2
    done = await ctl("incident", "ack", "2")
    assert done.stdout == "incident 2 of shop: acknowledged by ada@example.com\n"
    assert (await ctl("incident", "ack", "1")).exit_code == 6
    wrong = await ctl("incident", "show", "shop")
    assert (wrong.exit_code, "'shop' is not the id of an incident: `monitorctl incident list`" in wrong.stderr) == (
        2,
        True,
    )
    assert (await ctl("incident", "show", "99")).exit_code == 3


async def test_watch_prints_what_happens(server: FakeMonitord, ctl: Ctl) -> None:
    script = [
        *(said("a", opened=incident(1)), beat("a"), said("b", resolved=incident(1, over=True))),
        Fault(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", "enough"),
    ]
    server.scripts = [list(script), list(script)]
    watched = await ctl("incident", "watch")
    assert watched.exit_code == 4
    assert [line.split(" ", 2)[2] for line in watched.stdout.splitlines()] == [
        "OPENED 1 shop http.status - It is 503.",
        "RESOLVED 1 shop after 1 min 30 s",
    ]
    lines = [json.loads(line) for line in (await ctl("incident", "watch", "--json")).stdout.splitlines()]
    assert [(sorted(line), line["cursor"]) for line in lines] == [
        (["cursor", "opened"], "a"),
        (["cursor", "resolved"], "b"),
    ]
