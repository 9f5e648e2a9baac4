"""What a URL, or a host and a port, points at, parsed once and strictly (T3).

The same value is shown to users, classified by the egress policy, dialled and put on the wire, so no two parsers can
disagree about the host. Spellings that other programs read differently (userinfo, backslashes, octal or hexadecimal
IPv4, fullwidth digits, zone ids) are refused with a sentence that says what would be right, never repaired.
"""

import ipaddress
import re
import unicodedata

import idna
import msgspec

MAX_URL_CHARS = 2048
"""Longest URL that a user may enter."""
MAX_LOCATION_CHARS = 8192
"""Longest Location that a redirect may carry."""

HTTP = ("http", "https")
WEBSOCKET = ("ws", "wss")

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# RFC 3986, appendix B.
_REFERENCE = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DOTTED_QUAD = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_TO_ENCODE = re.compile(r"[^A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]")


class InvalidTargetError(ValueError):
    """The URL cannot be checked. The text says what would be right."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes, in the one form that is shown, judged, dialled and sent."""

    scheme: str
    """``http`` or ``https``; ``ws`` or ``wss`` for a WebSocket."""
    host: str
    """A name in ASCII (IDNA 2008), or an address in its canonical form; IPv6 without brackets."""
    port: int
    """1 to 65535."""
    path_query: str
    """The request target (RFC 9112, 3.2.1): begins with ``/``, percent-encoded."""
    literal: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None
    """The address, when the URL has one in place of a name."""

    @property
    def authority(self) -> str:
        """The value of the Host header: the port only where it isn't the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: secrets stay within one (RFC 6454)."""
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        """The whole as a URL."""
        return f"{self.scheme}://{self.authority}{self.path_query}"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A host and a port, in the one form that is shown, judged and dialled."""

    host: str
    """A name in ASCII (IDNA 2008), or an address in its canonical form; IPv6 without brackets."""
    port: int
    """1 to 65535."""
    literal: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None
    """The address, where there is one in place of a name."""

    @property
    def authority(self) -> str:
        """Host and port as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(host: str, port: int) -> Endpoint:
    """Parse a host and a port as a user enters them: a name, or an address, IPv6 with or without brackets.

    Raises:
        InvalidTargetError: the host is none, or one that other programs could read differently; or the port is none.
    """
    _refuse_invisible(host)
    if not 1 <= port <= 65535:
        raise InvalidTargetError(f"the port must be 1 to 65535, not {port}")
    if ":" in host and not host.startswith("["):
        if host.count(":") == 1:
            raise InvalidTargetError("give the host alone; the port has a field of its own")
        host = f"[{host}]"
    if host.startswith("[") and not host.endswith("]"):
        raise InvalidTargetError("an IPv6 address in [brackets] ends with the bracket")
    if "/" in host or "@" in host:
        raise InvalidTargetError("give the host alone, without a scheme, a user or a path")
    name, literal = _host(host)
    return Endpoint(host=name, port=port, literal=literal)


