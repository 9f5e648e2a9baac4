"""Contacts: from messages to the domain and back."""

from collections.abc import Iterable

import msgspec

from monitord.domain.contact import Contact, ContactSpec
from monitord.domain.contacts import channel_of
from monitord.domain.delivery import Attempt
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.rules.contact import violations
from monitord.domain.secrets import keep_secrets
from monitord.rpc.channels import KINDS, channel_pb, read_channel
from monitord.rpc.convert_alert_settings import read_settings, settings_pb
from monitord.rpc.convert_time import timestamp_pb
from monitord.rpc.field_mask import replace_field, written_paths
from monitord.rpc.places import EgressPolicy, refusals
from monitord.v1 import contact_pb2 as pb
from monitord.v1 import contact_service_pb2 as service_pb

WRITABLE = ("name", *KINDS, "time_zone", "default_settings")
"""Fields of a contact that a user decides (T11)."""
OUTPUT_ONLY = frozenset({"id", "destination", "verify_time", "disabled_reason", "create_time", "update_time", "etag"})


class ContactReader:
    """Makes specifications of messages. Every method raises InvalidArgumentError with everything that is wrong."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy

    def new(self, message: pb.Contact) -> ContactSpec:
        """Return what a new contact shall be."""
        return self._accepted(*_read(message))

    def edited(self, request: pb.Contact, paths: Iterable[str], stored: ContactSpec) -> ContactSpec:
        """Return ``stored`` with the fields that ``paths`` name replaced by those of the request."""
        merged = _spec_pb(stored)
        for path in paths:
            replace_field(merged, request, path)
        spec, found = _read(merged)
        return self._accepted(msgspec.structs.replace(spec, channel=keep_secrets(spec.channel, stored.channel)), found)

    def _accepted(self, spec: ContactSpec, found: list[Violation]) -> ContactSpec:
        told = {one.field for one in found}
        wrong = found + [one for one in violations(spec, "contact.") if one.field not in told]
        wrong += refusals(spec.channel.places(), f"contact.{channel_of(spec.channel)}.", self._policy)
        if wrong:
            raise InvalidArgumentError(wrong)
        return spec


def paths_of(request: pb.Contact, mask: Iterable[str]) -> list[str]:
    """Return which fields an update replaces; see ``field_mask.written_paths``."""
    return written_paths(request, mask, WRITABLE, "channel")


def contact_pb(contact: Contact) -> pb.Contact:
    """Return a contact as its owner sees it."""
    message = _spec_pb(contact.spec)
    message.id = contact.id
    message.destination = contact.spec.channel.shown
    if contact.verified_at is not None:
        message.verify_time.CopyFrom(timestamp_pb(contact.verified_at))
    message.disabled_reason = contact.disabled_reason or ""
    message.create_time.CopyFrom(timestamp_pb(contact.created_at))
    message.update_time.CopyFrom(timestamp_pb(contact.updated_at))
    message.etag = f"v{contact.version}"
    return message


def report_pb(attempt: Attempt) -> service_pb.DeliveryReport:
    """Return how an attempt ended."""
    return service_pb.DeliveryReport(accepted=attempt.accepted, code=attempt.code, detail=attempt.detail)


def _read(message: pb.Contact) -> tuple[ContactSpec, list[Violation]]:
    found: list[Violation] = []
    settings = None
    if message.HasField("default_settings"):
        settings = read_settings(message.default_settings, "default_settings.", found)
    spec = ContactSpec(
        name=message.name,
        channel=read_channel(message, found),
        time_zone=message.time_zone or "UTC",
        default_settings=settings,
    )
    return spec, [Violation(f"contact.{one.field}", one.description) for one in found]


def _spec_pb(spec: ContactSpec) -> pb.Contact:
    message = pb.Contact(name=spec.name, time_zone=spec.time_zone, **channel_pb(spec.channel))
    if spec.default_settings is not None:
        message.default_settings.CopyFrom(settings_pb(spec.default_settings))
    return message
