"""Leaving through the API: an export of everything, a time of grace, and then nothing is left."""

import asyncio
import base64
import contextlib
import datetime
import gzip
import json
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from grpc import StatusCode

from monitord.domain.check import Evidence
from monitord.domain.errors import ResourceExhaustedError, UnauthenticatedError
from monitord.domain.instant import DAY, MINUTE, to_datetime
from monitord.identity.vault import Vault
from monitord.rpc.account_export import AccountFile
from monitord.rpc.accounts import AccountService
from monitord.rpc.context import current_principal
from monitord.rpc.engine import Engine
from monitord.storage.account_export import AccountExport
from monitord.storage.janitor import Janitor
from monitord.v1 import account_service_pb2 as pb
from monitord.v1 import (
    auth_pb2,
    auth_service_pb2,
    check_log_service_pb2,
    contact_pb2,
    contact_service_pb2,
    monitor_service_pb2,
    organisation_pb2,
    organisation_service_pb2,
)
from tests.integration.identity.conftest import ADMIN, PASSWORD
from tests.support.rpc_server import Api, refusal

BOB = "bob@example.org"
CANARY = "canary-5b7e21c4"
NO_CONTEXT: Any = None
Metadata = tuple[tuple[str, str], ...]


def caller(metadata: Metadata) -> Any:
    """Whoever calls so."""
    return SimpleNamespace(metadata=metadata)


async def signed_in(api: Api, email: str = BOB) -> Metadata:
    pair = (await api.identity.sessions.login(email, PASSWORD, "192.0.2.9")).tokens
    return (("authorization", f"Bearer {pair.access_token}"),)


async def leave(api: Api, metadata: Metadata | None = None, **fields: Any) -> datetime.datetime:
    wish = {"password": PASSWORD, "confirm_email": BOB, "without_export": True} | fields
    request = pb.DeleteAccountRequest(**wish)
    answer = await api.accounts.DeleteAccount(request, metadata=metadata or api.bob.metadata)
    return answer.delete_time.ToDatetime(tzinfo=datetime.UTC)


async def come_back(api: Api, metadata: Metadata) -> auth_pb2.User:
    return (await api.accounts.CancelAccountDeletion(pb.CancelAccountDeletionRequest(), metadata=metadata)).user


async def user_of(api: Api, metadata: Metadata) -> auth_pb2.User:
    return (await api.auth.GetUser(auth_service_pb2.GetUserRequest(), metadata=metadata)).user


async def export(api: Api, metadata: Metadata | None = None) -> list[dict[str, Any]]:
    stream = api.accounts.ExportAccount(pb.ExportAccountRequest(), metadata=metadata or api.bob.metadata)
    chunks = [answer.chunk async for answer in stream]
    assert all(0 < len(chunk) <= 64 * 1024 for chunk in chunks)
    return read(b"".join(chunks))


def read(file: bytes) -> list[dict[str, Any]]:
    text = gzip.decompress(file)
    lines = [json.loads(line) for line in text.splitlines()]
    summary = lines.pop()
    before, _, _ = text.rstrip(b"\n").rpartition(b"\n")
    assert (summary["kind"], summary["sha256"]) == ("summary", sha256(before + b"\n").hexdigest())
    assert summary["counts"] == Counter(line["kind"] for line in lines)
    return lines


async def exported_at(api: Api) -> object:
    async with api.database.connection() as held:
        return await held.fetchval("SELECT exported_at FROM users WHERE email = $1", BOB)


async def key_of(api: Api, metadata: Metadata) -> Metadata:
    request = auth_service_pb2.CreateApiKeyRequest(display_name="ci", scope=auth_pb2.SCOPE_ADMIN)
    made = await api.auth.CreateApiKey(request, metadata=metadata)
    return (("authorization", f"Bearer {made.secret}"),)


async def team_of(api: Api, metadata: Metadata, name: str) -> Metadata:
    """An organisation of somebody's, and how they call in it."""
    request = organisation_service_pb2.CreateOrganisationRequest(display_name=name)
    made = await api.organisations.CreateOrganisation(request, metadata=metadata)
    return (*metadata, ("x-monitord-organisation", str(made.organisation.id)))


