"""The messages of gRPC's health check, written and read by hand: two fields are all there is.

The framing is that of "gRPC over HTTP/2", the messages are those of ``grpc/health/v1/health.proto``, the encoding is
protobuf's.
"""

from collections.abc import Iterator

MAX_MESSAGE_BYTES = 4 * 1024
"""A HealthCheckResponse has two bytes, and whatever later versions of it may add."""
PREFIX_BYTES = 5
"""A flag for compression, and the length."""

_MAX_VARINT_BYTES = 10
_MASK = (1 << 64) - 1
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_STATUS_FIELD = 1


class MessageError(ValueError):
    """These bytes are not a message of gRPC's. The text is a part of a sentence."""


def framed_request(service: str) -> bytes:
    """Return a HealthCheckRequest with its prefix."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def unframed(data: bytes) -> bytes | None:
    """Return the one message that ``data`` begins with; None while it has not come whole.

    Raises:
        MessageError: it is compressed, too long, or followed by another.
    """
    if data and data[0] != 0:
        raise MessageError("a message that is compressed, unasked" if data[0] == 1 else "what is not a message of gRPC")
    if len(data) < PREFIX_BYTES:
        return None
    size = int.from_bytes(data[1:PREFIX_BYTES], "big")
    if size > MAX_MESSAGE_BYTES:
        raise MessageError(f"a message of {size} bytes, which is no answer to a health check")
    if len(data) > PREFIX_BYTES + size:
        raise MessageError("more than one message, where one is the answer")
    return data[PREFIX_BYTES:] if len(data) == PREFIX_BYTES + size else None


def serving_status(message: bytes) -> int:
    """Return the status of a HealthCheckResponse: 0 if it says none; the last one if it says several.

    Raises:
        MessageError: it is not in protobuf's encoding.
    """
    status = 0
    for number, wire_type, value in _fields(message):
        if number == _STATUS_FIELD:
            if wire_type != _VARINT:
                raise MessageError("a HealthCheckResponse whose status is no number")
            # An enum is an int32: what is beyond it is cut off.
            status = value & 0xFFFFFFFF
    return status - (1 << 32) if status >= 1 << 31 else status


def _fields(message: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield number, wire type and, for a varint, the value of each field."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number, wire_type, value = key >> 3, key & 7, 0
        if not 0 < number < 1 << 29:
            raise MessageError("a field whose number cannot be")
        if wire_type == _VARINT:
            value, position = _read_varint(message, position)
        elif wire_type == _LENGTH:
            size, position = _read_varint(message, position)
            position += size
        elif wire_type in (_FIXED32, _FIXED64):
            position += 4 if wire_type == _FIXED32 else 8
        else:
            raise MessageError("a field of a type that cannot be")
        if position > len(message):
            raise MessageError("a message that breaks off")
        yield number, wire_type, value


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & _MASK, position + index + 1
    raise MessageError("a message that breaks off, or holds a number that is too long")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
