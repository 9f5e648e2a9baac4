"""Contacts, and what they are told of a monitor, as they stand in a file for ``apply``."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import yaml
from google.protobuf.message import Message

from monitord_client.monitorctl.assignments import is_secret
from monitord_client.monitorctl.fields import NULL_TAG, FieldReader
from monitord_client.v1.connection_pb2 import HttpHeader
from monitord_client.v1.contact_pb2 import AlertSettings, Contact

CONTACT_SERVER_FIELDS = frozenset(
    {"id", "destination", "verify_time", "disabled_reason", "create_time", "update_time", "etag"}
)
"""Fields of Contact that the server alone sets: left out of files."""

_ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_SHAPE = "must be a list of contacts: `[ann]`, or `- {contact: ann, delay: 2m}` with what it wants to be told"


class Wish(NamedTuple):
    """What a contact is to be told of a monitor."""

    contact: str
    """Its name."""
    settings: AlertSettings
    path: str
    """Where it stands, such as ``monitors[2].alerts[0]``."""


def read_wishes(node: yaml.Node, path: str, fields: FieldReader) -> list[Wish]:
    """Return who is to be told of a monitor. What is wrong is told to ``fields``."""
    if not isinstance(node, yaml.SequenceNode):
        fields.wrong(node, path, _SHAPE)
        return []
    wishes: list[Wish] = []
    for index, item in enumerate(node.value):
        where = f"{path}[{index}]"
        wish = _read_wish(item, where, fields)
        if wish is None:
            continue
        if any(wish.contact == other.contact for other in wishes):
            fields.wrong(item, where, f"{wish.contact!r} stands here twice")
        wishes.append(wish)
    return wishes


def _read_wish(node: yaml.Node, path: str, fields: FieldReader) -> Wish | None:
    names: list[str] = []

    def take(value: yaml.Node, where: str) -> None:
        if isinstance(value, yaml.ScalarNode) and value.value and value.tag != NULL_TAG:
            names.append(value.value)
        else:
            fields.wrong(value, where, "must be the name of a contact")

    settings = AlertSettings()
    if isinstance(node, yaml.MappingNode):
        fields.message(node, settings, path, apart={"contact": take})
        if not any(isinstance(key, yaml.ScalarNode) and key.value == "contact" for key, _ in node.value) and not names:
            fields.wrong(node, path, "say whom to tell: `contact: NAME`")
    else:
        fields.remember(node, path)
        take(node, path)
    return Wish(names[0], settings, path) if names else None


def fill_from_environment(
    contact: Contact, path: str, environ: Mapping[str, str], complain: Callable[[str, str], None]
) -> None:
    """Put what the environment holds in place of ``env:NAME`` in the texts of a contact's channel.

    ``complain`` is told the path and what is wrong.
    """
    kind = contact.WhichOneof("channel")
    if kind is None:
        return
    for holder, name, where in list(_texts(getattr(contact, kind), f"{path}.{kind}")):
        found = _ENVIRONMENT.fullmatch(getattr(holder, name))
        if found is None:
            continue
        if environ.get(found[1]):
            setattr(holder, name, environ[found[1]])
        else:
            complain(where, f"the environment has no {found[1]}")


def _texts(message: Message, path: str) -> Iterator[tuple[Any, str, str]]:
    for fd, value in message.ListFields():
        if fd.message_type is not None:
            for index, item in enumerate(value if fd.is_repeated else [value]):
                yield from _texts(item, f"{path}.{fd.name}[{index}]" if fd.is_repeated else f"{path}.{fd.name}")
        elif isinstance(value, str):
            yield message, fd.name, f"{path}.{fd.name}"


def secret_places(channel: Message, path: str = "") -> Iterator[tuple[Any, str, str]]:
    """Yield each secret of a channel that is not empty: the message that holds it, its field, and its path."""
    for fd, value in channel.ListFields():
        where = f"{path}.{fd.name}".lstrip(".")
        if is_secret(fd):
            yield channel, fd.name, where
        elif fd.message_type is HttpHeader.DESCRIPTOR:
            for index, header in enumerate(value):
                if header.secret and header.value:
                    yield header, "value", f"{where}[{index}].value"