async def let_in(api: Api, there: Metadata, email: str, metadata: Metadata, role: Any) -> None:
    invited = organisation_service_pb2.InviteMemberRequest(email=email, role=role)
    invitation = (await api.organisations.InviteMember(invited, metadata=there)).invitation
    request = organisation_service_pb2.AcceptInvitationRequest(id=invitation.id)
    await api.organisations.AcceptInvitation(request, metadata=metadata)


async def active(api: Api, org_id: int) -> set[str]:
    async with api.database.connection() as held:
        return {row[0] for row in await held.fetch("SELECT name FROM monitors WHERE org_id = $1 AND is_active", org_id)}


async def furnish(api: Api, metadata: Metadata, org_id: int) -> None:
    """Have one of everything that an organisation can hold; what is secret of it is the canary."""
    user = caller(metadata)
    monitor = await api.create(user, http={"url": "https://example.org/bob", "headers": [
        {"name": "X-Token", "value": CANARY, "secret": True}]})  # fmt: skip
    asked = contact_service_pb2.CreateContactRequest(contact=contact_pb2.Contact(name="bob's hook"))
    asked.contact.webhook.url, asked.contact.webhook.signing_key = "https://example.org/hook", CANARY
    contact = (await api.contacts.CreateContact(asked, metadata=metadata)).contact
    pair = contact_service_pb2.SetAlertConfigRequest()
    pair.config.monitor_id, pair.config.contact_id = monitor.id, contact.id
    await api.contacts.SetAlertConfig(pair, metadata=metadata)
    async with api.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO maintenance_windows (org_id, name, schedule, is_active) VALUES ($1, 'night', '{}', true)",
            org_id,
        )
        change = await tx.fetchval(
            "INSERT INTO monitor_transitions (org_id, monitor_id, before, after, at) VALUES ($1, $2, 3, 5, now()) "
            "RETURNING id", org_id, monitor.id,
        )  # fmt: skip
        incident = await tx.fetchval(
            "INSERT INTO incidents (org_id, monitor_id, opened_at, opened_by) VALUES ($1, $2, now(), $3) RETURNING id",
            org_id, monitor.id, change,
        )  # fmt: skip
        alert = await tx.fetchval(
            "INSERT INTO alerts (org_id, transition_id, monitor_id, contact_id, incident_id, kind, state) "
            "VALUES ($1, $2, $3, $4, $5, 'down', 'sent') RETURNING id",
            org_id, change, monitor.id, contact.id, incident,
        )  # fmt: skip
        await tx.execute(
            "INSERT INTO alert_attempts (org_id, alert_id, number, began_at) VALUES ($1, $2, 1, now())", org_id, alert
        )
        await tx.execute(
            "INSERT INTO monitor_logs (org_id, monitor_id, seq, position, shard, trigger, verdict, counted, "
            "monitor_version, scheduled_at, checked_at) SELECT $1, $2, n, n, 0, 1, 1, true, 1, now(), now() "
            "FROM generate_series(1, 1001) AS n", org_id, monitor.id,
        )  # fmt: skip
        evidence = msgspec.msgpack.encode(Evidence(body_excerpt=b"not found"))
        await tx.execute(
            "INSERT INTO check_evidence (org_id, monitor_id, seq, checked_at, evidence) VALUES ($1, $2, 7, now(), $3)",
            org_id, monitor.id, evidence,
        )  # fmt: skip


