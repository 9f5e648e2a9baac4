"""What ContactService needs of others. The organisation comes first everywhere (T9); another's is NotFoundError."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from monitord.domain.contact import AlertConfig, Contact, ContactSpec
from monitord.domain.delivery import Attempt


class ContactStore(Protocol):
    """Where contacts are stored."""

    async def create(self, org_id: int, spec: ContactSpec, *, tx: Any = None) -> Contact:
        """Store a contact; raise AlreadyExistsError when the name is taken."""
        ...

    async def get(self, org_id: int, contact_id: int) -> Contact:
        """Return a contact."""
        ...

    async def list(self, org_id: int, after: int, limit: int) -> Sequence[Contact]:
        """Return at most ``limit`` contacts with ids above ``after``."""
        ...

    async def update(
        self,
        org_id: int,
        contact_id: int,
        edit: Callable[[ContactSpec], ContactSpec],
        *,
        expected_version: int | None = None,
    ) -> Contact:
        """Change a contact; raise EtagMismatchError when it has another version than expected."""
        ...

    async def delete(self, org_id: int, contact_id: int, *, expected_version: int | None = None) -> None:
        """Delete a contact; raise EtagMismatchError when it has another version than expected."""
        ...


class AlertConfigStore(Protocol):
    """Where it is stored who is told what."""

    async def set(self, org_id: int, config: AlertConfig) -> AlertConfig:
        """Store what a contact is told of a monitor."""
        ...

    async def require(self, org_id: int, monitor_id: int | None, contact_id: int | None) -> None:
        """Raise NotFoundError unless what is given is there."""

    async def list(
        self, org_id: int, monitor_id: int | None, contact_id: int | None, after: tuple[int, int], limit: int
    ) -> Sequence[AlertConfig]:
        """Return at most ``limit`` pairs above ``after``."""
        ...

    async def delete(self, org_id: int, monitor_id: int, contact_id: int) -> None:
        """Forget a pair."""


class Greeter(Protocol):
    """Sends what is asked for at the moment: confirmations and tests."""

    def greet(self, contact: Contact) -> None:
        """Ask a new mailbox, soon, whether it wants alerts; do nothing about other kinds."""

    async def send_confirmation(self, org_id: int, contact_id: int) -> Attempt:
        """Ask a mailbox, and return how it went."""
        ...

    async def confirm(self, org_id: int, contact_id: int, code: str) -> Contact:
        """Confirm by a code; raise FailedPreconditionError when it is wrong."""
        ...

    async def unsubscribe(self, org_id: int, contact_id: int) -> Contact:
        """End all messages to a contact."""
        ...

    async def test(self, org_id: int, contact_id: int) -> Attempt:
        """Send a test, and return how it went."""
        ...