def parse_server(text: str, default_port: int) -> Endpoint:
    """Parse a host with an optional port, such as ``192.0.2.53``, ``[2001:db8::53]:5353`` or ``dns.example.com:53``.

    An IPv6 address without brackets is taken as one without a port.

    Raises:
        InvalidTargetError: see ``parse_endpoint``.
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return parse_endpoint(text, default_port)
    return parse_endpoint(match.group(1), _port(match.group(2), default_port))


def parse_target(url: str, schemes: tuple[str, ...] = HTTP) -> Target:
    """Parse an absolute URL as a user enters it.

    Raises:
        InvalidTargetError: it is none, or one that other programs could read differently.
    """
    if len(url) > MAX_URL_CHARS:
        raise InvalidTargetError(f"the URL has {len(url)} characters; at most {MAX_URL_CHARS} are allowed")
    _refuse_invisible(url)
    scheme, authority, path, query, fragment = _split(url)
    if scheme is None or authority is None:
        raise InvalidTargetError(f"give an absolute URL, such as {schemes[-1]}://example.com/health")
    if fragment is not None:
        raise InvalidTargetError("leave out the fragment (#...): it is never sent to a server")
    return _target(scheme, authority, path, query, schemes)


def resolve_redirect(target: Target, location: str) -> Target:
    """Return where a redirect from ``target`` leads: a URL, or a reference relative to it (RFC 3986, 5.2).

    Spaces at the ends are dropped and others encoded, a fragment is ignored: servers send both.

    Raises:
        InvalidTargetError: it leads nowhere that may be dialled, such as to another scheme (T4).
    """
    location = location.strip(" \t").replace(" ", "%20")
    if len(location) > MAX_LOCATION_CHARS:
        raise InvalidTargetError(f"the Location is longer than {MAX_LOCATION_CHARS} characters")
    _refuse_invisible(location)
    scheme, authority, path, query, _ = _split(location)
    if scheme is not None:
        if scheme in HTTP and authority is None:
            raise InvalidTargetError(f"'{scheme}:' must be followed by // and a host")
        return _target(scheme, authority or "", path, query)
    if authority is not None:
        return _target(target.scheme, authority, path, query)
    base_path, mark, base_query = target.path_query.partition("?")
    if not path:
        path = base_path
        query = query if query is not None else (base_query if mark else None)
    elif not path.startswith("/"):
        path = base_path[: base_path.rfind("/") + 1] + path
    return Target(
        scheme=target.scheme,
        host=target.host,
        port=target.port,
        path_query=_path_query(path, query),
        literal=target.literal,
    )


def _refuse_invisible(text: str) -> None:
    for char in text:
        if char == "\\":
            raise InvalidTargetError("use / in place of the backslash")
        # Cc controls, Cf format characters such as the right-to-left override, Zs/Zl/Zp spaces, Cs lone surrogates.
        if char <= " " or char == "\x7f" or (char > "\x7f" and unicodedata.category(char)[0] in "CZ"):
            raise InvalidTargetError(
                f"the URL contains the invisible character U+{ord(char):04X}; leave it out, or percent-encode it"
            )


def _split(reference: str) -> tuple[str | None, str | None, str, str | None, str | None]:
    match = _REFERENCE.fullmatch(reference)
    if match is None:  # the expression matches every string
        raise InvalidTargetError("give an absolute URL, such as https://example.com/health")
    scheme, authority, path, query, fragment = match.groups()
    return (scheme.lower() if scheme is not None else None), authority, path, query, fragment


def _target(scheme: str, authority: str, path: str, query: str | None, schemes: tuple[str, ...] = HTTP) -> Target:
    if scheme not in schemes:
        raise InvalidTargetError(f"the scheme must be {' or '.join(schemes)}, not {scheme[:32]!r}")
    if "@" in authority:
        raise InvalidTargetError("leave out the user name before the @; send credentials as an Authorization header")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise InvalidTargetError("after the host comes nothing but :port; IPv6 addresses stand in [brackets]")
    host, literal = _host(match.group(1))
    return Target(
        scheme=scheme,
        host=host,
        port=_port(match.group(2), _PORTS[scheme]),
        path_query=_path_query(path, query),
        literal=literal,
    )


def _port(text: str | None, default: int) -> int:
    if not text:
        if text is None:
            return default
        raise InvalidTargetError("give the port after the colon, or leave the colon out")
    port = int(text) if len(text) <= 5 else 65536
    if not 1 <= port <= 65535:
        raise InvalidTargetError(f"the port must be 1 to 65535, not {text[:16]}")
    return port


def _host(text: str) -> tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address | None]:
    if not text:
        raise InvalidTargetError("the host is missing: give a name or an address after //")
    if text.startswith("["):
        return _ipv6(text[1:-1])
    if text.endswith("."):
        raise InvalidTargetError("leave out the dot at the end of the host")
    name = text.lower() if text.isascii() else _to_ascii(text)
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # What ends in a number is an IPv4 address to every resolver, in one of its many spellings.
        return _ipv4(text)
    for label in labels:
        if len(label) > 63:
            raise InvalidTargetError("each part of a host name has at most 63 characters")
        if not _LABEL.fullmatch(label):
            raise InvalidTargetError(
                "a host name is made of letters, digits, hyphens and dots, and no part begins or ends with a hyphen"
            )
    if len(name) > 253:
        raise InvalidTargetError("a host name has at most 253 characters")
    if text.isascii() and any(label.startswith("xn--") for label in labels):
        _to_ascii(name)
    return name, None


def _to_ascii(text: str) -> str:
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise InvalidTargetError(
            "the host is not a valid international name (IDNA 2008); check its spelling, or give it as xn--..."
        ) from None


def _ipv4(text: str) -> tuple[str, ipaddress.IPv4Address]:
    if not _DOTTED_QUAD.fullmatch(text):
        raise InvalidTargetError(
            "write an IPv4 address as four plain decimal numbers without leading zeros, such as 192.0.2.1"
        )
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise InvalidTargetError("each of the four numbers of an IPv4 address is 0 to 255") from None
    return str(address), address


def _ipv6(text: str) -> tuple[str, ipaddress.IPv6Address]:
    if "%" in text:
        raise InvalidTargetError("leave out the zone id (%...): it means something on one machine only")
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise InvalidTargetError("what stands in [brackets] must be an IPv6 address, such as [2001:db8::1]") from None
    return address.compressed, address


def _path_query(path: str, query: str | None) -> str:
    path = _remove_dot_segments(path) if "/." in path else path
    full = (path or "/") if query is None else f"{path or '/'}?{query}"
    return _TO_ENCODE.sub(lambda m: "".join(f"%{byte:02X}" for byte in m.group().encode()), full)


def _remove_dot_segments(path: str) -> str:
    """RFC 3986, 5.2.4, for a path that begins with a slash."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