async def test_an_export_holds_everything_and_no_secret(api: Api) -> None:
    """(T9), (T15)"""
    org_id = api.bob.principal.org_id
    said = pb.CompleteProfileRequest(full_name="Bob B", phone="+49 30 1234567", bio="I watch\nthings")
    user = (await api.accounts.CompleteProfile(said, metadata=api.bob.metadata)).user
    assert (user.full_name, user.bio, user.profile_status) == (
        "Bob B", "I watch\nthings", auth_pb2.PROFILE_STATUS_COMPLETE,
    )  # fmt: skip
    key = await key_of(api, api.bob.metadata)
    await furnish(api, api.bob.metadata, org_id)
    alone = await team_of(api, api.bob.metadata, "bob's team")
    await api.create(caller(alone), name="of bob's team")
    ann = await signed_in(api, ADMIN)
    shared = await team_of(api, ann, "ann's team")
    await let_in(api, shared, BOB, api.bob.metadata, organisation_pb2.ROLE_EDITOR)
    await api.create(caller(shared), name="ann's own")
    guest = organisation_service_pb2.InviteMemberRequest(email="c@example.org", role=organisation_pb2.ROLE_VIEWER)
    await api.organisations.InviteMember(guest, metadata=alone)
    await furnish(api, api.ann.metadata, api.ann.principal.org_id)

    lines = await export(api)

    kinds = Counter(line["kind"] for line in lines)
    assert set(kinds) == {
        *("user", "profile", "membership", "session", "api_key", "organisation", "monitor", "contact", "alert_config"),
        *("maintenance_window", "incident", "transition", "alert", "alert_attempt", "audit_event", "check_log"),
        *("invitation", "evidence"),
    }
    assert (kinds["check_log"], kinds["membership"], kinds["organisation"]) == (1001, 3, 2)
    (profile,) = (line for line in lines if line["kind"] == "profile")
    assert (profile["bio"], profile["is_premium"]) == ("I watch\nthings", False)
    monitors = {line["monitor"]["name"]: line["monitor"] for line in lines if line["kind"] == "monitor"}
    assert set(monitors) == {"shop", "of bob's team"}
    assert monitors["shop"]["http"]["url"] == "https://example.org/bob"
    (evidence,) = (line["evidence"] for line in lines if line["kind"] == "evidence")
    assert base64.b64decode(evidence["body_excerpt"]) == b"not found"
    organisations = {line["id"] for line in lines if line["kind"] == "organisation"}
    assert {line["org_id"] for line in lines if "org_id" in line and line["kind"] != "membership"} == organisations
    text = json.dumps(lines)
    for secret in (CANARY, key[0][1].rpartition("_")[2], "$2b$", "ann's own", *await hashes(api)):
        assert secret not in text
    assert await exported_at(api) is not None


async def hashes(api: Api) -> set[str]:
    """What is kept of secrets, as it could be written."""
    async with api.database.connection() as held:
        found = await held.fetch(
            "SELECT refresh_hash AS kept FROM sessions UNION SELECT secret_hash FROM api_keys "
            "UNION SELECT secrets FROM monitors WHERE secrets IS NOT NULL UNION SELECT token_hash FROM invitations"
        )
    assert len(found) > 5
    return {text for (kept,) in found for text in (kept.hex(), base64.b64encode(kept).decode())}


async def test_a_monitor_of_an_export_can_be_applied(api: Api) -> None:
    made = await api.create(api.bob, labels={"a": "b"}, http={"url": "https://example.org/bob"})
    (line,) = [line for line in await export(api) if line["kind"] == "monitor"]
    request = ParseDict({"monitors": [line["monitor"]]}, monitor_service_pb2.ApplyMonitorsRequest())
    applied = await api.monitors.ApplyMonitors(request, metadata=api.bob.metadata)
    assert [(one.id, one.action) for one in applied.results] == [(made.id, monitor_service_pb2.APPLY_ACTION_UNCHANGED)]


@contextlib.asynccontextmanager
async def exporting(api: Api, service: AccountService) -> AsyncIterator[AsyncGenerator[Any, None]]:
    """An export of Bob's that stands at its first chunk."""
    token = current_principal.set(api.bob.principal)
    try:
        async with contextlib.aclosing(service.ExportAccount(pb.ExportAccountRequest(), NO_CONTEXT)) as export:
            assert len((await anext(export)).chunk) == 64 * 1024
            yield export
    finally:
        current_principal.reset(token)


