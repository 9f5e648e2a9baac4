"""ContactService, through gRPC to Postgres and back."""

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.notice import NoticeKind
from monitord.v1 import contact_pb2
from monitord.v1 import contact_service_pb2 as pb
from tests.support.rpc_server import Api, refusal

SECRET = "s3cret-of-the-hook"


async def create(api: Api, request_id: str = "", **fields: Any) -> contact_pb2.Contact:
    wish = {"name": "ann", "email": {"address": "ann@example.org"}} | fields
    request = pb.CreateContactRequest(contact=contact_pb2.Contact(**wish), request_id=request_id)
    return (await api.contacts.CreateContact(request, metadata=api.ann.metadata)).contact


async def hook(api: Api, **fields: Any) -> contact_pb2.Contact:
    wish = {"url": "https://hooks.example.org/x?token=1", "signing_key": SECRET} | fields
    return await create(api, name="hook", email=None, webhook=wish)


async def get(api: Api, contact_id: int) -> contact_pb2.Contact:
    return (await api.contacts.GetContact(pb.GetContactRequest(id=contact_id), metadata=api.ann.metadata)).contact


async def update(api: Api, contact: contact_pb2.Contact, *paths: str) -> contact_pb2.Contact:
    request = pb.UpdateContactRequest(contact=contact, update_mask=FieldMask(paths=paths))
    return (await api.contacts.UpdateContact(request, metadata=api.ann.metadata)).contact


async def confirm(api: Api, contact_id: int, code: str) -> contact_pb2.Contact:
    request = pb.ConfirmContactRequest(id=contact_id, code=code)
    return (await api.contacts.ConfirmContact(request, metadata=api.ann.metadata)).contact


async def test_an_address_is_asked_and_confirms_by_its_code_once(api: Api) -> None:
    """(T16)"""
    made = await create(api)
    assert (made.etag, made.destination, made.HasField("verify_time")) == ("v1", "ann@example.org", False)
    asked = await api.mailbox.next()
    assert asked.kind is NoticeKind.CONFIRMATION
    assert asked.link.startswith("http://public.test/contacts/confirm/")
    spaced = f" {asked.code[:4]}-{asked.code[4:]} "
    assert (await confirm(api, made.id, spaced)).HasField("verify_time")
    again = await refusal(confirm(api, made.id, asked.code))
    assert again.code is StatusCode.FAILED_PRECONDITION


async def test_wrong_codes_are_counted_and_five_end_it(api: Api) -> None:
    """(T14)"""
    made = await create(api)
    code = (await api.mailbox.next()).code
    wrong = f"{(int(code) + 1) % 10**8:08}"
    told = [(await refusal(confirm(api, made.id, wrong))).message for _ in range(6)]
    assert ["4 tries" in told[0], "0 tries" in told[4], "guessed at too often" in told[5]] == [True, True, True]
    assert (await refusal(confirm(api, made.id, code))).code is StatusCode.FAILED_PRECONDITION


async def test_codes_are_stored_as_hashes_and_asked_for_once_a_minute(api: Api) -> None:
    made = await create(api)
    asked = await api.mailbox.next()
    async with api.database.connection() as held:
        (row,) = await held.fetch("SELECT token_hash, code_hash FROM contact_confirmations")
    assert asked.code.encode() not in row["code_hash"]
    assert asked.link.rpartition("/")[2].encode() not in row["token_hash"]
    request = pb.SendConfirmationRequest(id=made.id)
    refused = await refusal(api.contacts.SendConfirmation(request, metadata=api.ann.metadata))
    assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    assert refused.retry_s is not None
    assert 0 < refused.retry_s <= 60


async def test_a_new_address_confirms_anew(api: Api) -> None:
    made = await create(api)
    await confirm(api, made.id, (await api.mailbox.next()).code)
    renamed = await update(api, contact_pb2.Contact(id=made.id, name="ann at work"))
    assert renamed.HasField("verify_time")
    moved = await update(api, contact_pb2.Contact(id=made.id, email={"address": "eve@example.org"}))
    assert not moved.HasField("verify_time")


