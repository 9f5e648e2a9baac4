"""ContactService: from messages to the stores, and back. Handlers convert, call, convert."""

# ruff: noqa: N802 (the generated base class names the methods)

from typing import Any, TypeAlias

import grpc
import msgspec

from monitord.domain.contact import AlertConfig, Contact, ContactSpec
from monitord.rpc import context as call
from monitord.rpc.contact_stores import AlertConfigStore, ContactStore, Greeter
from monitord.rpc.convert_alert_settings import config_pb, read_config
from monitord.rpc.convert_contact import ContactReader, contact_pb, paths_of, report_pb
from monitord.rpc.convert_monitor import version_of
from monitord.rpc.paging import KeyNumber, decode_page_token, encode_page_token, fill, fingerprint, page_size
from monitord.rpc.requests import RequestLedger, require_id, require_request_id
from monitord.v1 import contact_service_pb2 as pb
from monitord.v1 import contact_service_pb2_grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class _Key(msgspec.Struct, frozen=True, array_like=True):
    id: KeyNumber


class _PairKey(msgspec.Struct, frozen=True, array_like=True):
    monitor_id: KeyNumber
    contact_id: KeyNumber


class ContactService(contact_service_pb2_grpc.ContactServiceServicer):
    """Serves ContactService. Whose contacts are meant comes from the call's context alone (T10)."""

    def __init__(
        self,
        contacts: ContactStore,
        configs: AlertConfigStore,
        requests: RequestLedger,
        reader: ContactReader,
        greeter: Greeter,
    ) -> None:
        self._contacts = contacts
        self._configs = configs
        self._requests = requests
        self._reader = reader
        self._greeter = greeter

    async def CreateContact(self, request: pb.CreateContactRequest, context: Context) -> pb.CreateContactResponse:
        """Store a contact, and ask a mailbox whether it wants alerts."""
        org_id = call.principal().org_id
        request_id = require_request_id(request.request_id)
        spec = self._reader.new(request.contact)
        created: list[Contact] = []

        async def create(tx: Any = None) -> pb.CreateContactResponse:
            created.append(await self._contacts.create(org_id, spec, tx=tx))
            return pb.CreateContactResponse(contact=contact_pb(created[-1]))

        async def create_in(tx: Any) -> bytes:
            return (await create(tx)).SerializeToString()

        if request_id:
            asked = request.SerializeToString(deterministic=True)
            answer = await self._requests.once(org_id, "CreateContact", request_id, asked, create_in)
            response = pb.CreateContactResponse.FromString(answer)
        else:
            response = await create()
        for contact in created:
            self._greeter.greet(contact)
        return response

    async def GetContact(self, request: pb.GetContactRequest, context: Context) -> pb.GetContactResponse:
        """Return a contact."""
        contact = await self._contacts.get(call.principal().org_id, _require_id(request.id))
        return pb.GetContactResponse(contact=contact_pb(contact))

    async def ListContacts(self, request: pb.ListContactsRequest, context: Context) -> pb.ListContactsResponse:
        """Return a page of contacts."""
        org_id = call.principal().org_id
        size, query = page_size(request.page_size), fingerprint(org_id, request)
        after = decode_page_token(query, request.page_token, _Key).id if request.page_token else 0
        contacts = await self._contacts.list(org_id, after, size + 1)
        messages = fill(contacts, size, contact_pb)
        taken = len(messages)
        token = "" if taken == len(contacts) else encode_page_token(query, _Key(contacts[taken - 1].id))
        return pb.ListContactsResponse(contacts=messages, next_page_token=token)

    async def UpdateContact(self, request: pb.UpdateContactRequest, context: Context) -> pb.UpdateContactResponse:
        """Change a contact; a new mailbox is asked whether it wants alerts."""
        contact_id = _require_id(request.contact.id, "contact.id")
        paths = paths_of(request.contact, request.update_mask.paths)
        before: list[ContactSpec] = []

        def edit(stored: ContactSpec) -> ContactSpec:
            before.append(stored)
            return self._reader.edited(request.contact, paths, stored)

        contact = await self._contacts.update(
            call.principal().org_id, contact_id, edit, expected_version=version_of(request.contact.etag)
        )
        if before[-1].channel != contact.spec.channel:
            self._greeter.greet(contact)
        return pb.UpdateContactResponse(contact=contact_pb(contact))

    async def DeleteContact(self, request: pb.DeleteContactRequest, context: Context) -> pb.DeleteContactResponse:
        """Delete a contact."""
        await self._contacts.delete(
            call.principal().org_id, _require_id(request.id), expected_version=version_of(request.etag)
        )
        return pb.DeleteContactResponse()

    async def SendConfirmation(
        self, request: pb.SendConfirmationRequest, context: Context
    ) -> pb.SendConfirmationResponse:
        """Ask a mailbox again."""
        attempt = await self._greeter.send_confirmation(call.principal().org_id, _require_id(request.id))
        return pb.SendConfirmationResponse(report=report_pb(attempt))

    async def ConfirmContact(self, request: pb.ConfirmContactRequest, context: Context) -> pb.ConfirmContactResponse:
        """Confirm a mailbox by its code."""
        contact = await self._greeter.confirm(call.principal().org_id, _require_id(request.id), request.code)
        return pb.ConfirmContactResponse(contact=contact_pb(contact))

    async def UnsubscribeContact(
        self, request: pb.UnsubscribeContactRequest, context: Context
    ) -> pb.UnsubscribeContactResponse:
        """End all messages to a contact."""
        contact = await self._greeter.unsubscribe(call.principal().org_id, _require_id(request.id))
        return pb.UnsubscribeContactResponse(contact=contact_pb(contact))

    async def TestContact(self, request: pb.TestContactRequest, context: Context) -> pb.TestContactResponse:
        """Send a test."""
        attempt = await self._greeter.test(call.principal().org_id, _require_id(request.id))
        return pb.TestContactResponse(report=report_pb(attempt))

    async def SetAlertConfig(self, request: pb.SetAlertConfigRequest, context: Context) -> pb.SetAlertConfigResponse:
        """Say what a contact is told of a monitor."""
        config = await self._configs.set(call.principal().org_id, read_config(request.config))
        return pb.SetAlertConfigResponse(config=config_pb(config))

    async def ListAlertConfigs(
        self, request: pb.ListAlertConfigsRequest, context: Context
    ) -> pb.ListAlertConfigsResponse:
        """Return a page of who is told what."""
        org_id = call.principal().org_id
        monitor_id = require_id(request.monitor_id, "monitor_id") if request.monitor_id else None
        contact_id = _require_id(request.contact_id, "contact_id") if request.contact_id else None
        size, query = page_size(request.page_size), fingerprint(org_id, request)
        key = decode_page_token(query, request.page_token, _PairKey) if request.page_token else _PairKey(0, 0)
        await self._configs.require(org_id, monitor_id, contact_id)
        after = (key.monitor_id, key.contact_id)
        configs = await self._configs.list(org_id, monitor_id, contact_id, after, size + 1)
        messages = fill(configs, size, config_pb)
        taken = len(messages)
        token = "" if taken == len(configs) else encode_page_token(query, _pair_key(configs[taken - 1]))
        return pb.ListAlertConfigsResponse(configs=messages, next_page_token=token)

    async def DeleteAlertConfig(
        self, request: pb.DeleteAlertConfigRequest, context: Context
    ) -> pb.DeleteAlertConfigResponse:
        """Tell a contact nothing more of a monitor."""
        monitor_id = require_id(request.monitor_id, "monitor_id")
        contact_id = _require_id(request.contact_id, "contact_id")
        await self._configs.delete(call.principal().org_id, monitor_id, contact_id)
        return pb.DeleteAlertConfigResponse()


def _pair_key(config: AlertConfig) -> _PairKey:
    return _PairKey(config.monitor_id, config.contact_id)


def _require_id(value: int, field: str = "id") -> int:
    return require_id(value, field, "contact")
