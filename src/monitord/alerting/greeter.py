"""Messages that somebody asks for, and waits for: confirmations of addresses, and tests of contacts (T16)."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
import structlog

from monitord.alerting.dispatcher import SEND_S, Send
from monitord.domain.contact import Contact
from monitord.domain.contacts import EmailContact, channel_of
from monitord.domain.delivery import Attempt
from monitord.domain.errors import DomainError, FailedPreconditionError
from monitord.domain.instant import Instant
from monitord.domain.notice import Notice, NoticeKind, clean
from monitord.identity.allowance import Allowance
from monitord.identity.contact_links import ContactLinks, new_code, new_token, read_code, token_hash

UNSUBSCRIBED = "unsubscribed"
"""Why a contact is disabled that wants no more messages."""

_log = structlog.get_logger(__name__)


class Contacts(Protocol):
    """Where contacts are stored; another's is NotFoundError."""

    async def get(self, org_id: int, contact_id: int) -> Contact:
        """Return a contact with its secrets."""
        ...

    async def enable(self, org_id: int, contact_id: int) -> Contact:
        """Forget whatever disabled a contact."""
        ...

    async def disable(self, org_id: int, contact_id: int, reason: str, *, for_good: bool = False) -> Contact:
        """Tell a contact nothing more."""
        ...


class Confirmations(Protocol):
    """Where it is remembered who was asked."""

    async def begin(self, org_id: int, contact_id: int, token_hash: bytes, code_hash: bytes) -> None:
        """Remember a link and a code; raise ResourceExhaustedError if the address was asked too often."""

    async def by_code(self, org_id: int, contact_id: int, is_right: Callable[[bytes], bool]) -> Contact:
        """Confirm by a code."""
        ...

    async def find(self, token_hash: bytes) -> object | None:
        """Return who was sent a link that is valid; None: nobody."""
        ...

    async def by_token(self, token_hash: bytes) -> Contact | None:
        """Confirm by a link; None: it is not valid."""
        ...


