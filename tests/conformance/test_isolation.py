"""(T9): every method with every field that names something, called as another user."""

import gzip
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode

from monitord.identity.sessions import SignIn
from monitord.storage.database import Database
from monitord.v1 import (
    account_service_pb2,
    auth_pb2,
    auth_service_pb2,
    check_log_service_pb2,
    contact_pb2,
    contact_service_pb2,
    heartbeat_check_pb2,
    maintenance_pb2,
    maintenance_service_pb2,
    monitor_service_pb2,
    organisation_pb2,
    organisation_service_pb2,
)
from tests.conformance.test_contract import OURS, methods, path_of
from tests.integration.identity.conftest import ADMIN, PASSWORD
from tests.support.rpc_server import Api, refusal

Path = tuple[str, ...]

IGNORED = {
    ("CreateOrganisation", ("request_id",)),
    # "Ignored in CreateMonitor and ApplyMonitors": what they name by it must not be touched, see below.
    ("CreateMonitor", ("monitor", "id")),
    ("ApplyMonitors", ("monitors", "id")),
    # A UUID that the caller makes up; it is the caller's own by its key in the store.
    ("CreateMonitor", ("request_id",)),
    ("ApplyMonitors", ("request_id",)),
    ("CreateApiKey", ("request_id",)),
    ("CreateMaintenanceWindow", ("window", "id")),
    # With a monitor of one's own: see tests/integration/rpc/test_monitors.py.
    ("UpdateMonitor", ("monitor", "parent_ids")),
    # A trial is of a check alone; what the monitor would depend on isn't looked at.
    ("TestMonitor", ("monitor", "parent_ids")),
    # Nor at what it would be judged by: a group can't be tried out.
    ("TestMonitor", ("monitor", "group", "monitor_ids")),
    # With a group of one's own: see tests/integration/rpc/test_groups.py.
    ("UpdateMonitor", ("monitor", "group", "monitor_ids")),
    # With a window of one's own: see tests/integration/rpc/test_maintenance.py.
    ("UpdateMaintenanceWindow", ("window", "monitor_ids")),
    ("CreateMaintenanceWindow", ("request_id",)),
    ("CreateContact", ("contact", "id")),
    ("CreateContact", ("request_id",)),
    # Of a row of one's own monitor: tested with the monitor's id.
    ("GetCheckLog", ("sequence",)),
}
NOT_OURS = {"last_check", "user", "client_id", "chat_id", "topic_id"}
"""Output only (a user is whoever asks); who a target knows its caller as; and what Telegram calls a chat."""


def named(method: MethodDescriptor) -> Iterator[Path]:
    """Every path of a request that names something: a new field does so by being called after what it names."""
    yield from _named(method.input_type.fields, ())


def _named(fields: Any, above: Path) -> Iterator[Path]:
    for field in fields:
        path = (*above, field.name)
        if field.name in NOT_OURS:
            continue
        if field.name in ("id", "sequence") or field.name.endswith(("_id", "_ids")):
            yield path
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            yield from _named(field.message_type.fields, path)


EVERY = [(method, path) for method in methods(OURS) for path in named(method)]
FOREIGN = [(method, path) for method, path in EVERY if (method.name, path) not in IGNORED]


def filled(message: Message, path: Path, value: object) -> None:
    name, *rest = path
    field: FieldDescriptor | Any = message.DESCRIPTOR.fields_by_name[name]
    if rest:
        inner = getattr(message, name)
        filled(inner.add() if field.is_repeated else inner, tuple(rest), value)
    elif field.is_repeated:
        getattr(message, name).append(value)
    else:
        setattr(message, name, value)


def request_of(method: MethodDescriptor, path: Path, value: object) -> Any:
    """A request that is right but for whose thing it names."""
    request: Any = GetMessageClass(method.input_type)()
    filled(request, path, value)
    if method.name == "GetCheckLog":
        request.sequence = 1
    if method.name in ("UpdateMonitor", "TestMonitor", "CreateMonitor"):
        request.monitor.name = "bob's now"
        if "group" not in path:
            request.monitor.http.url = "https://example.net/"
    if method.name in ("CreateMaintenanceWindow", "UpdateMaintenanceWindow"):
        request.window.name = "bob's now"
        request.window.recurring.cron.expression = "0 4 * * *"
        request.window.recurring.duration.seconds = 3600
    if method.name in ("CreateContact", "UpdateContact"):
        request.contact.name = "bob's now"
        request.contact.webhook.url = "https://example.net/"
    if method.name == "ConfirmContact":
        request.code = "12345678"
    if method.name == "UpdateMember":
        request.role = organisation_pb2.ROLE_VIEWER
    if method.name == "ExplainAlert":
        request.monitor_id, request.contact_id = request.monitor_id or 1, request.contact_id or 1
    if method.name in ("SetAlertConfig", "DeleteAlertConfig"):
        pair = request.config if method.name == "SetAlertConfig" else request
        pair.monitor_id, pair.contact_id = pair.monitor_id or 1, pair.contact_id or 1
    if method.name == "ApplyMonitors":
        request.monitors[0].name = "bob's now"
    if method.name == "ApplyMonitors" and "group" not in path:
        request.monitors[0].http.url = "https://example.net/"
    return request


