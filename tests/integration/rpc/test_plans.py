"""Plans through the API: what they allow, what is said where they don't, and that nothing half made is left (T17)."""

import asyncio
from typing import Any
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from monitord.v1 import contact_pb2, contact_service_pb2, monitor_pb2, monitor_service_pb2
from monitord.v1 import organisation_pb2 as org
from monitord.v1 import organisation_service_pb2 as pb
from tests.integration.identity.conftest import ADMIN, PASSWORD
from tests.support.connect import MONITORS, bridged
from tests.support.rpc_server import Api, User, refusal
from tests.support.stored import planned


async def usage(api: Api, user: User) -> org.Usage:
    return (await api.organisations.GetUsage(pb.GetUsageRequest(), metadata=user.metadata)).usage


async def names(api: Api) -> set[str]:
    listed = await api.monitors.ListMonitors(monitor_service_pb2.ListMonitorsRequest(), metadata=api.ann.metadata)
    return {monitor.name for monitor in listed.monitors}


def wish(name: str) -> monitor_pb2.Monitor:
    monitor = monitor_pb2.Monitor(name=name)
    monitor.http.url = "https://example.org/"
    return monitor


def creation(name: str) -> monitor_service_pb2.CreateMonitorRequest:
    return monitor_service_pb2.CreateMonitorRequest(monitor=wish(name), request_id=str(uuid4()))


async def test_beyond_the_plan_the_caller_is_told_whose_limit_it_is(api: Api) -> None:
    org_id = api.ann.principal.org_id
    await planned(api.database, org_id, max_monitors=3)
    calls = [api.monitors.CreateMonitor(creation(f"m{number}"), metadata=api.ann.metadata) for number in range(8)]
    ended = await asyncio.gather(*(_outcome(call) for call in calls))
    refused = [end for end in ended if end is not None]
    assert (len(refused), len(await names(api))) == (5, 3)
    assert {(one.code, one.reason, one.retry_s) for one in refused} == {
        (StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", None)
    }
    told = "Monitors: the plan SMALL allows at most 3; there are 3, and one more is asked for."
    assert refused[0].quotas == {f"organisation:{org_id}": told}
    assert refused[0].message == told
    assert refused[0].metadata == {"plan": "SMALL", "organisation_id": str(org_id)}


async def _outcome(call: Any) -> Any:
    try:
        return await refusal(call)
    except AssertionError:
        return None


async def test_a_set_that_does_not_fit_leaves_nothing_and_may_come_again(api: Api) -> None:
    """(I14): a refusal is no answer to keep."""
    await planned(api.database, api.ann.principal.org_id, max_monitors=3)
    request = monitor_service_pb2.ApplyMonitorsRequest(request_id=str(uuid4()))
    request.monitors.extend(wish(f"m{number}") for number in range(4))
    refused = await refusal(api.monitors.ApplyMonitors(request, metadata=api.ann.metadata))
    assert (refused.reason, await names(api)) == ("QUOTA_EXCEEDED", set())
    assert api.engine.settled == []
    await planned(api.database, api.ann.principal.org_id, max_monitors=4)
    await api.monitors.ApplyMonitors(request, metadata=api.ann.metadata)
    assert await names(api) == {"m0", "m1", "m2", "m3"}


async def test_what_there_is_and_may_be(api: Api) -> None:
    bare = await usage(api, api.ann)
    assert bare == org.Usage(
        monitors=org.Quota(used=0),
        contacts=org.Quota(used=0, limit=1000),
        seats=org.Quota(used=1, limit=1000),
        min_interval=Duration(seconds=5),
        retention=Duration(seconds=30 * 86_400),
        rpc_rate=50.0,
    )
    org_id = api.ann.principal.org_id
    await api.create(name="a", active=False)
    await api.create(name="b")
    contact = contact_service_pb2.CreateContactRequest(contact=contact_pb2.Contact(name="desk"))
    contact.contact.webhook.url = "https://example.net/"
    await api.contacts.CreateContact(contact, metadata=api.ann.metadata)
    figures = {"max_monitors": 1, "min_interval_s": 60, "retention_days": 7, "max_contacts": 3, "max_seats": 2}
    await planned(api.database, org_id, **figures, rpc_rate=200.0)
    assert await usage(api, api.ann) == org.Usage(
        plan="SMALL",
        monitors=org.Quota(used=2, limit=1),
        contacts=org.Quota(used=1, limit=3),
        seats=org.Quota(used=1, limit=2),
        min_interval=Duration(seconds=60),
        retention=Duration(seconds=7 * 86_400),
        rpc_rate=200.0,
    )
    # The operator's own bounds count where they are narrower.
    await planned(api.database, org_id, min_interval_s=1, retention_days=365, max_contacts=5000)
    wide = await usage(api, api.ann)
    assert (wide.min_interval.seconds, wide.retention.seconds, wide.contacts.limit) == (5, 30 * 86_400, 1000)
    shown = await api.organisations.GetOrganisation(pb.GetOrganisationRequest(), metadata=api.ann.metadata)
    assert shown.organisation.plan == "SMALL"
    assert (await usage(api, api.bob)).plan == ""


async def test_invitations_take_seats_of_the_organisation_acted_in(api: Api) -> None:
    ann = await api.identity.sessions.login(ADMIN, PASSWORD, "192.0.2.1")
    metadata = (("authorization", f"Bearer {ann.tokens.access_token}"),)
    made = await api.organisations.CreateOrganisation(
        pb.CreateOrganisationRequest(display_name="team"), metadata=metadata
    )
    there = (*metadata, ("x-monitord-organisation", str(made.organisation.id)))
    await planned(api.database, made.organisation.id, max_seats=2)
    request = pb.InviteMemberRequest(email="bob@example.org", role=org.ROLE_VIEWER)
    await api.organisations.InviteMember(request, metadata=there)
    assert (await api.organisations.GetUsage(pb.GetUsageRequest(), metadata=there)).usage.seats.used == 2
    request.email = "carl@example.org"
    refused = await refusal(api.organisations.InviteMember(request, metadata=there))
    assert refused.reason == "QUOTA_EXCEEDED"
    assert set(refused.quotas) == {f"organisation:{made.organisation.id}"}
    # Nobody is sent a mail that leads nowhere.
    assert [letter.recipient for letter in api.identity.letters] == ["bob@example.org"]


async def test_browsers_are_told_the_same(api: Api) -> None:
    await planned(api.database, api.ann.principal.org_id, max_monitors=0)
    async with bridged(api) as web:
        body = b'{"monitor": {"name": "a", "http": {"url": "https://example.org/"}}}'
        told = await web.refused(MONITORS + "CreateMonitor", body)
    assert (told.code, told.reason, told.retry_s) == ("resource_exhausted", "QUOTA_EXCEEDED", None)
    assert set(told.quotas) == {f"organisation:{api.ann.principal.org_id}"}
