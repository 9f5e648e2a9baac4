"""Single values of messages, from the text that stands for them in a file, and back for people to read."""

import base64
import binascii
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration

from monitord_client.monitorctl.spans import span_words

_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_INTEGERS = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)
_FLOATS = frozenset({FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT})


def parse_value(fd: FieldDescriptor, text: str, *, as_text: bool) -> object:
    """Return a field's value from its text. Raises ValueError with a sentence that says what would be right."""
    if fd.type == FieldDescriptor.TYPE_BYTES:
        return text.encode() if as_text else _bytes(text, fd.name)
    if fd.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return text
    if fd.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _boolean(text)
    if fd.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return _enum(fd, text)
    if fd.cpp_type in _INTEGERS:
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
    if fd.cpp_type in _FLOATS:
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a number") from None
    raise ValueError("this kind of field cannot be written in a file")


def shown_value(fd: FieldDescriptor, value: Any) -> str:
    """Return a single value that is no message, or a length of time, as people write it."""
    if isinstance(value, Duration):
        return span_words(value.ToNanoseconds())
    if isinstance(value, bool):
        return "true" if value else "false"
    if fd.enum_type is not None:
        known = fd.enum_type.values_by_number.get(value)
        prefix = fd.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        return known.name.removeprefix(prefix).lower() if known is not None else f"#{value}"
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return f"{len(value):,} bytes"
    return str(value)


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _bytes(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"this is not base64; plain text goes into {name}_text") from None


def _enum(fd: FieldDescriptor, text: str) -> int:
    descriptor = fd.enum_type
    assert descriptor is not None
    names = {value.name: value.number for value in descriptor.values}
    prefix = descriptor.values[0].name.removesuffix("UNSPECIFIED")
    wanted = text.upper().replace("-", "_").replace(".", "_")
    for name in (wanted, prefix + wanted):
        if name in names:
            return names[name]
    short = [name.removeprefix(prefix).lower() for name in names if not name.endswith("_UNSPECIFIED")]
    raise ValueError(f"{text!r} is not one of: {', '.join(short)}")
