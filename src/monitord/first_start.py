"""Stores what a file says at the first start: monitors, contacts, and who is told of what."""

from pathlib import Path

from monitord.identity.authenticator import Authenticator
from monitord.notification import Notification
from monitord.probes.egress import EgressPolicy
from monitord.rpc.convert_contact import ContactReader
from monitord.rpc.first_start import FirstSet, read_set
from monitord.rpc.specs import SpecReader
from monitord.storage.monitors import MonitorStore


class FirstStart:
    """Reads the file, and stores it once there is an administrator."""

    def __init__(
        self,
        specs: SpecReader,
        policy: EgressPolicy,
        monitors: MonitorStore,
        notification: Notification,
        authenticator: Authenticator,
    ) -> None:
        self._specs = specs
        self._policy = policy
        self._monitors = monitors
        self._notification = notification
        self._authenticator = authenticator

    def read(self, path: Path) -> FirstSet:
        """Return the monitors and contacts of a file. Raises InvalidArgumentError for what is wrong with them."""
        return read_set(path, self._specs, ContactReader(self._policy))

    async def store(self, key: str, first: FirstSet) -> None:
        """Store monitors and contacts for the owner of an API key; the engine finds them when it starts.

        Contacts come first: what they want to be told of new monitors is about these.
        """
        org_id = (await self._authenticator.authenticate(f"Bearer {key}")).org_id
        contacts = await self._notification.meet(org_id, first.contacts)
        applied = await self._monitors.apply(org_id, first.monitors, prune=False, dry_run=False)
        monitors = {one.name: one.id for one in applied}
        for monitor, contact, settings in first.wishes:
            await self._notification.tell(org_id, monitors[monitor], contacts[contact], settings)
