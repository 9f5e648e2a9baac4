"""The page behind an invitation into an organisation: GET shows it, POST joins; who has no account makes one there."""

from typing import Protocol

from aiohttp import web

from monitord.domain.errors import (
    AlreadyExistsError,
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from monitord.domain.organisation import Invitation
from monitord.identity.contact_links import TOKEN
from monitord.pages.page import Field, Pages, filled_in, sentence

_FIELDS = (
    Field("full_name", "Your name", "text", "name"),
    Field("password", "Password, at least 8 characters", "password", "new-password"),
)
_JOINED = "You are a member now: sign in as always, and choose the organisation."
_MADE = "You have an account, and are a member: sign in with your address and password."


class Invitations(Protocol):
    """Who is invited; see ``identity.invitations``."""

    async def behind(self, token: str) -> tuple[Invitation, int | None] | None:
        """Return what a link leads to, and the user whose address it is; None: nowhere any more."""
        ...

    async def accept(self, user_id: int, invitation_id: int) -> int:
        """Make a user a member."""
        ...


class Registration(Protocol):
    """Makes accounts; see ``identity.registration``."""

    async def register(
        self, email: str, password: str, full_name: str, peer: str, *, invitation: str = "", code: str = ""
    ) -> object:
        """Make the account of somebody who was invited, and a member of them."""
        ...


class InvitationPages:
    """Serves ``/invitations/<token>``. Whoever has the mail has the address, which is all that joining asks for."""

    def __init__(self, invitations: Invitations, registration: Registration) -> None:
        self._invitations = invitations
        self._registration = registration
        self._pages = Pages()

    def routes(self) -> list[web.RouteDef]:
        """Return what is to be served."""
        return [web.get("/invitations/{token}", self._ask), web.post("/invitations/{token}", self._join)]

    async def _ask(self, request: web.Request) -> web.Response:
        try:
            found = await self._behind(request)
        except UnavailableError:
            return self._pages.away()
        return self._pages.no_link() if found is None else self._form(200, *found)

    async def _join(self, request: web.Request) -> web.Response:
        try:
            found = await self._behind(request)
            if found is None:
                return self._pages.no_link()
            return await self._let_in(request, *found)
        except UnavailableError:
            return self._pages.away()
        except NotFoundError:
            return self._pages.no_link()

    async def _let_in(self, request: web.Request, invitation: Invitation, user_id: int | None) -> web.Response:
        title = f"Welcome to {invitation.org_name}"
        try:
            if user_id is not None:
                await self._invitations.accept(user_id, invitation.id)
                return self._pages.show(200, title, _JOINED)
            form = await filled_in(request)
            name, password = form.get("full_name", ""), form.get("password", "")
            token, peer = request.match_info["token"], request.remote or ""
            await self._registration.register(invitation.email, password, name, peer, invitation=token)
        except InvalidArgumentError as error:
            problem = " ".join(sentence(one.description) for one in error.violations)
            return self._form(422, invitation, user_id, problem)
        except (AlreadyExistsError, FailedPreconditionError) as error:
            return self._pages.show(409, title, error.message)
        except (NotFoundError, UnavailableError):
            raise
        except DomainError as error:
            return self._pages.show(429, title, error.message)
        return self._pages.show(200, title, _MADE)

    async def _behind(self, request: web.Request) -> tuple[Invitation, int | None] | None:
        token = request.match_info["token"]
        return await self._invitations.behind(token) if TOKEN.fullmatch(token) else None

    def _form(self, status: int, invitation: Invitation, user_id: int | None, problem: str = "") -> web.Response:
        inviter = invitation.invited_by or "Somebody"
        text = f"{inviter} invites {invitation.email}."
        fields = () if user_id is not None else _FIELDS
        button = "Join" if user_id is not None else "Make an account and join"
        return self._pages.show(status, f"Join {invitation.org_name}?", text, button, fields=fields, problem=problem)