async def test_unsubscribing_lasts_until_the_address_confirms_again(api: Api) -> None:
    made = await create(api)
    await confirm(api, made.id, (await api.mailbox.next()).code)
    request = pb.UnsubscribeContactRequest(id=made.id)
    gone = (await api.contacts.UnsubscribeContact(request, metadata=api.ann.metadata)).contact
    assert (gone.disabled_reason, gone.HasField("verify_time")) == ("unsubscribed", False)
    refused = await refusal(api.contacts.TestContact(pb.TestContactRequest(id=made.id), metadata=api.ann.metadata))
    assert refused.code is StatusCode.FAILED_PRECONDITION


async def test_secrets_are_written_and_never_shown_and_kept_where_they_go_to_the_same_place(api: Api) -> None:
    """(T15)"""
    made = await hook(api, headers=[{"name": "X-Key", "value": SECRET, "secret": True}])
    assert made.HasField("verify_time")
    assert SECRET not in str(made)
    assert made.destination == "https://hooks.example.org/x"
    named = await update(api, contact_pb2.Contact(id=made.id, name="renamed"))
    await try_out(api, named.id)
    channel, _ = await api.mailbox.sent.get()
    assert SECRET in (channel.signing_key.value, channel.headers[0].value)  # type: ignore[union-attr]
    elsewhere = contact_pb2.Contact(
        id=made.id, webhook={"url": "https://other.example.org/", "headers": made.webhook.headers}
    )
    refused = await refusal(update(api, elsewhere))
    assert "contact.webhook.headers[0].value" in refused.violations
    async with api.database.connection() as held:
        assert SECRET not in str(await held.fetch("SELECT * FROM alert_contacts"))


async def try_out(api: Api, contact_id: int = 0) -> None:
    contact_id = contact_id or (await hook(api)).id
    request = pb.TestContactRequest(id=contact_id)
    response = await api.contacts.TestContact(request, metadata=api.ann.metadata)
    assert (response.report.accepted, response.report.code) == (True, "smtp.250")


async def test_tests_are_marked_limited_and_truthful_and_one_that_arrives_enables(api: Api) -> None:
    made = await hook(api)
    await try_out(api, made.id)
    notice = await api.mailbox.next()
    assert (notice.kind, notice.link) == (NoticeKind.TEST, "")
    api.mailbox.attempt = Attempt(outcome=Outcome.PERMANENT, code="http.404", detail="no such hook")
    request = pb.TestContactRequest(id=made.id)
    response = await api.contacts.TestContact(request, metadata=api.ann.metadata)
    assert (response.report.accepted, response.report.code, response.report.detail) == (
        False, "http.404", "no such hook",
    )  # fmt: skip
    assert (await refusal(api.contacts.TestContact(request, metadata=api.ann.metadata))).reason == "LIMIT_REACHED"


async def test_a_channel_that_is_not_set_up_is_told(api: Api) -> None:
    chat = await create(api, name="chat", email=None, telegram={"bot_token": f"1:{'a' * 35}", "chat_id": "-100"})
    refused = await refusal(api.contacts.TestContact(pb.TestContactRequest(id=chat.id), metadata=api.ann.metadata))
    assert (refused.code, "telegram" in refused.message) == (StatusCode.FAILED_PRECONDITION, True)


