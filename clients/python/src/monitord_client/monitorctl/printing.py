"""Answers for scripts, and text that is safe to show."""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from monitord_client.monitorctl.options import Output

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]"
)


def visible(text: str) -> str:
    """Return text with what could steer a terminal or turn the reading direction replaced (T19)."""
    return _UNSAFE.sub("\ufffd", text)


def short(name_of: Callable[[Any], str], value: int) -> str:
    """Return an enum value's name without its prefix; its number when the server is newer than this client."""
    try:
        name = name_of(value)
    except ValueError:
        return f"#{value}"
    return name.removeprefix(name_of(0).removesuffix("UNSPECIFIED"))


def mapping_of(message: Message) -> dict[str, Any]:
    """Return a message in the protos' JSON mapping, with the protos' field names."""
    result: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return result


def print_data(output: Output, data: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print what ``mapping_of`` returned, or a structure of it, as JSON or YAML."""
    if output is Output.JSON:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
        return
    import yaml

    sys.stdout.write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=4096))


def print_line(output: Output, data: Mapping[str, Any]) -> None:
    """Print one event of a stream at once: a line of JSON, or a YAML document."""
    if output is Output.YAML:
        sys.stdout.write("---\n")
        print_data(output, data)
    else:
        sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    sys.stdout.flush()