async def test_an_export_that_is_cut_is_none(api: Api) -> None:
    """By whoever reads it, or by the end of what proved who they are (T12). One at a time for each user."""
    identity, engine = api.identity, Engine(api.engine, api.engine, api.engine)
    file = AccountFile(AccountExport(api.database, Vault([bytes(32)])), identity.authenticator)
    service = AccountService(identity.registration, identity.accounts, identity.deletion, file, engine)
    async with api.database.transaction() as tx:
        # Nothing that can be compressed: more than a chunk of it, on more than a page.
        await tx.execute(
            "INSERT INTO audit_events (org_id, action, kind, thing_id) SELECT $1, 'x', 'user', "
            "md5(n::text) || md5((-n)::text) || md5((n * n)::text) FROM generate_series(1, 3000) AS n",
            api.bob.principal.org_id,
        )
    async with exporting(api, service):
        with pytest.raises(ResourceExhaustedError):
            await anext(service.ExportAccount(pb.ExportAccountRequest(), NO_CONTEXT))
    assert await exported_at(api) is None

    async with exporting(api, service) as export:
        await leave(api)
        with pytest.raises(UnauthenticatedError):
            async for _ in export:
                pass
    assert await exported_at(api) is None


async def test_a_key_or_a_network_that_is_not_allowed_takes_nothing_along(api: Api) -> None:
    """(T9): a key is for its own organisation, and an organisation may be fenced."""
    key = await key_of(api, api.bob.metadata)
    for call in (export(api, key), leave(api, key), come_back(api, key)):
        assert (await refusal(call)).code == StatusCode.PERMISSION_DENIED
    alone = await team_of(api, api.bob.metadata, "bob's team")
    async with api.database.transaction() as tx:
        await tx.execute(
            "UPDATE organisations SET allowed_networks = '{192.0.2.0/24}' WHERE id = $1", int(alone[-1][1])
        )
    refused = await refusal(export(api))
    assert (refused.code, refused.reason) == (StatusCode.PERMISSION_DENIED, "ADDRESS_NOT_ALLOWED")
    assert await exported_at(api) is None


async def test_deleting_asks_for_an_export_and_for_who_it_is(api: Api) -> None:
    for fields, code, says in (
        ({"confirm_email": "eve@example.org"}, StatusCode.FAILED_PRECONDITION, "confirm_email"),
        ({"without_export": False}, StatusCode.FAILED_PRECONDITION, "ExportAccount"),
        ({"password": "wrong horse"}, StatusCode.UNAUTHENTICATED, "wrong"),
        ({"password": ""}, StatusCode.INVALID_ARGUMENT, ""),
    ):
        refused = await refusal(leave(api, **fields))
        assert (refused.code, says in refused.message) == (code, True), refused
    await export(api)
    api.identity.clock.advance(DAY + MINUTE)
    metadata = await signed_in(api)
    assert (await refusal(leave(api, metadata, without_export=False))).code == StatusCode.FAILED_PRECONDITION
    await export(api, metadata)
    assert await leave(api, metadata, without_export=False) == to_datetime(api.identity.clock.now() + 14 * DAY)


async def test_a_wrong_password_counts_as_a_failure_to_sign_in(api: Api) -> None:
    """(T14)"""
    codes = [(await refusal(leave(api, password="wrong horse"))).code for _ in range(12)]
    assert codes[0] == StatusCode.UNAUTHENTICATED
    assert codes[-1] == StatusCode.RESOURCE_EXHAUSTED


async def test_every_credential_and_stream_ends_at_once(api: Api) -> None:
    """(T12)"""
    key = await key_of(api, api.bob.metadata)
    other = await signed_in(api)
    shared = await team_of(api, await signed_in(api, ADMIN), "ann's team")
    await let_in(api, shared, BOB, other, organisation_pb2.ROLE_EDITOR)
    elsewhere = (*other, shared[-1])
    key_elsewhere = await key_of(api, elsewhere)
    tails = [
        api.check_logs.TailCheckLogs(check_log_service_pb2.TailCheckLogsRequest(), metadata=each)
        for each in (other, key, elsewhere, key_elsewhere)
    ]
    async with asyncio.timeout(5):
        for _ in tails:
            await api.feed.opened.acquire()

    await leave(api)

    async with asyncio.timeout(5):
        for tail in tails:
            last = [message async for message in tail][-1]
            assert last.end.reason == check_log_service_pb2.TAIL_END_REASON_UNAUTHENTICATED
    for metadata in (api.bob.metadata, other, key, key_elsewhere):
        assert (await refusal(user_of(api, metadata))).code == StatusCode.UNAUTHENTICATED
    assert (await user_of(api, api.ann.metadata)).email == ADMIN


