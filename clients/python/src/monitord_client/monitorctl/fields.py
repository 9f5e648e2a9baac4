"""Putting what stands in YAML into the fields of messages, as their descriptors say.

A new kind of check, or a new field, needs nothing here. Beyond the protos' JSON mapping this takes what ``manifest``
tells of.
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from monitord_client.monitorctl.scalars import parse_value
from monitord_client.monitorctl.spans import parse_span

OUTPUT_ONLY = frozenset({"monitord.v1.HeartbeatCheck.ping_url"})
"""Fields of checks that the server alone sets: skipped when read, and left out of files."""

NULL_TAG = "tag:yaml.org,2002:null"
DURATION = "google.protobuf.Duration"

_MAX_NODES = 200_000
"""Aliases can make a small text enormous; this many nodes are 1,000 monitors many times over."""
_MERGE_TAG = "tag:yaml.org,2002:merge"


class TooManyNodesError(Exception):
    """The text's aliases make it too large."""


class FieldReader:
    """Reads YAML nodes into messages.

    ``complain`` is told the line (from 1), the path and what is wrong; ``remember`` the path and the line of
    everything that is read.
    """

    def __init__(self, complain: Callable[[int, str, str], None], remember: Callable[[str, int], None]) -> None:
        self._complain = complain
        self._tell = remember
        self._nodes = 0

    def message(
        self,
        node: yaml.Node,
        message: Message,
        path: str,
        skip: frozenset[str] = frozenset(),
        apart: Mapping[str, Callable[[yaml.Node, str], None]] = MappingProxyType({}),
    ) -> None:
        """Read a mapping into a message; what ``skip`` names, and what is output only, is ignored.

        ``apart`` has names that are no fields of the message: each is handed what stands there, with its path.
        """
        self.remember(node, path)
        skip |= {fd.name for fd in message.DESCRIPTOR.fields if fd.full_name in OUTPUT_ONLY}
        if not isinstance(node, yaml.MappingNode):
            names = ", ".join(f.name for f in message.DESCRIPTOR.fields if f.name not in skip)
            self.wrong(node, path, f"must be a mapping with some of: {names}")
            return
        fields = fields_of(message.DESCRIPTOR)
        given: dict[str, str] = {}
        for key, value in self.pairs(node, path):
            where = f"{path}.{key.value}"
            found = fields.get(key.value)
            if found is None and key.value in apart:
                apart[key.value](value, where)
                continue
            if found is None:
                self.wrong(key, where, unknown(key.value, [n for n in (*fields, *apart) if n not in skip]))
                continue
            descriptor, as_text = found
            slot = descriptor.containing_oneof.name if descriptor.containing_oneof else descriptor.name
            if value.tag == NULL_TAG or descriptor.name in skip:
                continue
            if slot in given:
                self.wrong(key, where, f"{given[slot]!r} and {key.value!r} cannot both be given: choose one")
                continue
            given[slot] = key.value
            self.field(value, message, descriptor, f"{path}.{descriptor.name}", as_text=as_text)

    def field(self, node: yaml.Node, message: Message, fd: FieldDescriptor, path: str, *, as_text: bool) -> None:
        """Read a node into one field of a message; items of a list are appended. ``as_text``: bytes come as text."""
        self.remember(node, path)
        if fd.message_type is not None and fd.message_type.GetOptions().map_entry:
            self._map(node, getattr(message, fd.name), fd, path)
        elif fd.is_repeated:
            items = node.value if isinstance(node, yaml.SequenceNode) else [node]
            for index, item in enumerate(items):
                self._item(item, getattr(message, fd.name), fd, f"{path}[{index}]", as_text=as_text)
        elif fd.message_type is not None and fd.message_type.full_name == DURATION:
            self._scalar(node, path, lambda text: getattr(message, fd.name).FromNanoseconds(parse_span(text)))
        elif fd.message_type is not None:
            inner = getattr(message, fd.name)
            inner.SetInParent()
            self.message(node, inner, path)
        else:
            self._scalar(node, path, lambda text: setattr(message, fd.name, parse_value(fd, text, as_text=as_text)))

    def _item(self, node: yaml.Node, items: Any, fd: FieldDescriptor, path: str, *, as_text: bool) -> None:
        if fd.message_type is not None:
            self.message(node, items.add(), path)
        else:
            self._scalar(node, path, lambda text: items.append(parse_value(fd, text, as_text=as_text)))

    def _map(self, node: yaml.Node, target: Any, fd: FieldDescriptor, path: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, path, "must be a mapping, such as {team: web}")
            return
        assert fd.message_type is not None
        value_field = fd.message_type.fields_by_name["value"]
        for key, value in self.pairs(node, path):

            def put(text: str, name: str = key.value) -> None:
                target[name] = parse_value(value_field, text, as_text=False)

            self._scalar(value, f"{path}.{key.value}", put)

    def _scalar(self, node: yaml.Node, path: str, put: Any) -> None:
        """Hand a scalar's text, as it stands in the file, to ``put``: `name: on` is the text "on", not a boolean."""
        self.remember(node, path)
        if not isinstance(node, yaml.ScalarNode):
            kind = "list" if isinstance(node, yaml.SequenceNode) else "mapping"
            self.wrong(node, path, f"must be a single value, not a {kind}")
            return
        if node.tag == NULL_TAG:
            self.wrong(node, path, "has no value")
            return
        try:
            put(node.value)
        except (ValueError, TypeError) as error:
            self.wrong(node, path, str(error))

    def pairs(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """Yield the pairs of a mapping: its own first, then those that it merges with ``<<`` and does not have."""
        seen: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            self._count()
            if key.tag == _MERGE_TAG:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif not isinstance(key, yaml.ScalarNode):
                self.wrong(key, path, "a name must be plain text")
            elif key.value in seen:
                self.wrong(key, f"{path}.{key.value}".lstrip("."), f"is already given in line {seen[key.value]}")
            else:
                seen[key.value] = key.start_mark.line + 1
                yield key, value
        for other in merged:
            if not isinstance(other, yaml.MappingNode):
                self.wrong(other, path, "only a mapping can be merged with <<")
                continue
            for key, value in self.pairs(other, path):
                if key.value not in seen:
                    seen[key.value] = key.start_mark.line + 1
                    yield key, value

    def remember(self, node: yaml.Node, path: str) -> None:
        """Tell where a path was read."""
        self._count()
        self._tell(path, node.start_mark.line + 1)

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise TooManyNodesError

    def wrong(self, node: yaml.Node, path: str, message: str) -> None:
        """Tell what is wrong with a node."""
        self._complain(node.start_mark.line + 1, path, message)


def fields_of(descriptor: Any) -> dict[str, tuple[Any, bool]]:
    """Return the fields by every name that a file may use; the flag says that bytes are given as text."""
    result: dict[str, tuple[Any, bool]] = {}
    for fd in descriptor.fields:
        result[fd.name] = result[fd.json_name] = (fd, False)
        if fd.type == FieldDescriptor.TYPE_BYTES:
            result[f"{fd.name}_text"] = (fd, True)
    return result


def unknown(name: str, known: list[str]) -> str:
    """Return a sentence for a name that is none of those known."""
    near = get_close_matches(name.lower(), known, n=1) or [each for each in known if name and each.startswith(name)]
    if near:
        return f"there is no {name!r} here; did you mean {near[0]!r}?"
    return f"there is no {name!r} here; there is {', '.join(sorted(each for each in known if each.islower()))}"
