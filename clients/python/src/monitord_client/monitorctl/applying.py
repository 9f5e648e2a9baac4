"""Making what is stored equal to files: contacts first, then monitors, then who is told of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitord_client.errors import InvalidArgumentError, MonitordError, Violation
from monitord_client.monitorctl.contact_changes import changes_of, effective
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.manifest import Manifest
from monitord_client.monitorctl.manifest_alerts import Wish, secret_places
from monitord_client.v1.contact_pb2 import AlertConfig, AlertSettings, Contact
from monitord_client.v1.monitor_service_pb2 import (
    APPLY_ACTION_CHANGED,
    APPLY_ACTION_CREATED,
    APPLY_ACTION_REMOVED,
    APPLY_ACTION_UNCHANGED,
    APPLY_ACTION_UNSPECIFIED,
    AppliedMonitor,
    ApplyAction,
)

if TYPE_CHECKING:
    from monitord_client import Client

UNDECIDED = APPLY_ACTION_UNSPECIFIED
"""A dry run can't tell: a secret is given, and what is stored is never shown."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, or would be, with a contact, or with what one is told of a monitor."""

    name: str
    """The contact's."""
    action: ApplyAction.ValueType
    changed_fields: tuple[str, ...] = ()
    contact: Contact | None = None
    """As stored; None for what one is told, and in a dry run for a new one."""
    monitor: str = ""
    """The monitor of which it is told; empty: it is about the contact itself."""


@dataclass(slots=True)
class Outcome:
    """What was done with everything."""

    contacts: list[Done] = field(default_factory=list)
    monitors: list[AppliedMonitor] = field(default_factory=list)
    alerts: list[Done] = field(default_factory=list)


