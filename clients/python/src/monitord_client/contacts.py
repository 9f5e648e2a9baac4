"""The calls of ContactService."""

import uuid
from collections.abc import AsyncIterator, Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from monitord_client.calls import Calls
from monitord_client.errors import NotFoundError
from monitord_client.v1 import contact_service_pb2 as pb
from monitord_client.v1.contact_pb2 import AlertConfig, AlertSettings, Contact
from monitord_client.v1.contact_service_pb2_grpc import ContactServiceStub

MESSAGE_TIMEOUT_S = 40.0
"""An attempt to deliver may take 30 s. Who may not send yet, as a mail went out a minute ago, is told so at once."""


class ContactCalls:
    """Who is told when a monitor changes, and of what."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._contacts = ContactServiceStub(calls.channel)

    async def create_contact(
        self, contact: Contact, *, request_id: str | None = None, timeout_s: float | None = None
    ) -> Contact:
        """Store a contact; return it as stored. A mailbox is asked by mail whether it wants alerts.

        ``request_id`` is made up when not given, so that a retry creates nothing twice.
        """
        request = pb.CreateContactRequest(contact=contact, request_id=request_id or str(uuid.uuid4()))
        answer = await self._calls.unary(self._contacts.CreateContact, request, safe=True, timeout_s=timeout_s)
        return answer.contact

    async def get_contact(self, contact_id: int, *, timeout_s: float | None = None) -> Contact:
        """Return one contact, without its secrets."""
        request = pb.GetContactRequest(id=contact_id)
        answer = await self._calls.unary(self._contacts.GetContact, request, safe=True, timeout_s=timeout_s)
        return answer.contact

    def list_contacts(self, *, page_size: int = 0, timeout_s: float | None = None) -> AsyncIterator[Contact]:
        """Iterate over all contacts, fetching pages as needed. ``timeout_s`` is the deadline of each page."""
        request = pb.ListContactsRequest(page_size=page_size)

        async def fetch(token: str) -> pb.ListContactsResponse:
            request.page_token = token
            return await self._calls.unary(self._contacts.ListContacts, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.contacts, lambda page: page.next_page_token)

    async def update_contact(
        self, contact: Contact, *, fields: Sequence[str] = (), timeout_s: float | None = None
    ) -> Contact:
        """Change the fields that ``fields`` names (such as ``email``); none: every field that is set.

        Secrets that are left empty stay as they are. With an etag in ``contact``, raises EtagMismatchError when someone
        changed it since; such a call is never repeated, because its own first attempt would look like someone else's
        change.
        """
        mask = FieldMask(paths=fields) if fields else None
        request = pb.UpdateContactRequest(contact=contact, update_mask=mask)
        answer = await self._calls.unary(
            self._contacts.UpdateContact, request, safe=not contact.etag, timeout_s=timeout_s
        )
        return answer.contact

    async def delete_contact(self, contact_id: int, *, etag: str = "", timeout_s: float | None = None) -> None:
        """Delete a contact: it is told nothing more."""
        request = pb.DeleteContactRequest(id=contact_id, etag=etag)
        try:
            await self._calls.unary(self._contacts.DeleteContact, request, safe=True, timeout_s=timeout_s)
        except NotFoundError as error:
            if error.attempts == 1:
                raise
            # An attempt before, whose answer was lost, did it.

    async def send_confirmation(self, contact_id: int, *, timeout_s: float = MESSAGE_TIMEOUT_S) -> pb.DeliveryReport:
        """Mail the link and the code again; return how the mail server took it. Never repeated: each is a mail."""
        request = pb.SendConfirmationRequest(id=contact_id)
        answer = await self._calls.unary(self._contacts.SendConfirmation, request, safe=False, timeout_s=timeout_s)
        return answer.report

    async def confirm_contact(self, contact_id: int, code: str, *, timeout_s: float | None = None) -> Contact:
        """Confirm an address by the code of its mail. Never repeated: a code works once, and wrong ones are counted."""
        request = pb.ConfirmContactRequest(id=contact_id, code=code)
        answer = await self._calls.unary(self._contacts.ConfirmContact, request, safe=False, timeout_s=timeout_s)
        return answer.contact

    async def unsubscribe_contact(self, contact_id: int, *, timeout_s: float | None = None) -> Contact:
        """End all messages to a contact, as the link in its mails does; return it as stored."""
        request = pb.UnsubscribeContactRequest(id=contact_id)
        answer = await self._calls.unary(self._contacts.UnsubscribeContact, request, safe=True, timeout_s=timeout_s)
        return answer.contact

    async def test_contact(self, contact_id: int, *, timeout_s: float = MESSAGE_TIMEOUT_S) -> pb.DeliveryReport:
        """Send a message that is marked as a test; return how it went. Never repeated: each attempt is a message."""
        request = pb.TestContactRequest(id=contact_id)
        answer = await self._calls.unary(self._contacts.TestContact, request, safe=False, timeout_s=timeout_s)
        return answer.report

    async def set_alert_config(
        self,
        monitor_id: int,
        contact_id: int,
        settings: AlertSettings | None = None,
        *,
        timeout_s: float | None = None,
    ) -> AlertConfig:
        """Say what a contact is told of a monitor, in place of what was said before; return it with its defaults."""
        config = AlertConfig(monitor_id=monitor_id, contact_id=contact_id, settings=settings)
        request = pb.SetAlertConfigRequest(config=config)
        answer = await self._calls.unary(self._contacts.SetAlertConfig, request, safe=True, timeout_s=timeout_s)
        return answer.config

    def list_alert_configs(
        self, *, monitor_id: int = 0, contact_id: int = 0, page_size: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[AlertConfig]:
        """Iterate over who is told what, by monitor and contact; 0: of all. ``timeout_s`` is each page's deadline."""
        request = pb.ListAlertConfigsRequest(monitor_id=monitor_id, contact_id=contact_id, page_size=page_size)

        async def fetch(token: str) -> pb.ListAlertConfigsResponse:
            request.page_token = token
            return await self._calls.unary(self._contacts.ListAlertConfigs, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.configs, lambda page: page.next_page_token)

    async def delete_alert_config(self, monitor_id: int, contact_id: int, *, timeout_s: float | None = None) -> None:
        """Tell a contact nothing of a monitor any more. Raises NotFoundError if it was told nothing."""
        request = pb.DeleteAlertConfigRequest(monitor_id=monitor_id, contact_id=contact_id)
        try:
            await self._calls.unary(self._contacts.DeleteAlertConfig, request, safe=True, timeout_s=timeout_s)
        except NotFoundError as error:
            if error.attempts == 1:
                raise
            # An attempt before, whose answer was lost, did it.