async def called(api: Api, method: MethodDescriptor, request: Any) -> Any:
    path = path_of(method)
    answers = GetMessageClass(method.output_type)
    if method.server_streaming:
        stream: Any = api.channel.unary_stream(path, type(request).SerializeToString, answers.FromString)
        return await anext(aiter(stream(request, metadata=api.bob.metadata, timeout=20)))
    unary: Any = api.channel.unary_unary(path, type(request).SerializeToString, answers.FromString)
    return await unary(request, metadata=api.bob.metadata, timeout=20)


async def contents(database: Database) -> dict[str, list[str]]:
    async with database.connection() as held:
        tables = await held.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {
            name: sorted(str(row) for row in await held.fetch(f'SELECT t::text FROM "{name}" AS t'))
            for (name,) in tables
        }


async def things_of_ann(api: Api) -> dict[str, object]:
    """What belongs to Ann, by the last part of the path that would name it."""
    monitor = await api.create(labels={"a": "b"})
    async with api.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO monitor_logs (org_id, monitor_id, seq, position, shard, trigger, verdict, counted, "
            "monitor_version, scheduled_at, checked_at) VALUES ($1, $2, 1, 1, 0, 1, 1, true, 1, now(), now())",
            api.ann.principal.org_id,
            monitor.id,
        )
    request = auth_service_pb2.CreateApiKeyRequest(display_name="ann's", scope=auth_pb2.SCOPE_READ)
    key = (await api.auth.CreateApiKey(request, metadata=api.ann.metadata)).api_key
    signed_in = await api.identity.sessions.login(ADMIN, PASSWORD, "192.0.2.1")
    sessions = await api.accounts.ListSessions(account_service_pb2.ListSessionsRequest(), metadata=api.ann.metadata)
    assert signed_in
    window = maintenance_pb2.MaintenanceWindow(name="ann's")
    window.recurring.cron.expression, window.recurring.duration.seconds = "0 3 * * *", 3600
    made = maintenance_service_pb2.CreateMaintenanceWindowRequest(window=window)
    stored = (await api.maintenance.CreateMaintenanceWindow(made, metadata=api.ann.metadata)).window
    wish = heartbeat_check_pb2.HeartbeatCheck(period=Duration(seconds=60))
    job = await api.create(name="ann's job", http=None, heartbeat=wish)
    asked = contact_service_pb2.CreateContactRequest(contact=contact_pb2.Contact(name="ann's"))
    asked.contact.email.address = "ann@example.org"
    contact = (await api.contacts.CreateContact(asked, metadata=api.ann.metadata)).contact
    await api.mailbox.next()
    outage = await outage_of(api, monitor.id, contact.id)
    team = organisation_service_pb2.CreateOrganisationRequest(display_name="ann's")
    organisation = (await api.organisations.CreateOrganisation(team, metadata=session_of(signed_in))).organisation
    there = (*session_of(signed_in), ("x-monitord-organisation", str(organisation.id)))
    guest = organisation_service_pb2.InviteMemberRequest(email="guest@example.org", role=organisation_pb2.ROLE_VIEWER)
    invitation = (await api.organisations.InviteMember(guest, metadata=there)).invitation
    return outage | {
        "organisation": organisation.id, "invitation": invitation.id, "member": api.ann.principal.user_id,
        "session": sessions.sessions[0].id,
        "monitor": monitor.id, "key": key.id, "window": stored.id, "job": job.id, "contact": contact.id,
    }  # fmt: skip


def session_of(signed_in: SignIn) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {signed_in.tokens.access_token}"),)


async def outage_of(api: Api, monitor_id: int, contact_id: int) -> dict[str, object]:
    """An incident, with an alert that was given up."""
    org_id = api.ann.principal.org_id
    async with api.database.transaction() as tx:
        change = await tx.fetchval(
            "INSERT INTO monitor_transitions (org_id, monitor_id, before, after, at) VALUES ($1, $2, 3, 5, now()) "
            "RETURNING id", org_id, monitor_id,
        )  # fmt: skip
        incident = await tx.fetchval(
            "INSERT INTO incidents (org_id, monitor_id, opened_at, opened_by) VALUES ($1, $2, now(), $3) RETURNING id",
            org_id, monitor_id, change,
        )  # fmt: skip
        alert = await tx.fetchval(
            "INSERT INTO alerts (org_id, transition_id, monitor_id, contact_id, incident_id, kind, state) "
            "VALUES ($1, $2, $3, $4, $5, 'down', 'dead') RETURNING id",
            org_id, change, monitor_id, contact_id, incident,
        )  # fmt: skip
    return {"incident": incident, "alert": alert}


