"""IncidentService and AlertService, with outages that a real ledger wrote and a real outbox worked through."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
from grpc import StatusCode

from monitord.domain.check import Verdict
from monitord.domain.monitor import Monitor
from monitord.v1 import alert_pb2, alert_service_pb2, contact_pb2, incident_pb2
from monitord.v1 import incident_service_pb2 as pb
from tests.integration.alerting.conftest import NEVER, Desk
from tests.integration.ledger.conftest import World, running
from tests.support.rpc_server import Api, refusal

DOWN, UP = Verdict.DOWN, Verdict.UP


@dataclass
class Scene:
    """Ann's monitors, as they fail, and what she asks for."""

    api: Api
    desk: Desk

    async def outage(self, **config: object) -> tuple[Monitor, int]:
        monitor = await self.desk.monitor()
        contact = await self.desk.world.contact(monitor, **config)
        await self.desk.see(monitor, DOWN, DOWN)
        return monitor, contact

    async def incidents(self, **query: object) -> list[incident_pb2.Incident]:
        request = pb.ListIncidentsRequest(**query)  # type: ignore[arg-type]
        return list((await self.api.incidents.ListIncidents(request, metadata=self.api.ann.metadata)).incidents)

    async def get(self, incident_id: int) -> pb.GetIncidentResponse:
        request = pb.GetIncidentRequest(id=incident_id)
        return await self.api.incidents.GetIncident(request, metadata=self.api.ann.metadata)

    async def acknowledge(self, incident_id: int) -> incident_pb2.Incident:
        request = pb.AcknowledgeIncidentRequest(id=incident_id)
        return (await self.api.incidents.AcknowledgeIncident(request, metadata=self.api.ann.metadata)).incident

    async def alerts(self, **fields: object) -> list[alert_pb2.Alert]:
        request = alert_service_pb2.ListAlertsRequest(filter=alert_service_pb2.AlertFilter(**fields))  # type: ignore[arg-type]
        return list((await self.api.alerts.ListAlerts(request, metadata=self.api.ann.metadata)).alerts)

    async def explain(self, monitor: Monitor, contact: int) -> alert_service_pb2.ExplainAlertResponse:
        request = alert_service_pb2.ExplainAlertRequest(monitor_id=monitor.id, contact_id=contact)
        return await self.api.alerts.ExplainAlert(request, metadata=self.api.ann.metadata)

    def watch(self, cursor: str = "") -> AsyncIterator[pb.WatchIncidentsResponse]:
        request = pb.WatchIncidentsRequest(cursor=cursor)
        return aiter(self.api.incidents.WatchIncidents(request, metadata=self.api.ann.metadata, timeout=20))


@pytest.fixture
async def scene(api: Api) -> AsyncIterator[Scene]:
    desk = Desk(World(api.database, api.ann.principal.org_id))
    async with running(desk.ledger):
        yield Scene(api, desk)


async def test_an_incident_from_its_opening_to_its_end(scene: Scene) -> None:
    monitor, contact = await scene.outage()
    (opened,) = await scene.incidents(open=True)
    assert (opened.monitor_id, opened.category, opened.message) == (monitor.id, "connect.refused", "it is DOWN")
    await scene.desk.deliver()
    noted = await scene.acknowledge(opened.id)
    assert "@" in noted.acknowledged_by
    assert await scene.acknowledge(opened.id) == noted
    await scene.desk.see(monitor, UP)
    await scene.desk.deliver()
    whole = await scene.get(opened.id)
    assert whole.incident.HasField("resolve_time")
    assert [entry.WhichOneof("event") for entry in whole.timeline].count("alert") == 2
    first = whole.timeline[0].status_change
    assert first.check_log.evidence.steps[0].text == "refused"
    told = [entry.alert for entry in whole.timeline if entry.HasField("alert")]
    assert [(alert.contact_id, alert.attempts[0].outcome) for alert in told] == [(contact, "accepted")] * 2
    over = await refusal(scene.acknowledge(opened.id))
    assert over.code is StatusCode.FAILED_PRECONDITION
    assert await scene.incidents(open=True) == []


async def test_pages_newest_first(scene: Scene) -> None:
    for _ in range(3):
        await scene.outage()
    request = pb.ListIncidentsRequest(page_size=2)
    page = await scene.api.incidents.ListIncidents(request, metadata=scene.api.ann.metadata)
    request.page_token = page.next_page_token
    rest = await scene.api.incidents.ListIncidents(request, metadata=scene.api.ann.metadata)
    ids = [incident.id for incident in (*page.incidents, *rest.incidents)]
    assert (ids, rest.next_page_token) == (sorted(ids, reverse=True), "")


async def test_a_watch_begins_with_what_goes_on_and_misses_nothing_after_its_cursor(scene: Scene) -> None:
    """(I15)"""
    monitor, _ = await scene.outage()
    events = scene.watch()
    first = await anext(events)
    assert first.opened.monitor_id == monitor.id
    assert (await anext(events)).WhichOneof("event") == "heartbeat"
    await scene.acknowledge(first.opened.id)
    noted = await anext(events)
    assert noted.WhichOneof("event") == "acknowledged"
    await scene.desk.see(monitor, UP)
    await scene.desk.see(monitor, DOWN, DOWN)
    again = scene.watch(noted.cursor)
    seen = [await anext(again) for _ in range(2)]
    assert [each.WhichOneof("event") for each in seen] == ["resolved", "opened"]
    assert seen[1].opened.id != first.opened.id