async def test_who_comes_back_finds_what_was_checked(api: Api) -> None:
    """(I5): the pause is one like any other, and exactly what it paused is resumed."""
    bob, org_id = api.bob, api.bob.principal.org_id
    made = {name: await api.create(bob, name=name) for name in ("one", "two", "three")}
    pause = monitor_service_pb2.PauseMonitorRequest(id=made["two"].id)
    await api.monitors.PauseMonitor(pause, metadata=bob.metadata)
    alone = await team_of(api, bob.metadata, "bob's team")
    await api.create(caller(alone), name="four")
    before = await user_of(api, bob.metadata)
    assert not before.HasField("delete_time")

    until = await leave(api)

    assert api.identity.letters[-1].recipient == BOB
    assert f"{until:%d %B %Y}" in api.identity.letters[-1].paragraphs[0]
    assert await active(api, org_id) == set()
    assert (made["one"].id, 2) in api.engine.settled
    async with api.database.connection() as held:
        open_spans = await held.fetchval("SELECT count(*) FROM monitor_schedules WHERE valid_until IS NULL")
        changes = await held.fetch("SELECT after FROM monitor_transitions WHERE monitor_id = $1", made["one"].id)
    assert (open_spans, [row[0] for row in changes]) == (0, [7])

    again = await signed_in(api)
    assert (await user_of(api, again)).delete_time.ToDatetime(tzinfo=datetime.UTC) == until
    resume = monitor_service_pb2.ResumeMonitorRequest(id=made["one"].id)
    for refused in (
        await refusal(api.create(caller(again), name="five")),
        await refusal(api.monitors.ResumeMonitor(resume, metadata=again)),
        await refusal(key_of(api, again)),
        await refusal(team_of(api, again, "another")),
        await refusal(leave(api, again)),
    ):
        assert (refused.code, "CancelAccountDeletion" in refused.message) == (StatusCode.FAILED_PRECONDITION, True)
    guest = organisation_service_pb2.InviteMemberRequest(email="c@example.org", role=organisation_pb2.ROLE_OWNER)
    there = (*again, alone[-1])
    assert (await refusal(api.organisations.InviteMember(guest, metadata=there))).code == StatusCode.FAILED_PRECONDITION

    assert not (await come_back(api, again)).HasField("delete_time")

    assert await active(api, org_id) == {"one", "three"}
    assert await active(api, int(alone[-1][1])) == {"four"}
    assert (await refusal(come_back(api, again))).code == StatusCode.FAILED_PRECONDITION
    await api.create(caller(again), name="five")
    await key_of(api, again)
    api.identity.clock.advance(15 * DAY)
    assert await api.identity.purge.purge() == 0


async def test_the_only_owner_of_what_is_shared_stays(api: Api) -> None:
    shared = await team_of(api, api.bob.metadata, "Shop & Co")
    ann = await signed_in(api, ADMIN)
    await let_in(api, shared, ADMIN, ann, organisation_pb2.ROLE_EDITOR)
    refused = await refusal(leave(api))
    assert (refused.code, "'Shop & Co'" in refused.message) == (StatusCode.FAILED_PRECONDITION, True)
    owner = organisation_service_pb2.UpdateMemberRequest(
        user_id=api.ann.principal.user_id, role=organisation_pb2.ROLE_OWNER
    )
    await api.organisations.UpdateMember(owner, metadata=shared)
    await leave(api)
    # Who is about to go is no owner to count on.
    there = (*ann, shared[-1])
    gone = organisation_service_pb2.LeaveOrganisationRequest()
    assert (
        await refusal(api.organisations.LeaveOrganisation(gone, metadata=there))
    ).code == StatusCode.FAILED_PRECONDITION
    async with api.database.transaction() as tx:
        await tx.execute("UPDATE users SET role = 'USER'")
    refused = await refusal(leave(api, ann, confirm_email=ADMIN))
    assert (refused.code, "'Shop & Co'" in refused.message) == (StatusCode.FAILED_PRECONDITION, True)


