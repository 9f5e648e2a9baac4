"""The audit log: every change in the transaction of the change, and nothing of a secret (T15)."""

import asyncpg
import pytest
from google.protobuf.json_format import MessageToDict

from monitord.domain.instant import DAY
from monitord.identity.actor import Actor, current_actor
from monitord.storage.audit_log import AuditLog
from monitord.storage.monitors import wall_clock
from monitord.v1 import audit_service_pb2 as pb
from monitord.v1 import (
    auth_pb2,
    auth_service_pb2,
    contact_pb2,
    contact_service_pb2,
    monitor_pb2,
    monitor_service_pb2,
)
from tests.integration.identity.conftest import ADMIN, PASSWORD
from tests.support.rpc_server import Api, User, refusal

SECRET = "s3cret-of-the-monitor"


async def events(api: Api, user: User | None = None, **query: object) -> list[pb.AuditEvent]:
    request = pb.ListAuditEventsRequest(**query)  # type: ignore[arg-type]
    return list((await api.audit.ListAuditEvents(request, metadata=(user or api.ann).metadata)).events)


async def test_a_change_is_told_with_who_and_what_it_was_and_without_secrets(api: Api) -> None:
    headers = [{"name": "X-Token", "value": SECRET, "secret": True}]
    monitor = await api.create(http={"url": "https://example.org/", "headers": headers})
    change = monitor_service_pb2.UpdateMonitorRequest(monitor=monitor_pb2.Monitor(id=monitor.id, name="renamed"))
    change.monitor.http.headers.add(name="X-Token", value=f"{SECRET}2", secret=True)
    change.monitor.http.url = "https://example.org/"
    await api.monitors.UpdateMonitor(change, metadata=api.ann.metadata)
    gone = monitor_service_pb2.DeleteMonitorRequest(id=monitor.id)
    await api.monitors.DeleteMonitor(gone, metadata=api.ann.metadata)
    deleted, changed, created = await events(api, kinds=["monitor"])
    assert [event.action for event in (created, changed, deleted)] == ["created", "changed", "deleted"]
    assert changed.method == "/monitord.v1.MonitorService/UpdateMonitor"
    assert (changed.user_email, changed.credential[:4], changed.address) == (ADMIN, "key:", "127.0.0.1")
    assert MessageToDict(changed.before) == {"name": "shop", "secrets": "***"}
    assert MessageToDict(changed.after) == {"name": "renamed", "secrets": "***"}
    assert (created.thing, deleted.thing) == (str(monitor.id), str(monitor.id))
    assert not deleted.HasField("after")
    assert SECRET not in str(await events(api))


async def test_contacts_keys_and_sign_ins(api: Api) -> None:
    wish = contact_pb2.Contact(name="hook", webhook={"url": "https://example.org/", "signing_key": SECRET})
    request = contact_service_pb2.CreateContactRequest(contact=wish)
    await api.contacts.CreateContact(request, metadata=api.ann.metadata)
    key = auth_service_pb2.CreateApiKeyRequest(display_name="ci", scope=auth_pb2.SCOPE_READ)
    made = await api.auth.CreateApiKey(key, metadata=api.ann.metadata)
    revoke = auth_service_pb2.RevokeApiKeyRequest(id=made.api_key.id)
    await api.auth.RevokeApiKey(revoke, metadata=api.ann.metadata)
    login = auth_service_pb2.LoginRequest(email=ADMIN, password=PASSWORD)
    session = await api.auth.Login(login)
    await api.auth.Logout(auth_service_pb2.LogoutRequest(refresh_token=session.tokens.refresh_token))
    told = [(event.action, event.kind) for event in reversed(await events(api))]
    assert told[-5:] == [
        ("created", "contact"), ("created", "api_key"), ("deleted", "api_key"), ("signed_in", "session"),
        ("signed_out", "session"),
    ]  # fmt: skip
    everything = str(await events(api))
    assert SECRET not in everything
    assert made.secret not in everything


async def test_a_wrong_password_is_noted_for_the_accounts_owner(api: Api) -> None:
    await AuditLog(api.database).sign_in_failed(ADMIN.upper())
    await AuditLog(api.database).sign_in_failed("nobody@example.org")
    (failed,) = await events(api, kinds=["user"], thing=str(api.ann.principal.user_id), page_size=1)
    assert (failed.action, failed.user_id) == ("sign_in_failed", 0)


async def test_what_changes_nothing_writes_nothing_and_what_fails_neither(api: Api) -> None:
    monitor = await api.create()
    before = await events(api)
    same = monitor_service_pb2.UpdateMonitorRequest(monitor=monitor_pb2.Monitor(id=monitor.id, name="shop"))
    await api.monitors.UpdateMonitor(same, metadata=api.ann.metadata)
    assert (await refusal(api.create())).reason == "ALREADY_EXISTS"
    assert await events(api) == before


async def test_nobody_sees_anothers_and_nobody_changes_any(api: Api) -> None:
    """(T9)"""
    await api.create()
    assert not [event for event in await events(api, api.bob) if event.kind == "monitor"]
    for statement in ("UPDATE audit_events SET action = 'x'", "DELETE FROM audit_events"):
        with pytest.raises(asyncpg.PostgresError, match="never changed"):
            async with api.database.transaction() as tx:
                await tx.execute(statement)
    read = auth_service_pb2.CreateApiKeyRequest(display_name="reader", scope=auth_pb2.SCOPE_WRITE)
    key = await api.auth.CreateApiKey(read, metadata=api.ann.metadata)
    reader = User(api.ann.principal, key.secret)
    assert (await refusal(events(api, reader))).reason == "PERMISSION_DENIED"


async def test_pages_and_retention(api: Api) -> None:
    for number in range(3):
        await api.create(name=f"m{number}")
    request = pb.ListAuditEventsRequest(kinds=["monitor"], page_size=2)
    page = await api.audit.ListAuditEvents(request, metadata=api.ann.metadata)
    request.page_token = page.next_page_token
    rest = await api.audit.ListAuditEvents(request, metadata=api.ann.metadata)
    assert [event.thing for event in (*page.events, *rest.events)] == ["3", "2", "1"]
    log = AuditLog(api.database)
    assert await log.purge(wall_clock(), 1) == 0
    assert await log.purge(wall_clock() + 2 * DAY, 1) > 3
    assert await events(api) == []


async def test_a_text_of_the_callers_is_a_value_and_no_more(api: Api) -> None:
    token = current_actor.set(Actor(address="'; DROP TABLE monitors; --", method='"\\u0000"'))
    try:
        async with api.database.transaction() as tx:
            await tx.execute("UPDATE users SET fullname = 'Ann' WHERE id = $1", api.ann.principal.user_id)
    finally:
        current_actor.reset(token)
    (event,) = await events(api, kinds=["user"], page_size=1)
    assert event.address.startswith("'; DROP")
