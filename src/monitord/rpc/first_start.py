"""Monitors and contacts from a file, for the first start: judged like those that come through the API."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from google.protobuf import json_format

from monitord.domain.contact import AlertSettings, ContactSpec
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.monitor import MonitorSpec
from monitord.domain.rules.contact import of_settings
from monitord.domain.rules.wording import quoted
from monitord.rpc.convert_alert_settings import read_settings
from monitord.rpc.convert_contact import ContactReader
from monitord.rpc.specs import SpecReader
from monitord.v1 import contact_pb2
from monitord.v1 import monitor_service_pb2 as pb

_ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


class Wish(NamedTuple):
    """What a contact is to be told of a monitor, both by their names."""

    monitor: str
    contact: str
    settings: AlertSettings


class FirstSet(NamedTuple):
    """What a file describes."""

    monitors: list[MonitorSpec]
    contacts: list[ContactSpec]
    wishes: list[Wish]


def read_set(
    path: Path, specs: SpecReader, contacts: ContactReader, environ: Mapping[str, str] = os.environ
) -> FirstSet:
    """Return what a YAML file describes in the JSON mapping of the protos, as ``monitorctl apply`` takes it.

    Beside ``monitors`` it may have ``contacts``, whose channels may name a text of the environment as ``env:NAME``, and
    each monitor may have ``alerts``: names of contacts, or ``contact`` with the fields of AlertSettings.

    Raises:
        InvalidArgumentError: it can't be read, is not YAML, not such a set, or something in it breaks a rule.

    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        met, told = _taken(content)
        request = json_format.ParseDict(content, pb.ApplyMonitorsRequest())
    except OSError as error:
        raise InvalidArgumentError([Violation(str(path), f"can't be read: {error.strerror}")]) from error
    except (yaml.YAMLError, json_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidArgumentError([Violation(str(path), f"must be a set of monitors in YAML: {error}")]) from error
    monitors = specs.with_secrets(specs.whole_set(request.monitors), {})
    found: list[Violation] = []
    people = [_contact(each, f"contacts[{index}]", contacts, environ, found) for index, each in enumerate(met)]
    known = [str(each.get("name", "")) for each in met if isinstance(each, dict)]
    found += [
        Violation(f"contacts[{index}].name", "must be unique within the set")
        for index, name in enumerate(known)
        if name in known[:index]
    ]
    wishes = [_wish(*each, known, found) for each in told]
    if found:
        raise InvalidArgumentError(found)
    return FirstSet(monitors, [each for each in people if each is not None], [each for each in wishes if each])


def _taken(content: Any) -> tuple[list[Any], list[tuple[str, Any, str]]]:
    """Take the contacts, and the alerts of each monitor with its name and their path, out of a file's content."""
    if not isinstance(content, dict):
        return [], []
    monitors = content.get("monitors")
    told = [
        (str(monitor.get("name", "")), wish, f"monitors[{index}].alerts[{number}]")
        for index, monitor in enumerate(monitors if isinstance(monitors, list) else [])
        if isinstance(monitor, dict)
        for number, wish in enumerate(_list(monitor.pop("alerts", None), f"monitors[{index}].alerts"))
    ]
    return _list(content.pop("contacts", None), "contacts"), told


def _list(value: Any, path: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise InvalidArgumentError([Violation(path, "must be a list")])
    return value or []


def _contact(
    content: Any, path: str, reader: ContactReader, environ: Mapping[str, str], found: list[Violation]
) -> ContactSpec | None:
    if not isinstance(content, dict):
        found.append(Violation(path, "must be a mapping with a name and a channel"))
        return None
    missing: list[str] = []
    try:
        message = json_format.ParseDict(_filled(content, environ, missing), contact_pb2.Contact())
        if not missing:
            return reader.new(message)
    except json_format.ParseError as error:
        found.append(Violation(path, f"must be a contact: {error}"))
    except InvalidArgumentError as error:
        found += [Violation(path + one.field.removeprefix("contact"), one.description) for one in error.violations]
    found += [Violation(path, f"the environment has no {name}") for name in missing]
    return None


def _filled(content: Any, environ: Mapping[str, str], missing: list[str]) -> Any:
    """Return what a file says with the texts of the environment that it names; names there are none of are noted."""
    match content:
        case dict():
            return {key: _filled(value, environ, missing) for key, value in content.items()}
        case list():
            return [_filled(value, environ, missing) for value in content]
        case str() if named := _ENVIRONMENT.fullmatch(content):
            if not environ.get(named[1]):
                missing.append(named[1])
            return environ.get(named[1], "")
        case _:
            return content


def _wish(monitor: str, content: Any, path: str, known: list[str], found: list[Violation]) -> Wish | None:
    fields = dict(content) if isinstance(content, dict) else {"contact": content}
    contact = fields.pop("contact", None)
    if contact not in known:
        found.append(Violation(path, f"{quoted(str(contact))} is not the name of a contact of this file"))
        return None
    try:
        message = json_format.ParseDict(fields, contact_pb2.AlertSettings())
    except json_format.ParseError as error:
        found.append(Violation(path, f"must have fields of AlertSettings: {error}"))
        return None
    settings = read_settings(message, f"{path}.", found)
    found += of_settings(settings, f"{path}.")
    return Wish(monitor, contact, settings)