async def test_the_only_administrator_stays(api: Api) -> None:
    ann = await signed_in(api, ADMIN)
    refused = await refusal(leave(api, ann, confirm_email=ADMIN))
    assert (refused.code, "only administrator" in refused.message) == (StatusCode.FAILED_PRECONDITION, True)


async def test_nothing_is_left_after_the_time_of_grace(api: Api) -> None:
    bob, user_id = api.bob, api.bob.principal.user_id
    await furnish(api, bob.metadata, bob.principal.org_id)
    await key_of(api, bob.metadata)
    alone = await team_of(api, bob.metadata, "bob's team")
    await api.create(caller(alone), name="of bob's team")
    shared = await team_of(api, await signed_in(api, ADMIN), "ann's team")
    await let_in(api, shared, BOB, bob.metadata, organisation_pb2.ROLE_EDITOR)
    there = (*bob.metadata, shared[-1])
    await api.create(caller(there), name="made by bob")
    await key_of(api, there)
    waiting = organisation_service_pb2.InviteMemberRequest(email=BOB, role=organisation_pb2.ROLE_VIEWER)
    another = await team_of(api, await signed_in(api, ADMIN), "another")
    await api.organisations.InviteMember(waiting, metadata=another)
    gone = {bob.principal.org_id, int(alone[-1][1])}
    await leave(api)
    again = await signed_in(api)

    api.identity.clock.advance(14 * DAY - MINUTE)
    again = await signed_in(api)
    assert await api.identity.purge.purge() == 0
    api.identity.clock.advance(2 * MINUTE)
    done = await asyncio.gather(api.identity.purge.purge(), api.identity.purge.purge())

    assert sum(done) == 1
    assert (await refusal(user_of(api, again))).code == StatusCode.UNAUTHENTICATED
    assert await rows_of(api, "user_id", [user_id]) == {"audit_events"}
    assert await rows_of(api, "org_id", gone) == {"monitor_purges", "monitor_logs", "check_evidence"}
    async with api.database.connection() as held:
        assert await held.fetchval("SELECT array_agg(email) FROM users") == [ADMIN]
        kept = await held.fetch("SELECT * FROM audit_events WHERE user_id = $1", user_id)
        text = str(await held.fetch("SELECT e::text FROM audit_events AS e"))
        invitations = await held.fetchval("SELECT count(*) FROM invitations")
    assert {event["org_id"] for event in kept} == {int(shared[-1][1])}
    assert BOB not in text
    assert invitations == 0
    assert await active(api, int(shared[-1][1])) == {"made by bob"}
    later = to_datetime(api.identity.clock.now()).timestamp() + 7200
    janitor = Janitor(api.database, retention_days=30, clock=lambda: int(later * 1_000_000))
    await janitor.tidy()
    assert await rows_of(api, "org_id", gone) == set()
    # The address is free.
    await api.identity.add_user(BOB)


async def rows_of(api: Api, column: str, ids: Any) -> set[str]:
    """The tables in which there is a row of one of these."""
    async with api.database.connection() as held:
        tables = await held.fetch(
            "SELECT c.table_name FROM information_schema.columns AS c JOIN information_schema.tables AS t "
            "USING (table_schema, table_name) "
            "WHERE c.table_schema = 'public' AND c.column_name = $1 AND t.table_type = 'BASE TABLE'",
            column,
        )
        statement = 'SELECT EXISTS (SELECT FROM "{}" WHERE {} = ANY($1::bigint[]))'
        found = {name for (name,) in tables if await held.fetchval(statement.format(name, column), list(ids))}
    return {re.sub("_(default|p?[0-9]+)$", "", name) for name in found}


