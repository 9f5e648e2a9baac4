"""The pages behind the links in alerts. Each shows a button: scanners of mail open every link (RFC 8058)."""

from typing import Protocol

from aiohttp import web

from monitord.domain.contact import Contact
from monitord.domain.errors import NotFoundError, UnavailableError
from monitord.identity.contact_links import TOKEN, ContactLinks
from monitord.pages.page import Pages


class Greeter(Protocol):
    """Knows who confirms, and who wants no more; see ``alerting.greeter``."""

    async def is_asked(self, token: str) -> bool:
        """Return whether a confirmation's link is valid at the moment."""
        ...

    async def confirm_by_link(self, token: str) -> Contact | None:
        """Confirm an address by its link; None: it is not valid."""
        ...

    async def unsubscribe(self, org_id: int, contact_id: int) -> Contact:
        """End all messages to a contact; raise NotFoundError where there is none."""
        ...


class ContactPages:
    """Serves ``/contacts/confirm/<token>`` and ``/contacts/unsubscribe/<token>``: GET asks, POST does."""

    def __init__(self, greeter: Greeter, links: ContactLinks) -> None:
        self._greeter = greeter
        self._links = links
        self._pages = Pages()

    def routes(self) -> list[web.RouteDef]:
        """Return what is to be served."""
        return [
            web.get("/contacts/confirm/{token}", self._ask_to_confirm),
            web.post("/contacts/confirm/{token}", self._confirm),
            web.get("/contacts/unsubscribe/{token}", self._ask_to_unsubscribe),
            web.post("/contacts/unsubscribe/{token}", self._unsubscribe),
        ]

    async def _ask_to_confirm(self, request: web.Request) -> web.Response:
        token = request.match_info["token"]
        try:
            if not TOKEN.fullmatch(token) or not await self._greeter.is_asked(token):
                return self._pages.no_link()
        except UnavailableError:
            return self._pages.away()
        return self._pages.show(200, "Alerts to this address?", "Of what happens to monitors.", "Yes, send them")

    async def _confirm(self, request: web.Request) -> web.Response:
        token = request.match_info["token"]
        try:
            contact = await self._greeter.confirm_by_link(token) if TOKEN.fullmatch(token) else None
        except UnavailableError:
            return self._pages.away()
        if contact is None:
            return self._pages.no_link()
        return self._pages.show(200, "Confirmed", f"Alerts will be sent to {contact.spec.channel.shown}.")

    async def _ask_to_unsubscribe(self, request: web.Request) -> web.Response:
        if self._links.read_unsubscribe(request.match_info["token"]) is None:
            return self._pages.no_link()
        return self._pages.show(200, "No more alerts?", "Nothing more will be sent to this address.", "Send no more")

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        found = self._links.read_unsubscribe(request.match_info["token"])
        if found is None:
            return self._pages.no_link()
        try:
            await self._greeter.unsubscribe(*found)
        except NotFoundError:
            pass  # deleted meanwhile: nothing is sent to it, which is what was asked for
        except UnavailableError:
            return self._pages.away()
        return self._pages.show(200, "Done", "Nothing more will be sent to this address.")
