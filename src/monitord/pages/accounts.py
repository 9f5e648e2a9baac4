"""The pages behind the links in mails about accounts: GET asks, POST does, since scanners of mail open every link."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from aiohttp import web

from monitord.domain.errors import (
    AlreadyExistsError,
    DomainError,
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)
from monitord.identity.contact_links import TOKEN
from monitord.pages.page import Field, Pages, filled_in, sentence

_PASSWORD = Field("password", "New password, at least 8 characters", "password", "new-password")
_NAME = Field("full_name", "Your name", "text", "name")
_EMAIL = Field("email", "The address that was invited", "email", "email")


class _Page(msgspec.Struct, frozen=True):
    title: str
    text: str
    button: str
    fields: tuple[Field, ...] = ()


_VERIFY = _Page("Confirm your address", "With it you have your account.", "Confirm")
_RESET = _Page("Set a new password", "All of your sessions end.", "Set it", (_PASSWORD,))
_REGISTER = _Page("Welcome to monitord", "One step to your account.", "Register", (_EMAIL, _NAME, _PASSWORD))

Do = Callable[[str, dict[str, str], str], Awaitable[None]]
"""Does what a form asks for: from the token, what was filled in, and the caller's address."""


class Registration(Protocol):
    """Makes accounts, and lets their owners back in; see ``identity.registration``."""

    async def register(
        self, email: str, password: str, full_name: str, peer: str, *, invitation: str = "", code: str = ""
    ) -> object:
        """Make the account of somebody who was invited."""
        ...

    async def verify_email(self, peer: str, *, token: str = "", email: str = "", code: str = "") -> object:
        """Make the account whose address is proven."""
        ...

    async def reset(self, new_password: str, *, token: str = "", email: str = "", code: str = "") -> None:
        """Set a new password."""


class AccountPages:
    """Serves ``/accounts/<what>/<token>``: ``verify-email``, ``reset-password`` and ``register``."""

    def __init__(self, registration: Registration) -> None:
        self._registration = registration
        self._pages = Pages()

    def routes(self) -> list[web.RouteDef]:
        """Return what is to be served."""
        return [
            *self._form("verify-email", _VERIFY, self._verify),
            *self._form("reset-password", _RESET, self._reset),
            *self._form("register", _REGISTER, self._register),
        ]

    def _form(self, path: str, page: _Page, do: Do) -> list[web.RouteDef]:
        async def ask(request: web.Request) -> web.Response:
            if not TOKEN.fullmatch(request.match_info["token"]):
                return self._pages.no_link()
            return self._pages.show(200, page.title, page.text, page.button, fields=page.fields)

        async def act(request: web.Request) -> web.Response:
            token = request.match_info["token"]
            if not TOKEN.fullmatch(token):
                return self._pages.no_link()
            try:
                await do(token, await filled_in(request), request.remote or "")
            except UnavailableError:
                return self._pages.away()
            except InvalidArgumentError as error:
                problem = " ".join(sentence(one.description) for one in error.violations)
                return self._pages.show(422, page.title, page.text, page.button, fields=page.fields, problem=problem)
            except AlreadyExistsError as error:
                return self._pages.show(409, page.title, error.message)
            except FailedPreconditionError:
                return self._pages.no_link()
            except DomainError as error:
                return self._pages.show(429, page.title, error.message)
            return self._pages.show(200, "Done", "You can sign in now.")

        return [web.get(f"/accounts/{path}/{{token}}", ask), web.post(f"/accounts/{path}/{{token}}", act)]

    async def _verify(self, token: str, form: dict[str, str], peer: str) -> None:
        await self._registration.verify_email(peer, token=token)

    async def _reset(self, token: str, form: dict[str, str], peer: str) -> None:
        await self._registration.reset(form.get("password", ""), token=token)

    async def _register(self, token: str, form: dict[str, str], peer: str) -> None:
        email, password, name = (form.get(field, "") for field in ("email", "password", "full_name"))
        await self._registration.register(email, password, name, peer, invitation=token)
