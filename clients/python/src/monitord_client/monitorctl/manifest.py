"""Reading monitors from YAML: the JSON mapping of the protos, with conveniences, and errors that name the line.

The reader is driven by the message descriptors, so that a new kind of check needs nothing here. Beyond the JSON
mapping it takes snake_case names, lengths of time as people write them (``1m``, ``500ms``), enum values without
their prefix (``none`` for ``REDIRECT_POLICY_NONE``), a single item for a list of one, and for a field of bytes its
text under the name with ``_text``. Fields that only the server sets are skipped: ``list -o yaml`` can be applied.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from monitord_client.monitorctl.scalars import parse_value
from monitord_client.monitorctl.spans import parse_span
from monitord_client.v1.monitor_pb2 import Monitor

SERVER_FIELDS = frozenset({"id", "status", "status_time", "last_check", "create_time", "update_time", "etag"})
"""Fields of Monitor that the server alone sets: left out of files."""

_MAX_NODES = 200_000
"""Aliases can make a small file enormous; this many nodes are 1,000 monitors many times over."""
_NULL_TAG = "tag:yaml.org,2002:null"
_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file something stands."""

    file: str
    line: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a file that is wrong, and what would be right."""

    place: Place
    path: str
    """The path of the field, such as ``monitors[2].http.url``; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.message}" if self.path else f"{self.place}: {self.message}"


class ManifestError(Exception):
    """Files that cannot be applied; ``problems`` has every one."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(slots=True)
class Manifest:
    """Monitors, and where each of their fields was read."""

    monitors: list[Monitor] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    """By path, such as ``monitors[2].http.url``."""

    def place_of(self, path: str) -> Place | None:
        """Return where a path, or the nearest thing around it, was read: what the server complains of has a line."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None


def read_manifest(sources: list[tuple[str, str]]) -> Manifest:
    """Read monitors from texts, each given with the name of its file.

    Raises ManifestError with every problem found, in the order of the files.
    """
    manifest, problems = Manifest(), list[Problem]()
    for file, text in sources:
        reader = _Reader(file, manifest, problems)
        try:
            for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
                reader.document(document)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            reader.complain(mark.line + 1 if mark else 1, "", f"this is not YAML: {error.problem or error.context}")
        except (yaml.YAMLError, RecursionError) as error:
            reader.complain(1, "", f"this cannot be read as YAML: {str(error) or 'it is nested too deeply'}")
        except _TooManyNodesError:
            reader.complain(1, "", "its aliases make it too large")
    _check_names(manifest, problems)
    if problems:
        raise ManifestError(problems)
    return manifest


def _check_names(manifest: Manifest, problems: list[Problem]) -> None:
    seen: dict[str, Place] = {}
    wrong = {problem.path for problem in problems}
    for index, monitor in enumerate(manifest.monitors):
        path = f"monitors[{index}]"
        place = manifest.place_of(f"{path}.name")
        if place is None or path in wrong or f"{path}.name" in wrong:
            continue
        if not monitor.name:
            problems.append(Problem(place, path, "a monitor needs a name"))
        elif monitor.name in seen:
            message = f"{monitor.name!r} is also the name of the monitor at {seen[monitor.name]}: names are unique"
            problems.append(Problem(place, f"{path}.name", message))
        seen.setdefault(monitor.name, place)


class _TooManyNodesError(Exception):
    pass


