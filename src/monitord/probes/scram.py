"""SCRAM-SHA-256: proves that one knows a password without telling it, and has the server prove the same.

Sources: RFC 5802 (the exchange, and its syntax in section 7), RFC 7677 (with SHA-256, and an example), RFC 4013
(SASLprep). Without channel binding: which ends of TLS belong together is not proven.
"""

import base64
import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata

import msgspec

MAX_ITERATIONS = 1_000_000
"""About 0.3 s of one core. Servers ask for 4096 by default, and pay for them only once: a hostile one asks for more."""
MAX_MESSAGE_BYTES = 4096

_GS2_HEADER = "n,,"
_BINDING = base64.b64encode(_GS2_HEADER.encode()).decode()
_MIN_SALT, _MAX_SALT = 1, 1024
# Printable ASCII without a comma (RFC 5802, 7).
_FIRST = re.compile(r"r=([\x21-\x2b\x2d-\x7e]{1,1024}),s=([A-Za-z0-9+/=]{4,1400}),i=([1-9][0-9]{0,9})(?:,.*)?")
_FINAL = re.compile(r"v=([A-Za-z0-9+/=]{4,100})(?:,.*)?")


class ScramError(ValueError):
    """The server does not follow the exchange; the text says how, after "it": ``sent no nonce``."""


class Challenge(msgspec.Struct, frozen=True):
    """What the server asks to be computed."""

    salt: bytes
    iterations: int


class Scram:
    """One exchange, without I/O."""

    def __init__(self, password: str, nonce: str, user: str = "") -> None:
        """Begin it. ``user`` is empty where the protocol around has named the user already."""
        self.is_proven = False
        """Whether the server has proven that it knows the password."""
        self._password = normalised(password)
        self._nonce = nonce
        name = user.replace("=", "=3D").replace(",", "=2C")
        self._first_bare = f"n={name},r={nonce}"
        self._server_first = ""
        self._whole_nonce = ""
        self._server_signature = b""

    def first(self) -> bytes:
        """Return the first message to the server."""
        return (_GS2_HEADER + self._first_bare).encode()

    def challenge(self, message: bytes) -> Challenge:
        """Read the server's first message.

        Raises:
            ScramError: it is malformed, answers another's nonce, or demands more than ``MAX_ITERATIONS``.
        """
        text = _text(message)
        match = _FIRST.fullmatch(text)
        if match is None:
            raise ScramError("sent a challenge that is none")
        nonce, salt, iterations = match[1], _decoded(match[2]), int(match[3])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramError("answered with a nonce that does not extend ours")
        if not _MIN_SALT <= len(salt) <= _MAX_SALT:
            raise ScramError("sent a salt of an impossible length")
        if iterations > MAX_ITERATIONS:
            raise ScramError(f"demands {iterations} iterations, where at most {MAX_ITERATIONS} are made")
        self._server_first, self._whole_nonce = text, nonce
        return Challenge(salt, iterations)

    def salted(self, challenge: Challenge) -> bytes:
        """Compute the salted password: slow on purpose, and without the GIL."""
        return hashlib.pbkdf2_hmac("sha256", self._password, challenge.salt, challenge.iterations)

    def final(self, salted: bytes) -> bytes:
        """Return the last message to the server, with the proof."""
        client_key = _hmac(salted, b"Client Key")
        without_proof = f"c={_BINDING},r={self._whole_nonce}"
        signed = f"{self._first_bare},{self._server_first},{without_proof}".encode()
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._server_signature = _hmac(_hmac(salted, b"Server Key"), signed)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, message: bytes) -> None:
        """Check the server's own proof.

        Raises:
            ScramError: it is malformed, or not that of a server which knows the password.
        """
        match = _FINAL.fullmatch(_text(message))
        if match is None:
            raise ScramError("sent a proof that is none")
        if not self._server_signature or not hmac.compare_digest(_decoded(match[1]), self._server_signature):
            raise ScramError("could not prove that it knows the password itself")
        self.is_proven = True


def normalised(password: str) -> bytes:
    """Return the password as it is hashed: after SASLprep, or as it is where that does not allow it (as Postgres)."""
    if password.isascii():
        return password.encode()
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in password if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    return (prepared if prepared and _is_allowed(prepared) else password).encode()


_PROHIBITED = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def _is_allowed(text: str) -> bool:
    if any(prohibited(char) for char in text for prohibited in _PROHIBITED):
        return False
    if not any(stringprep.in_table_d1(char) for char in text):
        return True
    # From right to left (RFC 3454, 6): at both ends, and nothing from left to right between.
    return (
        stringprep.in_table_d1(text[0])
        and stringprep.in_table_d1(text[-1])
        and not any(stringprep.in_table_d2(char) for char in text)
    )


def _text(message: bytes) -> str:
    if len(message) > MAX_MESSAGE_BYTES:
        raise ScramError(f"sent a message of {len(message)} bytes")
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise ScramError("sent a message that is no text") from None


def _decoded(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error:
        decoded = b""
    # Python takes more padding than there should be.
    if base64.b64encode(decoded).decode() != text:
        raise ScramError("sent a value that is not base64")
    return decoded


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