class Applier:
    """Applies a manifest, once. Monitors are applied all or none; contacts and what they are told one by one."""

    def __init__(self, client: "Client", manifest: Manifest, *, prune: bool, dry_run: bool) -> None:
        self._client = client
        self._manifest = manifest
        self._prune = prune
        self._dry_run = dry_run
        self.outcome = Outcome()
        """What was done so far, also after an error."""

    async def run(self) -> Outcome:
        """Apply it. Raises CommandError for a contact that nobody knows, before anything is changed; MonitordError.

        The fields of an InvalidArgumentError are paths of the manifest.
        """
        manifest = self._manifest
        stored = await self._stored_contacts() if manifest.contacts or manifest.wishes or self._prunes_contacts else {}
        self._require_contacts(stored)
        if manifest.contacts and manifest.monitors and not self._dry_run:
            # What is wrong with a monitor is to be told before a contact is changed.
            await self._client.apply_monitors(manifest.monitors, dry_run=True)
        before = await self._configs() if manifest.wishes else {}
        ids = await self._apply_contacts(stored)
        if manifest.monitors or "monitors" in manifest.sections or not manifest.sections:
            self.outcome.monitors = await self._client.apply_monitors(
                manifest.monitors, prune=self._prune, dry_run=self._dry_run
            )
        if manifest.wishes:
            await self._apply_wishes(ids, before)
        if self._prunes_contacts:
            await self._remove_contacts(stored)
        return self.outcome

    @property
    def _prunes_contacts(self) -> bool:
        return self._prune and "contacts" in self._manifest.sections

    async def _stored_contacts(self) -> dict[str, Contact]:
        return {contact.name: contact async for contact in self._client.list_contacts(page_size=1000)}

    async def _configs(self) -> dict[tuple[int, int], AlertSettings]:
        configs: list[AlertConfig] = [each async for each in self._client.list_alert_configs(page_size=1000)]
        return {(config.monitor_id, config.contact_id): config.settings for config in configs}

    def _require_contacts(self, stored: Iterable[str]) -> None:
        kept = set() if self._prunes_contacts else set(stored)
        known = kept | {contact.name for contact in self._manifest.contacts}
        lines = [
            f"{self._manifest.place_of(wish.path)}: {wish.path}: "
            + (
                f"--prune would delete the contact {wish.contact!r}: name it under contacts"
                if wish.contact in stored
                else f"no contact is called {wish.contact!r}, neither in the files nor on the server"
            )
            for wishes in self._manifest.wishes.values()
            for wish in wishes
            if wish.contact not in known
        ]
        if lines:
            raise CommandError("\n".join(["nothing was applied:", *lines]))

    async def _apply_contacts(self, stored: dict[str, Contact]) -> dict[str, int]:
        """Create and change contacts; return the ids of all by their names, 0 for one that a dry run would create."""
        ids = {name: contact.id for name, contact in stored.items()}
        for index, wanted in enumerate(self._manifest.contacts):
            try:
                done = await self._apply_contact(wanted, stored.get(wanted.name))
            except InvalidArgumentError as error:
                raise _moved(error, "contact", f"contacts[{index}]") from None
            self.outcome.contacts.append(done)
            ids[wanted.name] = done.contact.id if done.contact is not None else 0
        return ids

    async def _apply_contact(self, wanted: Contact, stored: Contact | None) -> Done:
        if stored is None:
            made = None if self._dry_run else await self._client.create_contact(wanted)
            return Done(wanted.name, APPLY_ACTION_CREATED, contact=made)
        changed = changes_of(wanted, stored)
        kind = wanted.WhichOneof("channel")
        secrets = [path for _, _, path in secret_places(getattr(wanted, kind), kind)] if kind else []
        if not changed and not secrets:
            return Done(wanted.name, APPLY_ACTION_UNCHANGED, contact=stored)
        if self._dry_run:
            if changed:
                return Done(wanted.name, APPLY_ACTION_CHANGED, changed, stored)
            return Done(wanted.name, UNDECIDED, tuple(secrets), stored)
        request = Contact()
        request.CopyFrom(wanted)
        request.id, request.etag = stored.id, stored.etag
        fields = list(dict.fromkeys([*changed, *([kind] if kind and secrets else [])]))
        now = await self._client.update_contact(request, fields=fields)
        action = APPLY_ACTION_UNCHANGED if now.etag == stored.etag else APPLY_ACTION_CHANGED
        return Done(wanted.name, action, tuple(fields) if action == APPLY_ACTION_CHANGED else (), now)

    async def _apply_wishes(self, contacts: dict[str, int], before: dict[tuple[int, int], AlertSettings]) -> None:
        """Make what contacts are told what the files say; of new monitors they may be told something by default."""
        monitors = {each.name: each for each in self.outcome.monitors}
        is_new = any(each.action == APPLY_ACTION_CREATED for each in monitors.values())
        now = await self._configs() if is_new and not self._dry_run else dict(before)
        for monitor, wishes in self._manifest.wishes.items():
            monitor_id = monitors[monitor].id
            for wish in wishes:
                pair = (monitor_id, contacts[wish.contact])
                action = _action(wish.settings, before.get(pair) if all(pair) else None)
                if not self._dry_run and _action(wish.settings, now.get(pair)) != APPLY_ACTION_UNCHANGED:
                    await self._set(pair, wish)
                self.outcome.alerts.append(Done(wish.contact, action, monitor=monitor))
            if self._prune and monitor_id:
                wanted = {contacts[wish.contact] for wish in wishes}
                others = [pair for pair in now if pair[0] == monitor_id and pair[1] not in wanted]
                await self._remove_others(monitor, others, before)

    async def _set(self, pair: tuple[int, int], wish: Wish) -> None:
        try:
            await self._client.set_alert_config(*pair, wish.settings)
        except InvalidArgumentError as error:
            raise _moved(error, "config.settings", wish.path) from None

    async def _remove_others(
        self, monitor: str, pairs: Sequence[tuple[int, int]], before: dict[tuple[int, int], AlertSettings]
    ) -> None:
        names = {each.contact.id: each.name for each in self.outcome.contacts if each.contact is not None}
        if any(pair[1] not in names for pair in pairs):
            names |= {contact.id: name for name, contact in (await self._stored_contacts()).items()}
        for pair in pairs:
            if not self._dry_run:
                await self._client.delete_alert_config(*pair)
            if pair in before:  # and not only for a moment, by the contact's default for new monitors
                name = names.get(pair[1], f"contact {pair[1]}")
                self.outcome.alerts.append(Done(name, APPLY_ACTION_REMOVED, monitor=monitor))

    async def _remove_contacts(self, stored: dict[str, Contact]) -> None:
        kept = {contact.name for contact in self._manifest.contacts}
        for name, contact in stored.items():
            if name in kept:
                continue
            if not self._dry_run:
                await self._client.delete_contact(contact.id, etag=contact.etag)
            self.outcome.contacts.append(Done(name, APPLY_ACTION_REMOVED, contact=contact))


def _action(wanted: AlertSettings, stored: AlertSettings | None) -> ApplyAction.ValueType:
    if stored is None:
        return APPLY_ACTION_CREATED
    return APPLY_ACTION_UNCHANGED if effective(wanted) == effective(stored) else APPLY_ACTION_CHANGED


def _moved(error: InvalidArgumentError, before: str, after: str) -> MonitordError:
    """Return an error whose paths are those of the manifest."""
    violations = tuple(
        Violation(after + each.field.removeprefix(before), each.description)
        if each.field == before or each.field.startswith(f"{before}.")
        else each
        for each in error.violations
    )
    return InvalidArgumentError(
        error.message, code=error.code, reason=error.reason, metadata=error.metadata, violations=violations
    )
