"""The packets of MySQL and MariaDB, as bytes.

Sources: "Client/Server Protocol" in MySQL's source documentation, and the same chapter of MariaDB's: a packet is its
length in three bytes (little-endian), its number within one exchange, and its payload.
"""

import re
import struct

import msgspec

from monitord.domain.check import Category
from monitord.probes.answer import fail, whole
from monitord.probes.channel import MAX_RECEIVED, Channel
from monitord.probes.foreign import not_spoken
from monitord.probes.trial import StepError, Trial

LONG_PASSWORD = 1 << 0
LONG_FLAG = 1 << 2
CONNECT_WITH_DB = 1 << 3
PROTOCOL_41 = 1 << 9
SSL = 1 << 11
TRANSACTIONS = 1 << 13
SECURE_CONNECTION = 1 << 15
PLUGIN_AUTH = 1 << 19
DEPRECATE_EOF = 1 << 24

WANTED = LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH | DEPRECATE_EOF
"""Not among them: several statements in one, and files of ours for LOAD DATA LOCAL."""

MAX_COLUMNS = 4096
OK, MORE, LOCAL_INFILE, EOF, ERROR = 0x00, 0x01, 0xFB, 0xFE, 0xFF
_UTF8MB4 = 45
_MAX_GREETING = 4096
_NONCE_BYTES = 20
_SPLIT = 0xFFFFFF
_MAX_PACKET = 1 << 24


class ServerError(msgspec.Struct, frozen=True):
    """An ERR packet."""

    number: int
    state: str
    """SQLSTATE; empty in a greeting, which comes before it is known whether we understand one."""
    message: bytes


class Greeting(msgspec.Struct, frozen=True):
    """The first packet of a server."""

    version: bytes
    capabilities: int
    nonce: bytes
    """20 bytes."""
    plugin: str

    @property
    def is_mariadb(self) -> bool:
        """Whether it is a MariaDB: it spells some settings in its own way."""
        return b"mariadb" in self.version.lower()


class Packets:
    """Reads and writes the packets of one conversation, each bounded, their numbers checked."""

    def __init__(self, channel: Channel, trial: Trial) -> None:
        self._channel = channel
        self._trial = trial
        self._number = 0
        self._is_first = True

    async def next(self) -> bytes:
        """Return the next packet, at least one byte; raise ``StepError`` if it is none."""
        head = await self._channel.exactly(4)
        size, number = int.from_bytes(head[:3], "little"), head[3]
        if self._is_first and (size > _MAX_GREETING or number or not size):
            raise StepError(not_spoken(self._channel, "MySQL", self._trial.excerpt))
        if number != self._number:
            raise self.malformed(f"packet {number} where {self._number} was due")
        if not size:
            raise self.malformed("an empty packet")
        if size > MAX_RECEIVED or size == _SPLIT:
            raise StepError(self._channel.too_much())
        self._is_first = False
        self._number = (number + 1) % 256
        return await whole(self._channel, size)

    async def send(self, payload: bytes) -> None:
        """Send the next packet of an exchange."""
        await self._channel.send(len(payload).to_bytes(3, "little") + bytes([self._number]) + payload)
        self._number = (self._number + 1) % 256

    async def command(self, code: int, argument: bytes = b"") -> None:
        """Begin a new exchange with a command."""
        self._number = 0
        await self.send(bytes([code]) + argument)

    def malformed(self, what: str) -> StepError:
        """Return the error of a packet that is not what the protocol says; ``what`` goes on after "it sent"."""
        return fail(
            Category.PROTOCOL_INVALID,
            f"{self._channel.peer.authority} does not keep to MySQL's protocol: it sent {what}.",
        )

    def not_mysql(self) -> StepError:
        """Return the error of a first packet that is no greeting."""
        return StepError(not_spoken(self._channel, "MySQL", self._trial.excerpt))


_ERR = re.compile(rb"\xff(..)(?:#([0-9A-Za-z]{5}))?(.*)", re.DOTALL)


def read_error(packet: bytes) -> ServerError | None:
    """Return what an ERR packet tells; None if it is none."""
    match = _ERR.fullmatch(packet)
    if match is None:
        return None
    return ServerError(int.from_bytes(match[1], "little"), (match[2] or b"").decode(), match[3])


def read_greeting(packet: bytes) -> Greeting | None:
    """Return what a server's first packet tells (Handshake, version 10); None if it is none of this kind."""
    version_end = packet.find(b"\0", 1)
    if packet[0] != 10 or version_end < 0:
        return None
    fixed = packet[version_end + 1 : version_end + 32]
    if len(fixed) < 31 or fixed[12]:
        return None
    lower, upper, length = struct.unpack_from("<H", fixed, 13)[0], *struct.unpack_from("<HB", fixed, 18)
    # Reserved bytes, of which MariaDB uses some, and then at least 13 bytes: the rest of the nonce, and a NUL.
    rest = packet[version_end + 32 :]
    size = max(13, length - 8)
    if len(rest) < size:
        return None
    nonce = (fixed[4:12] + rest[:size])[:_NONCE_BYTES]
    plugin = rest[size:].partition(b"\0")[0]
    if not plugin.isascii() or len(plugin) > 64:
        return None
    return Greeting(packet[1:version_end], lower | upper << 16, nonce, plugin.decode())


def ssl_request(capabilities: int) -> bytes:
    """Return the packet after which the TLS handshake begins."""
    return struct.pack("<IIB23x", capabilities, _MAX_PACKET, _UTF8MB4)


def sign_in(capabilities: int, user: str, proof: bytes, database: str, plugin: str) -> bytes:
    """Return the answer to the greeting (HandshakeResponse41). ``proof`` has at most 255 bytes."""
    return (
        ssl_request(capabilities)
        + user.encode()
        + b"\0"
        + bytes([len(proof)])
        + proof
        + (database.encode() + b"\0" if capabilities & CONNECT_WITH_DB else b"")
        + (plugin.encode() + b"\0" if capabilities & PLUGIN_AUTH else b"")
    )


class Fields:
    """Reads the fields of one packet. Every method raises ``ValueError`` when the packet is shorter."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._position = 0

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._position == len(self._packet)

    def number(self) -> int | None:
        """Return a length-encoded number; None for NULL."""
        first = self._bytes(1)[0]
        if first < 0xFB:
            return first
        if first == 0xFB:
            return None
        if first == 0xFF:
            raise ValueError
        return int.from_bytes(self._bytes({0xFC: 2, 0xFD: 3, 0xFE: 8}[first]), "little")

    def text(self) -> bytes | None:
        """Return a length-encoded string; None for NULL."""
        size = self.number()
        return None if size is None else self._bytes(size)

    def _bytes(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._packet):
            raise ValueError
        found = self._packet[self._position : end]
        self._position = end
        return found
