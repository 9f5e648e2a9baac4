"""The bytes of a check's requests, built once and sent many times."""

import weakref
from base64 import b64encode

from monitord.domain.connection import NO_TLS_SETTINGS, TlsSettings
from monitord.domain.kinds import HttpCheck
from monitord.domain.kinds.http import BasicAuth, BearerAuth, HttpAuth
from monitord.domain.secrets import Header
from monitord.domain.target import Target, parse_target
from monitord.probes.http_decoding import OFFERED

_WITH_BODY = ("POST", "PUT", "PATCH")
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})
_OF_THE_BODY = frozenset({"content-type", "content-encoding", "content-language", "content-location"})
_OURS = frozenset(
    {"connection", "content-length", "transfer-encoding", "keep-alive", "te", "trailer", "upgrade", "expect"}
)


class Request:
    """One request, ready to be sent."""

    __slots__ = ("method", "original", "target", "wire")

    def __init__(self, target: Target, method: str, wire: bytes, *, original: bool) -> None:
        self.target = target
        self.method = method
        self.wire = wire
        self.original = original
        """It goes to the origin of the check's URL, which alone is shown secrets and certificates."""


class Plan:
    """What a check needs each time it runs, worked out the first time."""

    __slots__ = (
        "authorization",
        "body",
        "check",
        "foreign_tls",
        "headers",
        "keeps_body",
        "keyword",
        "request",
        "tls",
        "user_agent",
    )

    def __init__(self, check: HttpCheck, user_agent: str) -> None:
        """Prepare a check.

        Raises:
            ValueError: its URL or a header cannot be sent, which its creation should have refused.
        """
        for header in check.headers:
            if any(char in "\r\n\0" for char in header.name + header.value):
                raise ValueError(f"the header {header.name!r} contains a line break or NUL")
        self.check = weakref.ref(check)
        self.user_agent = user_agent
        self.headers = check.headers
        self.body = check.body
        self.keyword = check.keyword.encode()
        self.keeps_body = bool(check.body_regex or check.json_assertions)
        self.tls = check.tls
        self.foreign_tls = TlsSettings(ca_pem=check.tls.ca_pem) if check.tls.ca_pem else NO_TLS_SETTINGS
        """For other origins than the check's own: no certificate of ours, no name but theirs."""
        self.authorization = _authorization(check.auth)
        self.request = self.build(parse_target(check.url), check.method, authorization=self.authorization)

    def build(
        self, target: Target, method: str, *, original: bool = True, body: bool = True, authorization: str = ""
    ) -> Request:
        """Return a request of this check.

        Args:
            target: what to ask for.
            method: how.
            original: the target is of the same origin as the check's URL; otherwise nothing secret is sent, nor the
                Host of the original.
            body: whether the body, and the headers that describe it, are sent.
            authorization: what the Authorization header says, if the target is of the same origin.
        """
        content = self.body if body else b""
        headers = [header for header in self.headers if _may_send(header, original, body)]
        given = {header.name.lower() for header in headers}
        lines = [f"{method} {target.path_query} HTTP/1.1"]
        lines += [
            f"{name}: {value}"
            for name, value in (
                ("Host", target.authority),
                ("User-Agent", self.user_agent),
                ("Accept", "*/*"),
                ("Accept-Encoding", OFFERED),
            )
            if name.lower() not in given
        ]
        lines += [f"{header.name}: {header.value}" for header in headers]
        if authorization and original:
            lines.append(f"Authorization: {authorization}")
        if content or method in _WITH_BODY:
            lines.append(f"Content-Length: {len(content)}")
        lines += ["Connection: close", "", ""]
        return Request(target, method, "\r\n".join(lines).encode("utf-8") + content, original=original)


def _authorization(auth: HttpAuth | None) -> str:
    match auth:
        case BasicAuth(username, password):
            return f"Basic {b64encode(f'{username}:{password.value}'.encode()).decode()}"
        case BearerAuth(token):
            return f"Bearer {token.value}"
        case _:
            return ""


def _may_send(header: Header, original: bool, body: bool) -> bool:
    name = header.name.lower()
    if name in _OURS or (not body and name in _OF_THE_BODY):
        return False
    return original or not (header.secret or name in _SECRET or name == "host")


def redirected_method(status: int, method: str) -> str:
    """Return the method with which to follow a redirect (RFC 9110, 15.4)."""
    if status == 303 and method != "HEAD":
        return "GET"
    if status in (301, 302) and method == "POST":
        return "GET"
    return method