async def test_a_purge_that_died_half_way_is_finished_by_the_next(api: Api) -> None:
    for number in range(3):
        await api.create(api.bob, name=f"m{number}")
    await leave(api)
    api.identity.clock.advance(15 * DAY)
    purge = api.identity.purge
    assert await purge._erase(api.bob.principal.user_id) is not None
    # No way back from here, and nothing of the person is left.
    with pytest.raises(UnauthenticatedError):
        await signed_in(api)
    async with api.database.connection() as held:
        assert BOB not in str(await held.fetch("SELECT u::text FROM users AS u"))
    assert await purge.purge() == 1
    assert await rows_of(api, "user_id", [api.bob.principal.user_id]) == set()


async def test_going_and_coming_back_at_once_leave_one_of_both(api: Api) -> None:
    await api.create(api.bob, name="one")
    org_id = api.bob.principal.org_id
    for _ in range(3):
        metadata = await signed_in(api)
        await asyncio.gather(leave(api, metadata), come_back(api, metadata), return_exceptions=True)
        back = await signed_in(api)
        leaves = (await user_of(api, back)).HasField("delete_time")
        assert await active(api, org_id) == (set() if leaves else {"one"})
        if leaves:
            await come_back(api, back)
        assert await active(api, org_id) == {"one"}


async def test_a_purge_and_coming_back_at_once_leave_all_or_nothing(api: Api) -> None:
    await api.create(api.bob, name="one")
    org_id = api.bob.principal.org_id
    await leave(api)
    api.identity.clock.advance(14 * DAY)
    back = await signed_in(api)
    purged, returned = await asyncio.gather(api.identity.purge.purge(), come_back(api, back), return_exceptions=True)
    if purged == 1:
        assert isinstance(returned, grpc.aio.AioRpcError)
        assert returned.code() == StatusCode.UNAUTHENTICATED
        assert await rows_of(api, "org_id", [org_id]) == {"monitor_purges"}
    else:
        assert not isinstance(returned, BaseException)
        assert await active(api, org_id) == {"one"}


async def test_monitors_that_are_made_while_somebody_leaves_are_paused_or_refused(api: Api) -> None:
    org_id = api.bob.principal.org_id
    made = await asyncio.gather(
        *(api.create(api.bob, name=f"m{number}") for number in range(4)),
        leave(api),
        *(api.create(api.bob, name=f"n{number}") for number in range(4)),
        return_exceptions=True,
    )
    for error in made:
        if isinstance(error, grpc.aio.AioRpcError):
            assert error.code() in (StatusCode.FAILED_PRECONDITION, StatusCode.UNAUTHENTICATED)
    assert await active(api, org_id) == set()


async def test_a_profile_that_is_none_is_told_and_a_bio_is_changed_alone(api: Api) -> None:
    """(T11)"""
    for fields, wrong in (
        ({"full_name": " "}, {"full_name"}),
        ({"full_name": "B", "bio": "x" * 2001, "phone": "call me"}, {"bio", "phone"}),
        ({"full_name": "B", "bio": "a\tb"}, {"bio"}),
        ({"full_name": "B\n"}, {"full_name"}),
    ):
        said = pb.CompleteProfileRequest(**fields)
        refused = await refusal(api.accounts.CompleteProfile(said, metadata=api.bob.metadata))
        assert (refused.code, set(refused.violations)) == (StatusCode.INVALID_ARGUMENT, wrong)
    request = pb.UpdateUserRequest(user=auth_pb2.User(full_name="Bob", bio="new"))
    request.update_mask.paths.append("bio")
    user = (await api.accounts.UpdateUser(request, metadata=api.bob.metadata)).user
    assert (user.full_name, user.bio) == ("", "new")
    request.update_mask.paths[:] = ["delete_time"]
    refused = await refusal(api.accounts.UpdateUser(request, metadata=api.bob.metadata))
    assert set(refused.violations) == {"update_mask"}
