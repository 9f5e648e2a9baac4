"""Where the server is, and whether it is safe to send it a secret."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_ADDRESS = "127.0.0.1:50051"
_PORT = 50051


@dataclass(frozen=True, slots=True)
class Tls:
    """How to trust the server's certificate, and which one to show it."""

    ca_file: Path | None = None
    """Certificates in PEM form to trust instead of the system's."""
    server_name: str | None = None
    """The name to expect in the certificate, where it is not the address's host."""
    cert_file: Path | None = None
    """The client's own certificate with its chain, in PEM form, for a server that asks for one (mTLS)."""
    key_file: Path | None = None
    """Its private key in PEM form, without a password; None: it stands in ``cert_file`` too."""


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address. What was judged is what is dialled: ``target`` is rebuilt from the parts."""

    host: str
    """A name, an address without brackets, or the path of a Unix socket."""
    port: int
    """0 for a Unix socket."""
    tls: bool = False
    """Whether the address itself asks for TLS (``https://``)."""

    @property
    def target(self) -> str:
        """The address as gRPC wants it."""
        if not self.port:
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"dns:///{host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether nothing that is sent there leaves this machine."""
        if not self.port or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """Return the address as people write it."""
        return self.target.removeprefix("dns:///")


def parse_address(text: str) -> Address:
    """Parse ``host``, ``host:port``, ``[v6]:port``, ``https://host[:port]``, ``http://...`` or ``unix:/path``.

    The port is 50051 unless given; after ``https://`` it is 443. Raises ValueError with a sentence.
    """
    if text.startswith("unix:"):
        return Address(host="/" + text.removeprefix("unix:").lstrip("/"), port=0)
    scheme, separator, _ = text.partition("://")
    if separator and scheme not in ("http", "https"):
        raise ValueError(f"{text!r} is not an address: write host:port, https://host:port or unix:/path")
    try:
        parts = urlsplit(text if separator else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not an address: {error}") from None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if not host or extra or port == 0 or any(c.isspace() for c in text):
        raise ValueError(f"{text!r} is not an address: write host:port, such as {DEFAULT_ADDRESS}")
    if ":" in host and "[" not in text:
        raise ValueError(f"{text!r} is not an address: write an IPv6 address in brackets, such as [::1]:{_PORT}")
    tls = scheme == "https" and bool(separator)
    return Address(host=host, port=port or (443 if tls else _PORT), tls=tls)
