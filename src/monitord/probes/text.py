"""Text from targets, made fit to be shown to people (T19)."""

import unicodedata

_REPLACED = {"\t": " ", "\n": " ", "\r": " "}


def shown(raw: bytes | str, limit: int = 200) -> str:
    """Return text from a target in at most ``limit`` characters, without controls or direction overrides.

    Bytes are read as UTF-8, and as latin-1 where they are none. Each control, format, private or unassigned character
    becomes U+FFFD, so that nothing hides and nothing reaches a terminal as a command.
    """
    if isinstance(raw, bytes):
        raw = raw[: 4 * limit]
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    else:
        text = raw
    cut = text[:limit]
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(_REPLACED.get(c) or ("\ufffd" if unicodedata.category(c)[0] == "C" else _flat(c)) for c in cut)


def _flat(char: str) -> str:
    # Separators of lines and paragraphs would break a line where none is expected; other odd spaces look like what they
    # are not.
    return " " if unicodedata.category(char)[0] == "Z" else char