class _Reader:
    """Reads one file into a manifest."""

    def __init__(self, file: str, manifest: Manifest, problems: list[Problem]) -> None:
        self._file = file
        self._manifest = manifest
        self._problems = problems
        self._nodes = 0

    def complain(self, line: int, path: str, message: str) -> None:
        self._problems.append(Problem(Place(self._file, line), path, message))

    def document(self, node: yaml.Node | None) -> None:
        if node is None or node.tag == _NULL_TAG:
            return
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, "", "the file must begin with `monitors:`, followed by a list")
            return
        for key, value in self._pairs(node, ""):
            if key.value.startswith("x-"):
                continue  # room for anchors that monitors share
            if key.value != "monitors":
                self._wrong(key, key.value, _unknown(key.value, ["monitors"]))
            elif value.tag == _NULL_TAG:
                continue
            elif not isinstance(value, yaml.SequenceNode):
                self._wrong(value, "monitors", "must be a list: write each monitor as `- name: ...`")
            else:
                for item in value.value:
                    self._monitor(item)

    def _monitor(self, node: yaml.Node) -> None:
        monitor = Monitor()
        path = f"monitors[{len(self._manifest.monitors)}]"
        self._manifest.monitors.append(monitor)
        self._message(node, monitor, path, skip=SERVER_FIELDS)

    def _message(self, node: yaml.Node, message: Message, path: str, skip: frozenset[str] = frozenset()) -> None:
        self._remember(node, path)
        if not isinstance(node, yaml.MappingNode):
            names = ", ".join(f.name for f in message.DESCRIPTOR.fields if f.name not in skip)
            self._wrong(node, path, f"must be a mapping with some of: {names}")
            return
        fields = _fields(message)
        given: dict[str, str] = {}
        for key, value in self._pairs(node, path):
            where = f"{path}.{key.value}"
            found = fields.get(key.value)
            if found is None:
                self._wrong(key, where, _unknown(key.value, [n for n in fields if n not in skip]))
                continue
            descriptor, as_text = found
            slot = descriptor.containing_oneof.name if descriptor.containing_oneof else descriptor.name
            if value.tag == _NULL_TAG or descriptor.name in skip:
                continue
            if slot in given:
                self._wrong(key, where, f"{given[slot]!r} and {key.value!r} cannot both be given: choose one")
                continue
            given[slot] = key.value
            self._field(value, message, descriptor, f"{path}.{descriptor.name}", as_text=as_text)

    def _field(self, node: yaml.Node, message: Message, fd: FieldDescriptor, path: str, *, as_text: bool) -> None:
        self._remember(node, path)
        if fd.message_type is not None and fd.message_type.GetOptions().map_entry:
            self._map(node, getattr(message, fd.name), fd, path)
        elif fd.is_repeated:
            items = node.value if isinstance(node, yaml.SequenceNode) else [node]
            for index, item in enumerate(items):
                self._item(item, getattr(message, fd.name), fd, f"{path}[{index}]", as_text=as_text)
        elif fd.message_type is not None and fd.message_type.full_name == "google.protobuf.Duration":
            self._scalar(node, path, lambda text: getattr(message, fd.name).FromNanoseconds(parse_span(text)))
        elif fd.message_type is not None:
            inner = getattr(message, fd.name)
            inner.SetInParent()
            self._message(node, inner, path)
        else:
            self._scalar(node, path, lambda text: setattr(message, fd.name, parse_value(fd, text, as_text=as_text)))

    def _item(self, node: yaml.Node, items: Any, fd: FieldDescriptor, path: str, *, as_text: bool) -> None:
        if fd.message_type is not None:
            self._message(node, items.add(), path)
        else:
            self._scalar(node, path, lambda text: items.append(parse_value(fd, text, as_text=as_text)))

    def _map(self, node: yaml.Node, target: Any, fd: FieldDescriptor, path: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            self._wrong(node, path, "must be a mapping, such as {team: web}")
            return
        assert fd.message_type is not None
        value_field = fd.message_type.fields_by_name["value"]
        for key, value in self._pairs(node, path):

            def put(text: str, name: str = key.value) -> None:
                target[name] = parse_value(value_field, text, as_text=False)

            self._scalar(value, f"{path}.{key.value}", put)

    def _scalar(self, node: yaml.Node, path: str, put: Any) -> None:
        """Hand a scalar's text, as it stands in the file, to ``put``: `name: on` is the text "on", not a boolean."""
        self._remember(node, path)
        if not isinstance(node, yaml.ScalarNode):
            kind = "list" if isinstance(node, yaml.SequenceNode) else "mapping"
            self._wrong(node, path, f"must be a single value, not a {kind}")
            return
        if node.tag == _NULL_TAG:
            self._wrong(node, path, "has no value")
            return
        try:
            put(node.value)
        except (ValueError, TypeError) as error:
            self._wrong(node, path, str(error))

    def _pairs(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """Yield the pairs of a mapping: its own first, then those that it merges with ``<<`` and does not have."""
        seen: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            self._count()
            if key.tag == _MERGE_TAG:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif not isinstance(key, yaml.ScalarNode):
                self._wrong(key, path, "a name must be plain text")
            elif key.value in seen:
                self._wrong(key, f"{path}.{key.value}".lstrip("."), f"is already given in line {seen[key.value]}")
            else:
                seen[key.value] = key.start_mark.line + 1
                yield key, value
        for other in merged:
            if not isinstance(other, yaml.MappingNode):
                self._wrong(other, path, "only a mapping can be merged with <<")
                continue
            for key, value in self._pairs(other, path):
                if key.value not in seen:
                    seen[key.value] = key.start_mark.line + 1
                    yield key, value

    def _remember(self, node: yaml.Node, path: str) -> None:
        self._count()
        self._manifest.places.setdefault(path, Place(self._file, node.start_mark.line + 1))

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise _TooManyNodesError

    def _wrong(self, node: yaml.Node, path: str, message: str) -> None:
        self.complain(node.start_mark.line + 1, path, message)


def _fields(message: Message) -> dict[str, tuple[Any, bool]]:
    """Return the fields by every name that a file may use; the flag says that bytes are given as text."""
    result: dict[str, tuple[Any, bool]] = {}
    for fd in message.DESCRIPTOR.fields:
        result[fd.name] = result[fd.json_name] = (fd, False)
        if fd.type == FieldDescriptor.TYPE_BYTES:
            result[f"{fd.name}_text"] = (fd, True)
    return result


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"there is no {name!r} here; did you mean {near[0]!r}?"
    return f"there is no {name!r} here; there is {', '.join(sorted(known))}"
