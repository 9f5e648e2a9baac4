"""The links and codes in mails: how an address says that it wants alerts, and that it wants no more (T14, T16)."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable

_UNSUBSCRIBE = re.compile(r"([1-9][0-9]{0,18})-([1-9][0-9]{0,18})-([A-Za-z0-9_-]{22})")
_MAC_BYTES = 16
_CODE_DIGITS = 8
MAX_WRONG_CODES = 5
"""How often a code may be guessed at before it is none any more: a chance of one in twenty million (T14)."""
TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
"""What a confirmation's link ends in: 128 random bits."""


class ContactLinks:
    """Makes and reads them. Unsubscribing needs no look into the database to refuse a wrong link, and never expires."""

    def __init__(self, derive: Callable[[str], tuple[bytes, ...]], base: Callable[[], str]) -> None:
        """Take where keys come from, and what stands before ``/contacts/``."""
        self._derive = derive
        self._base = base

    def confirm_url(self, token: str) -> str:
        """Return where a confirmation leads."""
        return f"{self._base().rstrip('/')}/contacts/confirm/{token}"

    def unsubscribe_url(self, org_id: int, contact_id: int) -> str:
        """Return where a contact ends its messages."""
        token = f"{org_id}-{contact_id}-{_sign(self._keys()[0], f'unsubscribe/{org_id}/{contact_id}')}"
        return f"{self._base().rstrip('/')}/contacts/unsubscribe/{token}"

    def read_unsubscribe(self, token: str) -> tuple[int, int] | None:
        """Return the organisation and the contact of a link; None if it wasn't made here."""
        match = _UNSUBSCRIBE.fullmatch(token)
        if match is None:
            return None
        org_id, contact_id = int(match[1]), int(match[2])
        text = f"unsubscribe/{org_id}/{contact_id}"
        good = [hmac.compare_digest(_sign(key, text), match[3]) for key in self._keys()]
        return (org_id, contact_id) if any(good) else None

    def code_hash(self, org_id: int, contact_id: int, code: str) -> bytes:
        """Return what is stored of a code: keyed, because so short a code could be found by trying all."""
        return _hash(self._keys()[0], org_id, contact_id, code)

    def is_code(self, stored: bytes, org_id: int, contact_id: int, code: str) -> bool:
        """Return whether a code is the one of which ``code_hash`` made what is stored, maybe with an older key."""
        good = [hmac.compare_digest(_hash(key, org_id, contact_id, code), stored) for key in self._keys()]
        return any(good)

    def _keys(self) -> tuple[bytes, ...]:
        return self._derive("contact")


def new_token() -> str:
    """Return the secret part of a link: 128 random bits."""
    return secrets.token_urlsafe(16)


def token_hash(token: str) -> bytes:
    """Return what is stored of it."""
    return hashlib.sha256(token.encode()).digest()


def new_code() -> str:
    """Return 8 random digits."""
    return f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}}"


def read_code(text: str) -> str:
    """Return a code as it was made, whatever spaces and hyphens people put into it."""
    return text.replace(" ", "").replace("-", "")


def _hash(key: bytes, org_id: int, contact_id: int, code: str) -> bytes:
    return hmac.digest(key, f"code/{org_id}/{contact_id}/{code}".encode(), "sha256")


def _sign(key: bytes, text: str) -> str:
    mac = hmac.digest(key, text.encode(), "sha256")[:_MAC_BYTES]
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
