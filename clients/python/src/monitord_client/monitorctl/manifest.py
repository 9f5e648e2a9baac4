"""Reading monitors and contacts from YAML: the protos' JSON mapping, with conveniences, and errors that name the line.

The reader (``fields``) is driven by the message descriptors, so that a new kind of check needs nothing here. Beyond the
JSON mapping it takes snake_case names, lengths of time as people write them (``1m``, ``500ms``), enum values without
their prefix (``none`` for ``REDIRECT_POLICY_NONE``), a single item for a list of one, and for a field of bytes its
text under the name with ``_text``. Fields that only the server sets are skipped: ``list -o yaml`` can be applied.
Contacts stand under ``contacts``, and who is told of a monitor under its ``alerts`` (``manifest_alerts``).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from monitord_client.monitorctl.fields import NULL_TAG, FieldReader, TooManyNodesError, unknown
from monitord_client.monitorctl.manifest_alerts import CONTACT_SERVER_FIELDS, Wish, fill_from_environment, read_wishes
from monitord_client.v1.contact_pb2 import Contact
from monitord_client.v1.monitor_pb2 import Monitor

SERVER_FIELDS = frozenset({"id", "status", "status_time", "last_check", "create_time", "update_time", "etag"})
"""Fields of Monitor that the server alone sets: left out of files."""


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
    """Monitors and contacts, and where each of their fields was read."""

    monitors: list[Monitor] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    wishes: dict[str, list[Wish]] = field(default_factory=dict)
    """Who is to be told, by the name of the monitor; of monitors that say so alone."""
    sections: set[str] = field(default_factory=set)
    """Which of ``monitors`` and ``contacts`` the files have, be they empty."""
    places: dict[str, Place] = field(default_factory=dict)
    """By path, such as ``monitors[2].http.url``."""

    def place_of(self, path: str) -> Place | None:
        """Return where a path, or the nearest thing around it, was read: what the server complains of has a line."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None


def read_manifest(sources: list[tuple[str, str]], environ: Mapping[str, str] = os.environ) -> Manifest:
    """Read monitors and contacts from texts, each given with the name of its file.

    ``environ`` has the texts of contacts that are written as ``env:NAME``, such as their secrets.
    Raises ManifestError with every problem found, in the order of the files.
    """
    manifest, problems = Manifest(), list[Problem]()
    for file, text in sources:
        reader = _Reader(file, manifest, problems, environ)
        try:
            for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
                reader.document(document)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            reader.complain(mark.line + 1 if mark else 1, "", f"this is not YAML: {error.problem or error.context}")
        except (yaml.YAMLError, RecursionError) as error:
            reader.complain(1, "", f"this cannot be read as YAML: {str(error) or 'it is nested too deeply'}")
        except TooManyNodesError:
            reader.complain(1, "", "its aliases make it too large")
    _check_names("monitor", manifest.monitors, manifest, problems)
    _check_names("contact", manifest.contacts, manifest, problems)
    if problems:
        raise ManifestError(problems)
    return manifest


def _check_names(what: str, items: Sequence[Monitor | Contact], manifest: Manifest, problems: list[Problem]) -> None:
    seen: dict[str, Place] = {}
    wrong = {problem.path for problem in problems}
    for index, item in enumerate(items):
        path = f"{what}s[{index}]"
        place = manifest.place_of(f"{path}.name")
        if place is None or path in wrong or f"{path}.name" in wrong:
            continue
        if not item.name:
            problems.append(Problem(place, path, f"a {what} needs a name"))
        elif item.name in seen:
            message = f"{item.name!r} is also the name of the {what} at {seen[item.name]}: names are unique"
            problems.append(Problem(place, f"{path}.name", message))
        seen.setdefault(item.name, place)


class _Reader:
    """Reads one file into a manifest."""

    def __init__(self, file: str, manifest: Manifest, problems: list[Problem], environ: Mapping[str, str]) -> None:
        self._file = file
        self._manifest = manifest
        self._problems = problems
        self._environ = environ
        self._fields = FieldReader(self.complain, self._remember)

    def complain(self, line: int, path: str, message: str) -> None:
        self._problems.append(Problem(Place(self._file, line), path, message))

    def _remember(self, path: str, line: int) -> None:
        self._manifest.places.setdefault(path, Place(self._file, line))

    def document(self, node: yaml.Node | None) -> None:
        if node is None or node.tag == NULL_TAG:
            return
        if not isinstance(node, yaml.MappingNode):
            self._fields.wrong(node, "", "the file must begin with `monitors:` or `contacts:`, followed by a list")
            return
        readers: dict[str, Callable[[yaml.Node], None]] = {"monitors": self._monitor, "contacts": self._contact}
        for key, value in self._fields.pairs(node, ""):
            if key.value.startswith("x-"):
                continue  # room for anchors that monitors share
            read = readers.get(key.value)
            if read is None:
                self._fields.wrong(key, key.value, unknown(key.value, list(readers)))
                continue
            self._manifest.sections.add(key.value)
            if value.tag == NULL_TAG:
                continue
            if not isinstance(value, yaml.SequenceNode):
                what = key.value.removesuffix("s")
                self._fields.wrong(value, key.value, f"must be a list: write each {what} as `- name: ...`")
                continue
            for item in value.value:
                read(item)

    def _monitor(self, node: yaml.Node) -> None:
        monitor = Monitor()
        path = f"monitors[{len(self._manifest.monitors)}]"
        self._manifest.monitors.append(monitor)
        wishes: list[Wish] = []
        given: list[bool] = []

        def take(value: yaml.Node, where: str) -> None:
            given.append(True)
            if value.tag != NULL_TAG:
                wishes.extend(read_wishes(value, where, self._fields))

        self._fields.message(node, monitor, path, skip=SERVER_FIELDS, apart={"alerts": take})
        if given:
            self._manifest.wishes[monitor.name] = wishes

    def _contact(self, node: yaml.Node) -> None:
        contact = Contact()
        path = f"contacts[{len(self._manifest.contacts)}]"
        self._manifest.contacts.append(contact)
        self._fields.message(node, contact, path, skip=CONTACT_SERVER_FIELDS)

        def complain(where: str, message: str) -> None:
            place = self._manifest.place_of(where)
            self.complain(place.line if place is not None else 1, where, message)

        fill_from_environment(contact, path, self._environ, complain)
