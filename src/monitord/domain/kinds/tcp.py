"""A TCP connection, and what is said on it."""

from monitord.domain.connection import SecureCheck


class TcpCheck(SecureCheck, frozen=True, tag="tcp", kw_only=True, weakref=True):
    """Connect; secure it if asked to; send something, and expect something."""

    send: bytes = b""
    expect: str = ""
    """RE2 that must match within the first 64 KiB of what the server sends; empty: nothing is read."""
