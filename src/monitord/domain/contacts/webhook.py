"""A URL of the user's own that takes alerts as JSON."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import Place
from monitord.domain.secrets import Header, Secret
from monitord.domain.target import InvalidTargetError, parse_target


class WebhookContact(msgspec.Struct, frozen=True, tag="webhook", kw_only=True):
    """POST a JSON document to a URL."""

    url: str
    headers: tuple[Header, ...] = ()
    signing_key: Secret = Secret()
    """With it each request carries an HMAC-SHA256 of its body, so that the receiver knows who sent it; empty: none."""

    @property
    def shown(self) -> str:
        """Return the URL without its query, in which people put tokens (T15)."""
        return self.url.partition("?")[0]

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent; see ``secrets.Holder``."""
        try:
            return (parse_target(self.url).origin,)
        except InvalidTargetError:
            return (self.url,)

    def places(self) -> Iterator[Place]:
        """Yield what it will dial."""
        try:
            target = parse_target(self.url)
        except InvalidTargetError:
            return  # the rules say what is wrong with it
        yield Place("url", target.host, target.port)