def thing_for(method: MethodDescriptor, path: Path) -> str:
    if "ApiKey" in method.name:
        return "key"
    if path[-1] == "user_id":
        return "member"
    if "Invitation" in method.name:
        return "invitation"
    if "Organisation" in method.name:
        return "organisation"
    if method.name == "RevokeSession":
        return "session"
    if "Ping" in method.name:
        return "job"
    if path[-1] == "incident_id" or ("Incident" in method.name and path[-1] == "id"):
        return "incident"
    if path[-1] == "id" and method.name in ("GetAlert", "RetryDelivery"):
        return "alert"
    if path[-1] == "contact_id" or ("Contact" in method.name and path[-1] == "id"):
        return "contact"
    return "window" if "MaintenanceWindow" in method.name and path[-1] == "id" else "monitor"


def test_the_walk_finds_what_it_should() -> None:
    found = {(method.name, ".".join(path)) for method, path in FOREIGN}
    assert found >= {
        ("GetMonitor", "id"),
        ("UpdateMonitor", "monitor.id"),
        ("TestMonitor", "monitor.id"),
        ("TailCheckLogs", "monitor_ids"),
        ("ListCheckLogs", "monitor_id"),
        ("RevokeApiKey", "id"),
        ("Ping", "monitor_id"),
        ("ListPings", "monitor_id"),
    }
    assert {(method.name, path) for method, path in EVERY} >= IGNORED


async def test_nobody_reaches_what_is_anothers(api: Api) -> None:
    things = await things_of_ann(api)
    before = await contents(api.database)
    for method, path in FOREIGN:
        thing = things[thing_for(method, path)]
        refused = await refusal(called(api, method, request_of(method, path, thing)))
        assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND"), (method.full_name, path)
        assert "ann" not in refused.message
    assert await contents(api.database) == before
    assert api.engine.checked == []
    assert api.engine.tested == []


async def test_an_id_that_is_ignored_touches_nothing_of_anothers(api: Api) -> None:
    things = await things_of_ann(api)
    org_id = api.ann.principal.org_id
    before = await api.store.get(org_id, int(str(things["monitor"])))
    for name in ("CreateMonitor", "ApplyMonitors"):
        method = monitor_service_pb2.DESCRIPTOR.services_by_name["MonitorService"].methods_by_name[name]
        path = ("monitor", "id") if name == "CreateMonitor" else ("monitors", "id")
        await called(api, method, request_of(method, path, things["monitor"]))
    assert await api.store.get(org_id, int(str(things["monitor"]))) == before


async def test_what_lists_lists_only_what_is_ones_own(api: Api) -> None:
    await things_of_ann(api)
    monitors = await api.monitors.ListMonitors(monitor_service_pb2.ListMonitorsRequest(), metadata=api.bob.metadata)
    keys = await api.auth.ListApiKeys(auth_service_pb2.ListApiKeysRequest(), metadata=api.bob.metadata)
    listing = maintenance_service_pb2.ListMaintenanceWindowsRequest()
    windows = await api.maintenance.ListMaintenanceWindows(listing, metadata=api.bob.metadata)
    assert (len(monitors.monitors), len(keys.api_keys), len(windows.windows)) == (0, 0, 0)
    session = (await api.identity.sessions.login("bob@example.org", PASSWORD, "192.0.2.9")).tokens
    everything = api.accounts.ExportAccount(
        account_service_pb2.ExportAccountRequest(), metadata=(("authorization", f"Bearer {session.access_token}"),)
    )
    exported = gzip.decompress(b"".join([answer.chunk async for answer in everything]))
    assert b"bob@example.org" in exported
    assert b"ann" not in exported
    contacts = await api.contacts.ListContacts(contact_service_pb2.ListContactsRequest(), metadata=api.bob.metadata)
    pairs = await api.contacts.ListAlertConfigs(
        contact_service_pb2.ListAlertConfigsRequest(), metadata=api.bob.metadata
    )
    assert (len(contacts.contacts), len(pairs.configs)) == (0, 0)
    request = check_log_service_pb2.TailCheckLogsRequest(last=100)
    tail = api.check_logs.TailCheckLogs(request, metadata=api.bob.metadata, timeout=20)
    # What is stored comes first.
    assert (await anext(aiter(tail))).WhichOneof("event") == "heartbeat"
    tail.cancel()


async def test_a_request_id_is_ones_own(api: Api) -> None:
    """(I14), (T9): the same UUID from two users makes two things, and shows neither the other's."""
    uuid = "6f1d3a5e-8a1c-4a53-9d5b-0c1a2b3c4d5e"
    request = monitor_service_pb2.CreateMonitorRequest(request_id=uuid)
    request.monitor.name = "same"
    request.monitor.http.url = "https://example.org/"
    first = await api.monitors.CreateMonitor(request, metadata=api.ann.metadata)
    second = await api.monitors.CreateMonitor(request, metadata=api.bob.metadata)
    assert first.monitor.id != second.monitor.id
