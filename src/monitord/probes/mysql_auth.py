"""How MySQL and MariaDB are told who one is.

Sources: "Authentication Phase" in MySQL's source documentation (``mysql_native_password``, ``caching_sha2_password``),
and the pages of the same names in MariaDB's. A password never travels in the clear: over TLS, or encrypted with the RSA
key that the server shows. Nothing vouches for that key, so who can change what is sent on the way can learn the
password: over networks that are not trusted, TLS is what protects it.
"""

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from monitord.domain.check import Category
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.probes.answer import fail
from monitord.probes.channel import Channel
from monitord.probes.mysql_packets import EOF, ERROR, MORE, OK, Greeting, Packets, ServerError, read_error
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial

NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"
KNOWN = (NATIVE, CACHING_SHA2)

_FAST_DONE, _FULL_NEEDED, _ASK_FOR_KEY = b"\x03", b"\x04", b"\x02"
_NONCE_BYTES = 20
_MAX_PACKETS = 10
"""The longest way has five: a switch, what is left to do, the key, the outcome."""
_MAX_KEY_BYTES = 4096
_RSA_BITS = range(1024, 8193)
_NOT_LET_IN = frozenset({1044, 1045, 1049, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 3118, 3159, 3955, 4151})
"""No right to the database, wrong password, no such database, host or method not allowed, expired, locked, no TLS."""


class SignIn:
    """What follows our answer to the greeting, until the server lets us in or not."""

    def __init__(self, channel: Channel, check: MysqlCheck, trial: Trial, packets: Packets, greeting: Greeting) -> None:
        self.plugin = greeting.plugin if greeting.plugin in KNOWN else NATIVE
        self._channel = channel
        self._check = check
        self._trial = trial
        self._packets = packets
        self._nonce = greeting.nonce
        self._has_switched = False
        self._has_sent_all = False

    def proof(self) -> bytes:
        """Return what shows that we know the password, to the server's nonce; empty without a password."""
        return PROOFS[self.plugin](self._check.password.value.encode(), self._nonce)

    async def finish(self) -> ServerError | None:
        """Answer until the server has decided; return its refusal, None when it lets us in."""
        for _ in range(_MAX_PACKETS):
            packet = await self._packets.next()
            if packet[0] == OK:
                return None
            if packet[0] == ERROR:
                error = read_error(packet)
                if error is None:
                    raise self._packets.malformed("an error without a number")
                return error
            if packet[0] == EOF:
                await self._switch(packet)
            elif packet[0] == MORE and self.plugin == CACHING_SHA2:
                await self._go_on(packet[1:])
            else:
                raise self._packets.malformed(f"{shown(packet[:8])!r} during the sign-in")
        raise self._packets.malformed(f"more than {_MAX_PACKETS} packets without an outcome of the sign-in")

    async def _switch(self, packet: bytes) -> None:
        name, _, nonce = packet[1:].partition(b"\0")
        plugin = name.decode("latin-1")
        if self._has_switched:
            raise self._packets.malformed("a second change of the way to sign in")
        if plugin not in KNOWN:
            raise self._unknown(plugin)
        nonce = nonce.removesuffix(b"\0")
        if len(nonce) != _NONCE_BYTES:
            raise self._packets.malformed(f"a nonce of {len(nonce)} bytes, where {_NONCE_BYTES} are due")
        self._has_switched, self.plugin, self._nonce = True, plugin, nonce
        self._trial.note("ttfb", f"The server asks for {plugin}.")
        await self._packets.send(self.proof())

    def _unknown(self, plugin: str) -> StepError:
        who = f"{self._channel.peer.authority} wants {self._check.user!r} to sign in by"
        if not plugin:
            return fail(Category.AUTH_REFUSED, f"{who} a method of before MySQL 4.1, which is not safe to use.")
        if plugin == "mysql_clear_password":
            return fail(
                Category.AUTH_REFUSED, f"{who} sending the password in the clear (mysql_clear_password): not sent."
            )
        return fail(
            Category.AUTH_REFUSED,
            f"{who} {shown(plugin, 64)}, which is not supported: give the monitor a user of its own, with "
            f"{' or '.join(KNOWN)}.",
        )

    async def _go_on(self, data: bytes) -> None:
        """Go on with caching_sha2_password, for which the proof may be enough or not."""
        if self._has_sent_all or data not in (_FAST_DONE, _FULL_NEEDED):
            raise self._packets.malformed(f"{shown(data[:8])!r} as a step of {CACHING_SHA2}")
        self._has_sent_all = True
        if data == _FAST_DONE:
            return
        password = self._check.password.value.encode() + b"\0"
        if self._channel.is_secure:
            self._trial.note("ttfb", "The server asks for the password itself; it is sent over TLS.")
            await self._packets.send(password)
            return
        self._trial.note("ttfb", "The server asks for the password itself; it is sent encrypted with the server's key.")
        await self._packets.send(_ASK_FOR_KEY)
        packet = await self._packets.next()
        if packet[0] == ERROR:
            raise self._no_key(read_error(packet))
        if packet[0] != MORE:
            raise self._packets.malformed(f"{shown(packet[:8])!r} where its public key was due")
        try:
            await self._packets.send(encrypted(password, self._nonce, packet[1:]))
        except ValueError as error:
            raise self._packets.malformed(f"a public key that can't be used: {error}") from None

    def _no_key(self, error: ServerError | None) -> StepError:
        told = f": {shown(error.message)} ({error.number})" if error is not None else ""
        return fail(
            Category.AUTH_REFUSED,
            f"{self._channel.peer.authority} wants the password itself and shows no key to encrypt it with{told}. Set "
            "the monitor's security to TLS.",
        )


def is_refusal_of_us(error: ServerError) -> bool:
    """Tell an error about who we are from one about how the server is."""
    return error.number in _NOT_LET_IN or error.state == "28000"


def native(password: bytes, nonce: bytes) -> bytes:
    """Return the proof for mysql_native_password: SHA1(p) XOR SHA1(nonce + SHA1(SHA1(p)))."""
    if not password:
        return b""
    once = _sha1(password)
    return _xor(once, _sha1(nonce + _sha1(once)))


def caching_sha2(password: bytes, nonce: bytes) -> bytes:
    """Return the proof for caching_sha2_password: SHA256(p) XOR SHA256(SHA256(SHA256(p)) + nonce)."""
    if not password:
        return b""
    once = hashlib.sha256(password).digest()
    return _xor(once, hashlib.sha256(hashlib.sha256(once).digest() + nonce).digest())


PROOFS = {NATIVE: native, CACHING_SHA2: caching_sha2}


def encrypted(password: bytes, nonce: bytes, pem: bytes) -> bytes:
    """Return the password (with its NUL), mixed with the nonce, encrypted with a server's RSA key.

    Raises:
        ValueError: the key is no RSA key of 1024 to 8192 bits, or too short for the password.
    """
    if len(pem) > _MAX_KEY_BYTES:
        raise ValueError("it is too long")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is not in PEM form") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _RSA_BITS:
        raise ValueError("it is no RSA key of 1024 to 8192 bits")
    repeated = nonce * (len(password) // len(nonce) + 1)
    # SHA-1 is what the protocol says; OAEP does not rest on its resistance to collisions.
    oaep = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)  # noqa: S303
    try:
        return key.encrypt(_xor(password, repeated[: len(password)]), oaep)
    except ValueError:
        raise ValueError("it is too short for the password") from None


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
