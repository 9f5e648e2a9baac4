"""What all pages look like, and the headers that keep them safe."""

from collections.abc import Sequence

import msgspec
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
}


_MAX_FORM_BYTES = 16 * 1024


class Field(msgspec.Struct, frozen=True):
    """Something to fill in."""

    name: str
    label: str
    kind: str = "text"
    """As HTML's ``input`` knows it."""
    autocomplete: str = "off"
    value: str = ""


class Pages:
    """Renders pages from one template, autoescaped (T6)."""

    def __init__(self) -> None:
        environment = Environment(
            loader=PackageLoader("monitord.pages"), autoescape=select_autoescape(["j2"]), undefined=StrictUndefined
        )
        self._template = environment.get_template("page.html.j2")

    def show(
        self,
        status: int,
        title: str,
        text: str,
        button: str = "",
        *,
        fields: Sequence[Field] = (),
        problem: str = "",
    ) -> web.Response:
        """Return a page; with a ``button`` it has a form that posts to its own address."""
        page = self._template.render(title=title, text=text, button=button, fields=fields, problem=problem)
        return web.Response(status=status, text=page, content_type="text/html", headers=_HEADERS)

    def no_link(self) -> web.Response:
        """Return what stands where a link leads nowhere, or no more."""
        return self.show(404, "This link is not valid", "It was used already, has expired, or is not whole.")

    def away(self) -> web.Response:
        """Return what stands where the database is away."""
        response = self.show(503, "Not now", "Nothing was changed: try again in a minute.")
        response.headers["Retry-After"] = "60"
        return response


async def filled_in(request: web.Request) -> dict[str, str]:
    """Return what was filled into a form. Raises HTTPRequestEntityTooLarge beyond 16 KiB."""
    if request.content_length is not None and request.content_length > _MAX_FORM_BYTES:
        raise web.HTTPRequestEntityTooLarge(_MAX_FORM_BYTES, request.content_length)
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def sentence(description: str) -> str:
    """Return what is wrong with a field as a sentence of its own."""
    return f"{description[:1].upper()}{description[1:]}."
