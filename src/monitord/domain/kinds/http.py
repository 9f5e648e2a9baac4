"""An HTTP request, and what its answer must be like."""

import sys
from collections.abc import Hashable, Iterator
from enum import IntEnum

import msgspec

from monitord.domain.connection import NO_TLS_SETTINGS, AddressFamily, Place, TlsSettings
from monitord.domain.secrets import Header, Secret
from monitord.domain.target import InvalidTargetError, parse_target


class StatusRange(msgspec.Struct, frozen=True, array_like=True):
    """HTTP status codes ``first`` to ``last``, both included, 100 to 999."""

    first: int
    last: int


class TlsRequirement(IntEnum):
    """Whether an answer must come over TLS. The numbers are stored and sent: never reuse one."""

    NONE = 1
    REQUIRED = 2
    FORBIDDEN = 3


class HttpVersion(IntEnum):
    """Which version of HTTP is spoken. The numbers are stored and sent: never reuse one."""

    HTTP1 = 1
    AUTO = 2
    """HTTP/2 where the server agrees to it."""
    HTTP2 = 3


class Comparison(IntEnum):
    """How the value of a condition is compared. The numbers are stored and sent: never reuse one."""

    PRESENT = 1
    ABSENT = 2
    EQUALS = 3
    NOT_EQUALS = 4
    MATCHES = 5
    NOT_MATCHES = 6
    LESS = 7
    AT_MOST = 8
    GREATER = 9
    AT_LEAST = 10
    CONTAINS = 11


class BasicAuth(msgspec.Struct, frozen=True, tag="basic"):
    """A user name and a password (RFC 7617)."""

    username: str
    password: Secret = Secret()


class BearerAuth(msgspec.Struct, frozen=True, tag="bearer"):
    """A token (RFC 6750)."""

    token: Secret = Secret()


class Oauth2Auth(msgspec.Struct, frozen=True, tag="oauth2"):
    """A token that is asked for with client credentials, and kept while it is valid (RFC 6749, 4.4)."""

    token_url: str
    client_id: str
    client_secret: Secret = Secret()
    scopes: tuple[str, ...] = ()


HttpAuth = BasicAuth | BearerAuth | Oauth2Auth


class HeaderAssertion(msgspec.Struct, frozen=True):
    """A condition on a header of the answer. Of several fields of the name one must meet it; all, where it denies."""

    name: str
    comparison: Comparison
    value: str = ""


class JsonAssertion(msgspec.Struct, frozen=True):
    """A condition on a JSON body; every value that the path finds must meet it."""

    path: str
    comparison: Comparison
    value: str = ""


class HttpCheck(msgspec.Struct, frozen=True, tag="http", kw_only=True, weakref=True):
    """Ask for a URL and judge the answer. Fields are validated before they get here (``domain.rules``)."""

    url: str
    method: str = "GET"
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    accepted_status: tuple[StatusRange, ...] = (StatusRange(200, 399),)
    keyword: str = ""
    """Text that must appear in the body (or must not: ``keyword_absent``); empty: no condition."""
    keyword_absent: bool = False
    follow_redirects: bool = True
    max_redirects: int = 10
    expected_latency_ms: int = 0
    """Slower answers are DEGRADED; 0: no expectation."""
    verify_tls: bool = True
    address_family: AddressFamily = AddressFamily.ANY
    tls: TlsSettings = NO_TLS_SETTINGS
    tls_requirement: TlsRequirement = TlsRequirement.NONE
    resolver: str = ""
    """The DNS server to ask in place of the system's: an address with an optional port; empty: the system's."""
    auth: HttpAuth | None = None
    header_assertions: tuple[HeaderAssertion, ...] = ()
    body_regex: str = ""
    """RE2 that must match somewhere in the body (or must not: ``body_regex_absent``); empty: no condition."""
    body_regex_absent: bool = False
    json_assertions: tuple[JsonAssertion, ...] = ()
    min_body_bytes: int = 0
    """0: no condition."""
    max_body_bytes: int = 0
    """0: no condition."""
    min_certificate_days: int = 0
    """DEGRADED when the certificate has fewer whole days left; 0: no condition."""
    http_version: HttpVersion = HttpVersion.HTTP1

    @property
    def peer(self) -> str:
        """The host whose checks in flight are counted together, interned: many monitors share one.

        The authority is cut out rather than parsed: this key need only be the same for the same host, and must
        not fail on a stored URL that no rule would let in today.
        """
        return peer_of_url(self.url)

    @property
    def shown(self) -> str:
        """The URL without its query, in which people put tokens (T15)."""
        return self.url.partition("?")[0]

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent; see ``secrets.Holder``."""
        token_url = self.auth.token_url if isinstance(self.auth, Oauth2Auth) else ""
        return (_origin(self.url), token_url and _origin(token_url))

    def places(self) -> Iterator[Place]:
        """Yield what it will dial."""
        urls = {"url": self.url}
        if isinstance(self.auth, Oauth2Auth):
            urls["auth.oauth2.token_url"] = self.auth.token_url
        for field, url in urls.items():
            try:
                target = parse_target(url)
            except InvalidTargetError:
                continue  # the rules say what is wrong with it
            yield Place(field, target.host, target.port)


def peer_of_url(url: str) -> str:
    """Return the host of a URL in lower case, interned."""
    rest = url.partition("://")[2]
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    authority = authority.rpartition("@")[2].lower()
    host, colon, port = authority.rpartition(":")
    return sys.intern(host if colon and port.isdigit() else authority)


def _origin(url: str) -> Hashable:
    try:
        return parse_target(url).origin
    except InvalidTargetError:
        return None, url
