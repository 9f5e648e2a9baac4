"""Writing monitors as the YAML that ``manifest`` reads."""

import base64
import re
from collections.abc import Iterable

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from monitord_client.monitorctl.fields import OUTPUT_ONLY
from monitord_client.monitorctl.manifest import SERVER_FIELDS
from monitord_client.monitorctl.spans import span_text
from monitord_client.v1.monitor_pb2 import Monitor


def manifest_text(monitors: Iterable[Monitor]) -> str:
    """Return monitors as a file for ``monitorctl apply``: reading it back gives the same monitors.

    A secret header is written without its value, which the server never tells; applying it keeps the stored one.
    """
    entries = [mapping_of_fields(monitor, skip=SERVER_FIELDS) for monitor in monitors]
    return yaml.dump({"monitors": entries}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)


class _Dumper(yaml.SafeDumper):
    """Quotes and escapes what YAML counts as a line break: the emitter itself would fold some of it away."""


_BREAKS = re.compile("[\n\r\x85\u2028\u2029\ufeff]")


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _BREAKS.search(text) else None)


_Dumper.add_representer(str, _text)


def mapping_of_fields(message: Message, skip: frozenset[str] = frozenset()) -> dict[str, object]:
    """Return the fields of a message that are set, as a file has them; ``skip`` and what is output only left out."""
    result: dict[str, object] = {}
    for fd, value in message.ListFields():
        if fd.name in skip or fd.full_name in OUTPUT_ONLY:
            continue
        if fd.message_type is not None and fd.message_type.GetOptions().map_entry:
            result[fd.name] = dict(sorted(value.items()))
        elif fd.is_repeated:
            result[fd.name] = [_plain(fd, item) for item in value]
        elif fd.type == FieldDescriptor.TYPE_BYTES:
            result |= _bytes(fd.name, value)
        else:
            result[fd.name] = _plain(fd, value)
    return result


def _plain(fd: FieldDescriptor, value: object) -> object:
    if isinstance(value, Duration):
        return span_text(value.ToNanoseconds())
    if isinstance(value, Message):
        return mapping_of_fields(value)
    if fd.enum_type is not None and isinstance(value, int):
        known = fd.enum_type.values_by_number.get(value)
        return known.name if known else value
    return value


def _bytes(name: str, value: bytes) -> dict[str, object]:
    try:
        return {f"{name}_text": value.decode()}
    except UnicodeDecodeError:
        return {name: base64.b64encode(value).decode()}
