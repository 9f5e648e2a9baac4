"""Organisations and their members: what those who are in one do about it. Who they are comes from the edge (T10)."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from monitord.domain.allow_list import holds
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.instant import Instant
from monitord.domain.organisation import Member, Organisation, OrganisationChanges, Role
from monitord.domain.rules.membership import of_name
from monitord.identity.principal import Principal


class OrganisationStore(Protocol):
    """Where organisations are kept; see ``storage.organisations``."""

    async def get(self, org_id: int, user_id: int) -> Organisation:
        """Return an organisation as a member sees it."""
        ...

    async def of_user(self, user_id: int) -> Sequence[Organisation]:
        """Return all that a user is a member of."""
        ...

    async def create(self, user_id: int, name: str, *, at: Instant, tx: Any = None) -> Organisation:
        """Store an organisation with its first owner."""
        ...

    async def update(
        self, org_id: int, user_id: int, changes: OrganisationChanges, *, at: Instant, expected_version: int | None
    ) -> Organisation:
        """Change an organisation."""
        ...

    async def delete(
        self, org_id: int, *, force: bool, at: Instant, expected_version: int | None
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Delete an organisation; return its monitors, and who its members were."""
        ...


class MembershipStore(Protocol):
    """Where members are kept; see ``storage.memberships``."""

    async def members(self, org_id: int) -> Sequence[Member]:
        """Return the members."""
        ...

    async def set_role(self, org_id: int, actor_id: int, user_id: int, role: Role) -> Member:
        """Change what a member may do, as far as the actor may decide that."""
        ...

    async def remove(self, org_id: int, actor_id: int, user_id: int, *, at: Instant) -> None:
        """Remove a member, as far as the actor may decide that; anybody may remove themselves."""
        ...


class Organisations:
    """Raises what the stores raise, and InvalidArgumentError. All act in the principal's organisation."""

    def __init__(
        self,
        store: OrganisationStore,
        members: MembershipStore,
        *,
        now: Callable[[], Instant],
        changed: Callable[[int, int], None],
        fenced: Callable[[int], None],
    ) -> None:
        """``changed`` is told of each user and organisation whose membership changed, after the commit (T12).

        So is ``fenced`` of each organisation that may be acted in from elsewhere now.
        """
        self._store = store
        self._members = members
        self._now = now
        self._changed = changed
        self._fenced = fenced

    async def create(self, principal: Principal, name: str, *, tx: Any = None) -> Organisation:
        """Make an organisation that the principal owns."""
        _judge_name(name, "display_name")
        return await self._store.create(principal.user_id, name, at=self._now(), tx=tx)

    async def get(self, principal: Principal) -> Organisation:
        """Return the organisation that the principal acts in."""
        return await self._store.get(principal.org_id, principal.user_id)

    async def joined(self, principal: Principal, org_id: int) -> Organisation:
        """Return another organisation that the principal is a member of."""
        return await self._store.get(org_id, principal.user_id)

    async def list_own(self, principal: Principal) -> Sequence[Organisation]:
        """Return all that the principal is a member of, the personal one first."""
        return await self._store.of_user(principal.user_id)

    async def update(
        self, principal: Principal, changes: OrganisationChanges, *, expected_version: int | None = None
    ) -> Organisation:
        """Change the organisation. A list of networks that would lock the principal out is refused."""
        if changes.name is not None:
            _judge_name(changes.name, "organisation.display_name")
        if changes.networks and not holds(changes.networks, principal.address):
            wish = f"must have the address that you call from, {principal.address}: you would lock yourself out"
            raise InvalidArgumentError([Violation("organisation.allowed_networks", wish)])
        updated = await self._store.update(
            principal.org_id, principal.user_id, changes, at=self._now(), expected_version=expected_version
        )
        if changes.networks is not None:
            self._fenced(principal.org_id)
        return updated

    async def delete(self, principal: Principal, *, force: bool, expected_version: int | None = None) -> Sequence[int]:
        """Delete the organisation; return the ids of its monitors, which the engine has to let go."""
        monitors, members = await self._store.delete(
            principal.org_id, force=force, at=self._now(), expected_version=expected_version
        )
        for user_id in members:
            self._changed(user_id, principal.org_id)
        return monitors

    async def members(self, principal: Principal) -> Sequence[Member]:
        """Return who is in the organisation, those with the highest role first."""
        return await self._members.members(principal.org_id)

    async def set_role(self, principal: Principal, user_id: int, role: Role) -> Member:
        """Change what a member may do."""
        member = await self._members.set_role(principal.org_id, principal.user_id, user_id, role)
        self._changed(user_id, principal.org_id)
        return member

    async def remove(self, principal: Principal, user_id: int) -> None:
        """Remove a member, who may be the principal: their keys and streams of this organisation end (T12)."""
        await self._members.remove(principal.org_id, principal.user_id, user_id, at=self._now())
        self._changed(user_id, principal.org_id)


def _judge_name(name: str, field: str) -> None:
    if found := list(of_name(name, field)):
        raise InvalidArgumentError(found)
