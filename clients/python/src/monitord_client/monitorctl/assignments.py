"""``--set FIELD=VALUE`` and ``--secret FIELD``: any field of any kind of check, from the command line.

Driven by the message descriptors and read by the rules of files (``fields``), so that a new field needs nothing here.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.fields import DURATION, OUTPUT_ONLY, FieldReader, TooManyNodesError, fields_of, unknown
from monitord_client.monitorctl.scalars import shown_value
from monitord_client.monitorctl.schemes import KINDS
from monitord_client.v1.connection_pb2 import HttpHeader
from monitord_client.v1.monitor_pb2 import Monitor

SECRETS = frozenset(
    {"password", "token", "client_secret", "client_key_pem", "webhook_url", "bot_token", "routing_key", "signing_key"}
)
"""Names of fields that are write-only: their values are not taken from the command line itself (T15)."""
_ALSO_SECRET = frozenset({"monitord.v1.AppriseContact.url"})
"""Fields that are write-only, while others of the same name are not."""

_IN_JSON = frozenset({"clientSecret", "clientKeyPem"})
_OF_MONITORS = {
    "interval": "--interval LENGTH",
    "timeout": "--timeout LENGTH",
    "recheck_interval": "--recheck-interval LENGTH",
    "failure_threshold": "--failure-threshold NUMBER",
    "success_threshold": "--success-threshold NUMBER",
    "labels": "--label KEY=VALUE",
    "active": "--paused",
    "parent_ids": "it in a file for `monitorctl apply`",
}
_MOST_BYTES = 256 * 1024
"""As much as one request may have."""
_STRING_TAG = "tag:yaml.org,2002:str"


class Assigner:
    """Puts what the options say into the check of a kind.

    Every method raises CommandError, with a sentence that names the field and says what would be right.
    """

    def __init__(self, kind: str, check: Message, ask: Callable[[str], str]) -> None:
        """``ask`` asks a person for a secret of this name; it raises CommandError where there is none."""
        self._kind = kind
        self._check = check
        self._ask = ask
        self._problems: list[str] = []

    def set(self, assignment: str) -> None:
        """Take ``FIELD=VALUE``. A value that begins with @ is the content of a file, with @@ one that begins with @."""
        path, mark, text = assignment.partition("=")
        option = f"--set {path}"
        if not mark or not path:
            raise CommandError(f"--set {assignment!r} should look like --set expect=^220: {self._fields_here()}")
        message, fd, as_text = self._find(path, option)
        from_file = text.startswith("@") and not text.startswith("@@")
        if from_file:
            value: str | bytes = content(text[1:], option, as_bytes=fd.type == FieldDescriptor.TYPE_BYTES)
        else:
            value = text.removeprefix("@") if text.startswith("@@") else text
            if is_secret(fd) and text:
                raise CommandError(f"{option}: {_history(path)}")
        if isinstance(value, bytes):
            self._put(message, fd, option, lambda: setattr(message, fd.name, value))
            return
        node = _node(value, option) if _has_fields(fd) else _scalar(value)
        if not from_file:
            _refuse_secrets(node, path, option)
        self._put(message, fd, option, lambda: self._read(node, message, fd, path, as_text=as_text))

    def secret(self, assignment: str) -> None:
        """Take ``FIELD``, which is asked for, ``FIELD=@FILE`` or ``FIELD=env:NAME``; ``headers.NAME`` is a header."""
        path, mark, source = assignment.partition("=")
        option = f"--secret {path}"
        outer, _, name = path.partition(".")
        header = fields_of(self._check.DESCRIPTOR).get(outer)
        if name and header is not None and header[0].message_type is HttpHeader.DESCRIPTOR:
            value = self._secret(path, mark, source, option)
            getattr(self._check, header[0].name).add(name=name, value=value, secret=True)
            return
        message, fd, _ = self._find(path, option)
        if fd.is_repeated or fd.cpp_type != FieldDescriptor.CPPTYPE_STRING:
            raise CommandError(f"{option}: only a single text can be given so; write --set {path}=VALUE")
        value = self._secret(path, mark, source, option)
        self._put(message, fd, option, lambda: setattr(message, fd.name, value))

    def _secret(self, path: str, mark: str, source: str, option: str) -> str:
        if not mark:
            return self._ask(path)
        if source.startswith("@"):
            return str(content(source[1:], option))
        name = source.removeprefix("env:")
        if name == source:
            raise CommandError(f"{option}: {_history(path)}")
        if not os.environ.get(name):
            raise CommandError(f"{option}: the environment has no {name}")
        return os.environ[name]

    def _find(self, path: str, option: str) -> tuple[Any, FieldDescriptor, bool]:
        """Return the message that a path leads to, its field, and whether bytes come as text."""
        message: Any = self._check
        *outer, last = path.split(".")
        for name in outer:
            fd, _ = self._field(message, name, option)
            if fd.is_repeated or not _has_fields(fd):
                raise CommandError(f"{option}: {name} has no fields to be named one by one: {_example(fd)}")
            _refuse_rival(message, fd, option)
            message = getattr(message, fd.name)
            message.SetInParent()
        fd, as_text = self._field(message, last, option)
        _refuse_rival(message, fd, option)
        return message, fd, as_text

    def _field(self, message: Message, name: str, option: str) -> tuple[FieldDescriptor, bool]:
        known = fields_of(message.DESCRIPTOR)
        if name not in known:
            if message is self._check and name in _OF_MONITORS and self._kind in KINDS:
                raise CommandError(f"{option}: this is the monitor's, not the check's: write {_OF_MONITORS[name]}")
            names = [each for each, found in known.items() if found[0].full_name not in OUTPUT_ONLY]
            raise CommandError(f"{option}: {unknown(name, names)}")
        if known[name][0].full_name in OUTPUT_ONLY:
            raise CommandError(f"{option}: the server alone sets this")
        return known[name]

    def _fields_here(self) -> str:
        names = [fd.name for fd in self._check.DESCRIPTOR.fields if fd.full_name not in OUTPUT_ONLY]
        return f"the fields of this kind ({self._kind}) are {', '.join(names)}"

    def _put(self, message: Any, fd: FieldDescriptor, option: str, put: Callable[[], None]) -> None:
        """Set a field, but never one that says something else already: two answers to one question are a mistake."""
        is_single = not fd.is_repeated and (fd.message_type is None or fd.message_type.full_name == DURATION)
        had = is_single and any(fd.number == present.number for present, _ in message.ListFields())
        before = shown_value(fd, getattr(message, fd.name)) if had else ""
        put()
        if self._problems:
            raise CommandError("\n".join(self._problems))
        if had and shown_value(fd, getattr(message, fd.name)) != before:
            known = "" if is_secret(fd) else f": it is {before}"
            raise CommandError(f"{option}: the target, an option or another --set says something else already{known}")

    def _read(self, node: yaml.Node, message: Any, fd: FieldDescriptor, path: str, *, as_text: bool) -> None:
        def complain(_: int, where: str, what: str) -> None:
            self._problems.append(f"--set {where}: {what}")

        reader = FieldReader(complain, lambda *_: None)
        try:
            reader.field(node, message, fd, path, as_text=as_text)
        except TooManyNodesError:
            raise CommandError(f"--set {path}: its aliases make it too large") from None


def is_secret(fd: FieldDescriptor) -> bool:
    """Return whether a field is write-only."""
    return fd.name in SECRETS or fd.full_name in _ALSO_SECRET


def field_paths(kind: str) -> list[str]:
    """Return the paths of all fields of a kind that can be set."""
    return list(_paths(getattr(Monitor(), kind).DESCRIPTOR, "")) if kind else []


def _paths(descriptor: Any, prefix: str) -> Iterator[str]:
    for fd in descriptor.fields:
        if fd.full_name in OUTPUT_ONLY:
            continue
        yield f"{prefix}{fd.name}"
        if _has_fields(fd) and not fd.is_repeated and fd.message_type is not None:
            yield from _paths(fd.message_type, f"{prefix}{fd.name}.")


def content(name: str, option: str, *, as_bytes: bool = False) -> str | bytes:
    """Return what a file holds; - is stdin. Of a text the line break at its end is left out.

    Raises CommandError when it cannot be read or is larger than any field.
    """
    try:
        raw = sys.stdin.buffer.read(_MOST_BYTES + 1) if name == "-" else _beginning(Path(name))
        if len(raw) > _MOST_BYTES:
            raise CommandError(f"{option}: {name} is larger than {_MOST_BYTES // 1024} KiB")
        return raw if as_bytes else raw.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise CommandError(f"{option}: cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{option}: cannot read {name}: it is not UTF-8 text") from None


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES + 1)


def _history(path: str) -> str:
    return (
        "a secret on the command line would stay in your shell's history: "
        f"write --secret {path} (it is asked for), --secret {path}=@FILE or --secret {path}=env:NAME"
    )


def _has_fields(fd: FieldDescriptor) -> bool:
    return fd.message_type is not None and fd.message_type.full_name != DURATION


def _example(fd: FieldDescriptor) -> str:
    if fd.message_type is None or not _has_fields(fd):
        return f"write --set {fd.name}=VALUE"
    inner = ", ".join(f"{each.name}: ..." for each in fd.message_type.fields)
    return f"write --set {fd.name}='{{{inner}}}', once for each"


def _refuse_rival(message: Any, fd: FieldDescriptor, option: str) -> None:
    if fd.containing_oneof is None:
        return
    chosen = message.WhichOneof(fd.containing_oneof.name)
    if chosen not in (None, fd.name):
        raise CommandError(f"{option}: {chosen!r} and {fd.name!r} cannot both be given: choose one")


def _scalar(text: str) -> yaml.Node:
    mark = yaml.Mark("", 0, 0, 0, None, 0)
    return yaml.ScalarNode(_STRING_TAG, text, mark, mark)


def _node(text: str, option: str) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise CommandError(f"{option}: should look like '{{name: value, other: value}}': {problem}") from None
    return node if node is not None else _scalar("")


def _refuse_secrets(node: yaml.Node, path: str, option: str) -> None:
    for where, key in _secrets_in(node, path):
        hint = f"leave {key} out of the value, and write --secret {where}"
        raise CommandError(
            f"{option}: a secret on the command line would stay in your shell's history: {hint}, or --set {path}=@FILE"
        )


def _secrets_in(node: yaml.Node, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of secrets within a value; deeper than any message nothing is looked for."""
    if depth > 5 or not isinstance(node, yaml.CollectionNode):
        return
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _secrets_in(item, path, depth + 1)
        return
    pairs = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    for key, value in pairs.items():
        if key in SECRETS | _IN_JSON and value.value:
            yield f"{path}.{key}", key
        yield from _secrets_in(value, f"{path}.{key}", depth + 1)
    flag, value = pairs.get("secret"), pairs.get("value")
    if flag is not None and value is not None and value.value and str(flag.value).lower() in ("true", "yes", "on"):
        yield f"{path}.{getattr(pairs.get('name'), 'value', 'NAME')}", "value"