async def test_a_watch_shows_nothing_of_a_transaction_before_the_older_ones_have_ended(scene: Scene) -> None:
    """Two that commit in the other order than they began: a cursor never passes what is yet to come (I15)."""
    one, _ = await scene.outage()
    two, _ = await scene.outage()
    events = scene.watch()
    opened = [await anext(events) for _ in range(2)]
    beat = await anext(events)
    ids = {each.opened.monitor_id: each.opened.id for each in opened}
    note = "UPDATE incidents SET acknowledged_at = now() WHERE id = $1"
    async with scene.api.database.transaction(None) as slow:
        await slow.execute(note, ids[one.id])
        async with scene.api.database.transaction(None) as quick:
            await quick.execute(note, ids[two.id])
        resumed = scene.watch(beat.cursor)
        request = pb.WatchIncidentsRequest(cursor=beat.cursor)
        brief = aiter(scene.api.incidents.WatchIncidents(request, metadata=scene.api.ann.metadata, timeout=0.3))
        with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
            await anext(brief)
    told = [(await anext(resumed)).acknowledged.monitor_id for _ in range(2)]
    assert told == [one.id, two.id]


async def test_a_cursor_of_somebody_else_is_no_cursor(scene: Scene) -> None:
    await scene.outage()
    events = scene.watch()
    assert (await anext(events)).cursor == "", "the beginning is not complete yet"
    cursor = (await anext(events)).cursor
    for wrong in ("x", cursor[:-2]):
        refused = await refusal(anext(scene.watch(wrong)))
        assert refused.reason == "INVALID_CURSOR"
    request = pb.WatchIncidentsRequest(cursor=cursor)
    bobs = aiter(scene.api.incidents.WatchIncidents(request, metadata=scene.api.bob.metadata, timeout=5))
    assert (await refusal(anext(bobs))).reason == "INVALID_CURSOR"


async def test_the_history_tells_what_became_of_each_alert(scene: Scene) -> None:
    monitor, contact = await scene.outage()
    await scene.desk.deliver(NEVER)
    (dead,) = await scene.alerts(states=[alert_pb2.ALERT_STATE_DEAD])
    assert (dead.reason, dead.attempt_count, dead.channel) == ("smtp.550", 1, "email")
    assert await scene.alerts(contact_id=contact, kinds=[contact_pb2.ALERT_KIND_UP]) == []
    request = alert_service_pb2.GetAlertRequest(id=dead.id)
    whole = (await scene.api.alerts.GetAlert(request, metadata=scene.api.ann.metadata)).alert
    assert [(one.number, one.outcome, one.detail) for one in whole.attempts] == [(1, "permanent", "no such user")]
    why = await scene.explain(monitor, contact)
    assert (why.told, "given up after 1 attempts (smtp.550)" in why.reasons[-1]) == (False, True)


async def test_what_was_given_up_is_tried_again_and_tells_what_is_true_now(scene: Scene) -> None:
    monitor, _ = await scene.outage()
    await scene.desk.deliver(NEVER)
    await scene.desk.world.rows("UPDATE alert_contacts SET disabled_at = NULL, disabled_reason = NULL RETURNING id")
    await scene.desk.see(monitor, UP)
    await scene.desk.deliver()
    (dead,) = await scene.alerts(states=[alert_pb2.ALERT_STATE_DEAD])
    request = alert_service_pb2.RetryDeliveryRequest(id=dead.id)
    revived = (await scene.api.alerts.RetryDelivery(request, metadata=scene.api.ann.metadata)).alert
    assert revived.state == alert_pb2.ALERT_STATE_PENDING
    scene.desk.later(60)
    (notice,) = await scene.desk.deliver()
    assert notice.kind.value == "outage_over"
    again = await refusal(scene.api.alerts.RetryDelivery(request, metadata=scene.api.ann.metadata))
    assert again.code is StatusCode.FAILED_PRECONDITION


async def test_why_nothing_was_sent(scene: Scene) -> None:
    monitor, contact = await scene.outage(kinds=["up"])
    stranger = await scene.desk.world.contact()
    assert "does not want to know of DOWN" in (await scene.explain(monitor, contact)).reasons[-1]
    assert "SetAlertConfig" in (await scene.explain(monitor, stranger)).reasons[-1]
    waiting, second = await scene.outage(escalate_after_s=600)
    why = await scene.explain(waiting, second)
    assert "waits until" in why.reasons[-1]
    assert why.alerts[0].kind == contact_pb2.ALERT_KIND_ESCALATION


async def test_the_export_is_csv_that_no_spreadsheet_runs(scene: Scene) -> None:
    monitor, contact = await scene.outage()
    await scene.desk.deliver()
    await scene.desk.world.rows("UPDATE alert_contacts SET name = $1 RETURNING id", '=HYPERLINK("x"),\n"y"')
    request = alert_service_pb2.ExportAlertsRequest()
    stream = scene.api.alerts.ExportAlerts(request, metadata=scene.api.ann.metadata)
    text = b"".join([part.chunk async for part in stream]).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["contact_name"] == '\'=HYPERLINK("x"),\n"y"'
    assert (row["kind"], row["state"], row["monitor_id"]) == ("down", "sent", str(monitor.id))
    empty = alert_service_pb2.ExportAlertsRequest(filter={"kinds": [contact_pb2.ALERT_KIND_UP]})
    parts = [part.chunk async for part in scene.api.alerts.ExportAlerts(empty, metadata=scene.api.ann.metadata)]
    assert parts[0].startswith(b"id,monitor_id")
    assert contact
