"""The client's calls of alerting, and monitorctl's apply, against the real server and its stores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from monitord.domain.check import Verdict
from monitord_client import (
    Acknowledged,
    AlertSettings,
    Client,
    Contact,
    EmailContact,
    FailedPreconditionError,
    Heartbeat,
    InvalidArgumentError,
    NotFoundError,
    Opened,
    Resolved,
    ResourceExhaustedError,
    SlackContact,
    alert_filter,
)
from monitord_client.monitorctl.applying import Applier, Outcome
from monitord_client.monitorctl.manifest import read_manifest
from monitord_client.v1 import alert_pb2, contact_pb2
from monitord_client.v1 import monitor_service_pb2 as apply_pb
from tests.integration.alerting.conftest import NEVER, Desk
from tests.integration.ledger.conftest import World, running
from tests.support.rpc_server import Api

DOWN, UP = Verdict.DOWN, Verdict.UP
HOOK = "https://hooks.slack.com/services/T0/B0/x"
FILE = """
contacts:
  - {name: ann, email: {address: ann@example.org}, time_zone: Europe/Berlin, default_settings: {delay: 1m}}
  - {name: ops, slack: {webhook_url: env:HOOK}}
  - name: hook
    webhook: {url: https://a.example/x, headers: [{name: X, value: y}, {name: Z, value: env:HOOK, secret: true}]}
  - {name: chat, telegram: {bot_token: env:TOKEN, chat_id: "-100123", topic_id: 7}}
  - {name: duty, pagerduty: {routing_key: env:KEY}}
monitors:
  - name: shop
    http: {url: https://shop.example.org/}
    alerts:
      - ops
      - {contact: duty, escalate_after: 10m, slow_threshold: 800ms, quiet_hours: {start: "22:00", end: "07:00"}}
"""
ENVIRONMENT = {"HOOK": HOOK, "TOKEN": "123456:ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "KEY": "0123456789abcdef" * 2}


@pytest.fixture
async def client(api: Api) -> AsyncIterator[Client]:
    async with Client(f"127.0.0.1:{api.port}", api_key=api.ann.bearer) as opened:
        yield opened


@pytest.fixture
async def desk(api: Api) -> AsyncIterator[Desk]:
    made = Desk(World(api.database, api.ann.principal.org_id))
    async with running(made.ledger):
        yield made


async def test_the_life_of_a_contact(api: Api, client: Client) -> None:
    made = await client.create_contact(Contact(name="ann", email=EmailContact(address="ann@example.org")))
    code = (await api.mailbox.next()).code
    with pytest.raises(ResourceExhaustedError):
        await client.send_confirmation(made.id)  # told at once, and not after a minute of trying
    with pytest.raises(FailedPreconditionError):
        await client.test_contact(made.id)
    assert (await client.confirm_contact(made.id, code)).HasField("verify_time")
    assert (await client.test_contact(made.id)).accepted
    assert (await client.unsubscribe_contact(made.id)).disabled_reason
    made.name = "anna"
    made.etag = ""
    assert (await client.update_contact(made, fields=["name"])).name == "anna"
    assert [contact.name async for contact in client.list_contacts()] == ["anna"]
    await client.delete_contact(made.id)
    with pytest.raises(NotFoundError):
        await client.get_contact(made.id)


async def test_who_is_told_what(api: Api, client: Client) -> None:
    monitor = await api.create()
    contact = await client.create_contact(Contact(name="ops", slack=SlackContact(webhook_url=HOOK)))
    wish = AlertSettings(kinds=[contact_pb2.ALERT_KIND_DOWN])
    assert (await client.set_alert_config(monitor.id, contact.id, wish)).settings.active
    assert [config.contact_id async for config in client.list_alert_configs(monitor_id=monitor.id)] == [contact.id]
    await client.delete_alert_config(monitor.id, contact.id)
    with pytest.raises(NotFoundError):
        await client.delete_alert_config(monitor.id, contact.id)


async def test_an_outage_as_its_readers_see_it(client: Client, desk: Desk) -> None:
    monitor = await desk.monitor()
    contact = await desk.world.contact(monitor)
    await desk.see(monitor, DOWN, DOWN)
    async with asyncio.timeout(20), aclosing(client.watch_incidents(heartbeats=True)) as events:
        opened = await anext(events)
        assert isinstance(opened, Opened)
        assert isinstance(await anext(events), Heartbeat)
        await client.acknowledge_incident(opened.incident.id)
        noted = await anext(events)
    assert isinstance(noted, Acknowledged)
    await desk.deliver(NEVER)
    await desk.see(monitor, UP)
    async with asyncio.timeout(20), aclosing(client.watch_incidents(cursor=noted.cursor)) as events:
        assert isinstance(await anext(events), Resolved)
    assert [incident.id async for incident in client.list_incidents(is_open=False)] == [opened.incident.id]
    whole = await client.get_incident(opened.incident.id)
    assert {entry.WhichOneof("event") for entry in whole.timeline} == {"status_change", "acknowledgement", "alert"}
    which = alert_filter(contact_id=contact, states=[alert_pb2.ALERT_STATE_DEAD])
    (dead,) = [alert async for alert in client.list_alerts(which)]
    assert (await client.get_alert(dead.id)).attempts[0].code == "smtp.550"
    table = b"".join([chunk async for chunk in client.export_alerts(which)]).decode().splitlines()
    assert [line.split(",")[0] for line in table] == ["id", str(dead.id)]
    assert not (await client.explain_alert(monitor.id, contact)).told
    assert (await client.retry_delivery(dead.id)).state == alert_pb2.ALERT_STATE_PENDING
    with pytest.raises(FailedPreconditionError):
        await client.retry_delivery(dead.id)


async def apply(client: Client, text: str, *, prune: bool = False, dry_run: bool = False) -> Outcome:
    manifest = read_manifest([("m.yaml", text)], ENVIRONMENT)
    return await Applier(client, manifest, prune=prune, dry_run=dry_run).run()


async def test_a_file_is_applied_once_and_then_changes_nothing(client: Client) -> None:
    """Every kind of channel, with the defaults that the real server fills in."""
    first = await apply(client, FILE)
    created = apply_pb.APPLY_ACTION_CREATED
    assert {done.action for done in (*first.contacts, *first.monitors, *first.alerts)} == {created}
    before = {contact.name: contact.etag async for contact in client.list_contacts()}
    again = await apply(client, FILE)
    unchanged = apply_pb.APPLY_ACTION_UNCHANGED
    assert {done.action for done in (*again.contacts, *again.monitors, *again.alerts)} == {unchanged}
    assert {contact.name: contact.etag async for contact in client.list_contacts()} == before
    told = {contact.name for contact in [each async for each in client.list_contacts()]}
    assert told == {"ann", "ops", "hook", "chat", "duty"}
    assert len([config async for config in client.list_alert_configs()]) == 3, "ann is told by her defaults"
    pruned = await apply(client, FILE.replace("  - {name: chat, ", "  # {"), prune=True)
    removed = [done.name for done in (*pruned.contacts, *pruned.alerts) if done.action == apply_pb.APPLY_ACTION_REMOVED]
    assert removed == ["chat", "ann"]


async def test_what_the_server_refuses_keeps_its_place_in_the_file(client: Client) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await apply(client, FILE.replace("chat_id: ", "chat_id: x"))
    assert [violation.field for violation in refused.value.violations] == ["contacts[3].telegram.chat_id"]
    with pytest.raises(InvalidArgumentError) as refused:
        await apply(client, FILE.replace("escalate_after: 10m", "escalate_after: 9d"))
    assert [violation.field for violation in refused.value.violations] == ["monitors[0].alerts[1].escalate_after"]