class Greeter:
    """Sends what its caller waits for, past the outbox: nothing is lost with it, and it is asked for again."""

    def __init__(
        self,
        contacts: Contacts,
        confirmations: Confirmations,
        links: ContactLinks,
        senders: Mapping[str, Send],
        *,
        now: Callable[[], Instant],
    ) -> None:
        self._contacts = contacts
        self._confirmations = confirmations
        self._links = links
        self._senders = senders
        self._greeting: set[asyncio.Task[None]] = set()
        self._now = now
        self._tests = Allowance("Too many test messages to this contact", burst=2, refill_s=10.0)
        self._tests_in_all = Allowance("Too many test messages", burst=20, refill_s=10.0)
        self._asked = Allowance("Too many confirmations asked for", burst=20, refill_s=180.0)
        self._asked_address = Allowance("Too many confirmations to this address", burst=5, refill_s=3600.0)

    def greet(self, contact: Contact) -> None:
        """Ask a new mailbox, soon, whether it wants alerts. Who gets no mail asks for one (SendConfirmation)."""
        if isinstance(contact.spec.channel, EmailContact) and contact.verified_at is None:
            task = asyncio.create_task(self._greet(contact), name=f"confirmation of contact {contact.id}")
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._greeting:
            task.cancel()
        await asyncio.gather(*self._greeting, return_exceptions=True)

    async def _greet(self, contact: Contact) -> None:
        try:
            attempt = await self.send_confirmation(contact.org_id, contact.id)
        except DomainError as error:
            _log.warning("confirmation_not_sent", contact_id=contact.id, reason=error.message)
            return
        if not attempt.accepted:
            _log.warning("confirmation_not_sent", contact_id=contact.id, code=attempt.code, reason=attempt.detail)

    async def send_confirmation(self, org_id: int, contact_id: int) -> Attempt:
        """Send a link and a code to an address, and return how it went.

        Raises:
            NotFoundError: the contact isn't there, or is another's.
            FailedPreconditionError: it is no mailbox, has confirmed already, or mail is not set up.
            ResourceExhaustedError: its address, or its owner's contacts, were asked too often.

        """
        contact = await self._contacts.get(org_id, contact_id)
        channel = contact.spec.channel
        if not isinstance(channel, EmailContact):
            raise FailedPreconditionError("Only addresses confirm: this contact may be told alerts as it is.")
        if contact.verified_at is not None and contact.disabled_reason is None:
            raise FailedPreconditionError("This address has confirmed already.")
        send = self._sender(contact)
        # By address too, whoever asks: a mailbox is not flooded by many who name it.
        self._asked_address.take(channel.address.lower())
        self._asked.take(org_id)
        token, code = new_token(), new_code()
        code_hash = self._links.code_hash(org_id, contact_id, code)
        await self._confirmations.begin(org_id, contact_id, token_hash(token), code_hash)
        notice = self._notice(contact, NoticeKind.CONFIRMATION)
        link = self._links.confirm_url(token)
        return await send(channel, msgspec.structs.replace(notice, code=code, link=link), SEND_S)

    async def confirm(self, org_id: int, contact_id: int, code: str) -> Contact:
        """Confirm an address by its code. Raises as ``ConfirmationStore.by_code``."""
        tried = read_code(code)
        return await self._confirmations.by_code(
            org_id, contact_id, lambda stored: self._links.is_code(stored, org_id, contact_id, tried)
        )

    async def is_asked(self, token: str) -> bool:
        """Return whether a confirmation's link is valid at the moment."""
        return await self._confirmations.find(token_hash(token)) is not None

    async def confirm_by_link(self, token: str) -> Contact | None:
        """Confirm an address by its link; None: it is not valid, or no more."""
        return await self._confirmations.by_token(token_hash(token))

    async def unsubscribe(self, org_id: int, contact_id: int) -> Contact:
        """End all messages to a contact, until it confirms again (RFC 8058). Raises NotFoundError."""
        return await self._contacts.disable(org_id, contact_id, UNSUBSCRIBED, for_good=True)

    async def test(self, org_id: int, contact_id: int) -> Attempt:
        """Send a message that is marked as a test, and return how it went. One that arrives ends a disablement.

        Raises:
            NotFoundError: the contact isn't there, or is another's.
            FailedPreconditionError: its address has yet to confirm, or its channel is not set up.
            ResourceExhaustedError: there were too many tests.

        """
        contact = await self._contacts.get(org_id, contact_id)
        if contact.verified_at is None:
            raise FailedPreconditionError("This address has yet to confirm that it wants alerts: see SendConfirmation.")
        send = self._sender(contact)
        self._tests.take((org_id, contact_id))
        self._tests_in_all.take(org_id)
        attempt = await send(contact.spec.channel, self._notice(contact, NoticeKind.TEST), SEND_S)
        if attempt.accepted and contact.disabled_reason is not None:
            await self._contacts.enable(org_id, contact_id)
        return attempt

    def _sender(self, contact: Contact) -> Send:
        kind = channel_of(contact.spec.channel)
        send = self._senders.get(kind)
        if send is None:
            raise FailedPreconditionError(
                f"This server is not set up to send by {kind}: whoever runs it finds how in the README, under Alerts."
            )
        return send

    def _notice(self, contact: Contact, kind: NoticeKind) -> Notice:
        now = self._now()
        return Notice(
            key=f"{kind}-{contact.org_id}-{contact.id}-{now}",
            thread="",
            kind=kind,
            at=now,
            contact_name=clean(contact.spec.name),
            message="This is what an alert looks like; nothing is wrong." if kind is NoticeKind.TEST else "",
            unsubscribe_url=self._links.unsubscribe_url(contact.org_id, contact.id),
            time_zone=contact.spec.time_zone,
        )
