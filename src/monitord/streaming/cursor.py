"""Where a tail stands, as an opaque text that its reader brings back.

A cursor names the last position of each shard that its reader has seen. Positions are in the order of commits, so
it stays right when several writers commit out of order (I15). It is bound to its organisation and set of monitors and
carries a check sum, against mistakes; it needs no signature, since whoever invents one only moves within their own log.
"""

import base64
import binascii
import hashlib
import struct
import zlib
from collections.abc import Sequence

from monitord.domain.errors import InvalidArgumentError, Violation

_VERSION = 1
_HEAD = struct.Struct("!BB8s")
_SUM = struct.Struct("!I")


class Cursors:
    """Makes and reads the cursors of one tail."""

    __slots__ = ("_binding",)

    def __init__(self, org_id: int, monitor_ids: Sequence[int] | None) -> None:
        """Bind to an organisation and to monitors; None: all of them. Their order does not matter."""
        ids = "all" if monitor_ids is None else ",".join(map(str, sorted(set(monitor_ids))))
        self._binding = hashlib.blake2b(f"{org_id}:{ids}".encode(), digest_size=8).digest()

    def write(self, positions: Sequence[int]) -> str:
        """Return the cursor for one position per shard, by the shards' numbers from 0."""
        head = _HEAD.pack(_VERSION, len(positions), self._binding)
        body = head + struct.pack(f"!{len(positions)}q", *positions)
        return _text(body + _SUM.pack(zlib.crc32(body)))

    def read(self, cursor: str) -> list[int]:
        """Return the positions.

        Raises:
            InvalidArgumentError: the text is damaged, or comes from a tail of other monitors (INVALID_CURSOR).

        """
        try:
            data = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            version, count, binding = _HEAD.unpack_from(data)
            positions = list(struct.unpack(f"!{count}q", data[_HEAD.size : -_SUM.size]))
            (check,) = _SUM.unpack(data[-_SUM.size :])
        except (ValueError, binascii.Error, struct.error):
            raise _invalid("is not a cursor of this server: send one as it was received") from None
        good = version == _VERSION and check == zlib.crc32(data[: -_SUM.size]) and _text(data) == cursor
        if not good or not positions or min(positions) < 0:
            raise _invalid("is not a cursor of this server: send one as it was received")
        if binding != self._binding:
            raise _invalid("comes from a tail of other monitors: send the monitor_ids it was received with")
        return positions


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _invalid(description: str) -> InvalidArgumentError:
    return InvalidArgumentError([Violation("cursor", description)], reason="INVALID_CURSOR")
