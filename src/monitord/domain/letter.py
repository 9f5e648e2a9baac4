"""A mail about an account: to one address, with something to do in it. Plain text; whoever renders it escapes it."""

import msgspec


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What it says. It holds secrets: neither it nor its parts belong into logs (T15)."""

    key: str
    """Names this mail, the same for each attempt: 1 to 64 of ``a-z 0-9 -``."""
    recipient: str
    subject: str
    paragraphs: tuple[str, ...]
    button: str = ""
    """What the link is called; empty: there is none."""
    link: str = ""
    code: str = ""
    """What does the same by hand; empty: nothing does."""
    small_print: str = ""

    def __repr__(self) -> str:
        """Show neither link nor code (T15)."""
        return f"Letter({self.key!r})"