async def test_the_same_request_creates_one_and_asks_once(api: Api) -> None:
    """(I14)"""
    uuid = "6f1d3a5e-8a1c-4a53-9d5b-0c1a2b3c4d5e"
    assert await create(api, uuid) == await create(api, uuid)
    await api.mailbox.next()
    assert api.mailbox.sent.empty()
    assert (await refusal(create(api))).code is StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "contact.name"),
        ({"name": "a\nb"}, "contact.name"),
        ({"email": None}, "contact.email"),
        ({"email": {"address": "ann"}}, "contact.email.address"),
        ({"email": {"address": "ann@[127.0.0.1]"}}, "contact.email.address"),
        ({"email": {"address": "ann\r\nBcc: eve@example.org@example.org"}}, "contact.email.address"),
        ({"email": {"address": f"{'a' * 65}@example.org"}}, "contact.email.address"),
        ({"time_zone": "Mars/Olympus"}, "contact.time_zone"),
        ({"email": None, "webhook": {"url": "file:///etc/passwd"}}, "contact.webhook.url"),
        ({"email": None, "webhook": {"url": "http://169.254.169.254/"}}, "contact.webhook.url"),
        ({"email": None, "slack": {}}, "contact.slack.webhook_url"),
        ({"email": None, "discord": {"webhook_url": "http://169.254.169.254/"}}, "contact.discord.webhook_url"),
        ({"email": None, "telegram": {"bot_token": "x", "chat_id": "1"}}, "contact.telegram.bot_token"),
        ({"email": None, "telegram": {"bot_token": f"1:{'a' * 35}", "chat_id": "x y"}}, "contact.telegram.chat_id"),
        ({"email": None, "pagerduty": {"routing_key": "x"}}, "contact.pagerduty.routing_key"),
        ({"email": None, "apprise": {"url": "nonsense"}}, "contact.apprise.url"),
        ({"default_settings": {"kinds": [5]}}, "contact.default_settings.kinds"),
        ({"default_settings": {"kinds": [7]}}, "contact.default_settings.slow_threshold"),
        ({"default_settings": {"reminder_interval": {"seconds": 60}}}, "contact.default_settings.reminder_interval"),
        ({"default_settings": {"delay": {"seconds": -1}}}, "contact.default_settings.delay"),
        ({"default_settings": {"quiet_hours": {"start": "22", "end": "07:00"}}},
         "contact.default_settings.quiet_hours.start"),
    ],
)  # fmt: skip
async def test_bad_contacts_are_told_what_would_be_right(api: Api, fields: dict[str, Any], field: str) -> None:
    refused = await refusal(create(api, **fields))
    assert refused.code is StatusCode.INVALID_ARGUMENT
    assert field in refused.violations
    assert api.mailbox.sent.empty()


async def test_who_is_told_what(api: Api) -> None:
    contact, monitor = await hook(api), await api.create()
    config = contact_pb2.AlertConfig(monitor_id=monitor.id, contact_id=contact.id)
    config.settings.slow_threshold.FromMilliseconds(800)
    config.settings.quiet_hours.start, config.settings.quiet_hours.end = "22:00", "06:30"
    request = pb.SetAlertConfigRequest(config=config)
    stored = (await api.contacts.SetAlertConfig(request, metadata=api.ann.metadata)).config
    assert contact_pb2.ALERT_KIND_SLOW in stored.settings.kinds
    assert (stored.settings.active, stored.settings.quiet_hours.end) == (True, "06:30")
    listing = pb.ListAlertConfigsRequest(contact_id=contact.id)
    assert list((await api.contacts.ListAlertConfigs(listing, metadata=api.ann.metadata)).configs) == [stored]
    gone = pb.DeleteAlertConfigRequest(monitor_id=monitor.id, contact_id=contact.id)
    await api.contacts.DeleteAlertConfig(gone, metadata=api.ann.metadata)
    assert (await refusal(api.contacts.DeleteAlertConfig(gone, metadata=api.ann.metadata))).reason == "NOT_FOUND"


async def test_a_new_monitor_is_told_to_whoever_wants_to_know_of_new_ones(api: Api) -> None:
    await hook(api)
    wish = {"kinds": [contact_pb2.ALERT_KIND_DOWN], "delay": {"seconds": 120}}
    eager = await create(api, default_settings=wish)
    monitor = await api.create()
    response = await api.contacts.ListAlertConfigs(pb.ListAlertConfigsRequest(), metadata=api.ann.metadata)
    (config,) = response.configs
    assert (config.monitor_id, config.contact_id, config.settings.delay.seconds) == (monitor.id, eager.id, 120)


async def test_deletion_and_pages(api: Api) -> None:
    made = [await create(api, name=f"c{n}", email=None, slack={"webhook_url": f"https://x.test/{n}"}) for n in range(3)]
    gone = pb.DeleteContactRequest(id=made[1].id, etag="v1")
    await api.contacts.DeleteContact(gone, metadata=api.ann.metadata)
    assert (await refusal(get(api, made[1].id))).reason == "NOT_FOUND"
    again = await create(api, name="c1", email=None, slack={"webhook_url": "https://x.test/"})
    names, token = [], ""
    for _ in range(3):
        request = pb.ListContactsRequest(page_size=1, page_token=token)
        page = await api.contacts.ListContacts(request, metadata=api.ann.metadata)
        names += [contact.id for contact in page.contacts]
        token = page.next_page_token
    assert (names, token) == ([made[0].id, made[2].id, again.id], "")
    stale = contact_pb2.Contact(id=again.id, name="x", etag="v7")
    assert (await refusal(update(api, stale))).code is StatusCode.ABORTED
