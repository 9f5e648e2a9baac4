"""Invitations into organisations: sent by mail, and accepted by whoever has the address (T14, T16)."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import uuid4

from monitord.domain.errors import FailedPreconditionError, InvalidArgumentError
from monitord.domain.instant import Instant
from monitord.domain.letter import Letter
from monitord.domain.organisation import Invitation, Role
from monitord.domain.rules.address import of_address
from monitord.identity import letters
from monitord.identity.allowance import Allowance
from monitord.identity.contact_links import new_token, token_hash
from monitord.identity.principal import Principal
from monitord.identity.user import normalise_email

_NO_MAIL = "This server is not set up to send mail: whoever runs it finds how in the README, under Alerts."


class InvitingStore(Protocol):
    """Where invitations are kept, as organisations see them; see ``storage.memberships``."""

    async def invite(
        self, org_id: int, actor_id: int, email: str, role: Role, token_digest: bytes, *, at: Instant
    ) -> Invitation:
        """Store an invitation in place of an earlier one to the same address, as far as the actor may decide that."""
        ...

    async def invitations(self, org_id: int, *, at: Instant) -> Sequence[Invitation]:
        """Return the invitations that can be accepted."""
        ...

    async def revoke(self, org_id: int, invitation_id: int) -> None:
        """Take an invitation back."""
        ...


class InvitedStore(Protocol):
    """Where they are kept, as those see them who are invited."""

    async def of_user(self, user_id: int, *, at: Instant) -> Sequence[Invitation]:
        """Return those to a user's own, proven address."""
        ...

    async def by_token(self, token_digest: bytes, *, at: Instant) -> tuple[Invitation, int | None] | None:
        """Return what a link leads to, and the user who has the address that it was sent to."""
        ...

    async def accept(self, user_id: int, invitation_id: int, *, at: Instant) -> int:
        """Make a user a member, and return of which organisation."""
        ...

    async def decline(self, user_id: int, invitation_id: int, *, at: Instant) -> None:
        """Forget an invitation."""
        ...


class Invitations:
    """Sends, lists and takes back invitations, and lets those in who were invited."""

    def __init__(
        self,
        inviting: InvitingStore,
        invited: InvitedStore,
        base: Callable[[], str],
        *,
        post: Callable[[Letter], None] | None,
        now: Callable[[], Instant],
        changed: Callable[[int, int], None],
    ) -> None:
        """Take what stands before the path of links; without ``post`` nobody can be invited.

        ``changed`` is told of each user and organisation whose membership changed, after the commit.
        """
        self._inviting = inviting
        self._invited = invited
        self._base = base
        self._post = post
        self._now = now
        self._changed = changed
        self._by_address = Allowance("Too many mails to this address", burst=3, refill_s=300.0)
        self._by_inviter = Allowance("Too many invitations", burst=50, refill_s=60.0)

    async def invite(self, principal: Principal, email: str, role: Role) -> Invitation:
        """Invite an address. Raises what the store raises, InvalidArgumentError, ResourceExhaustedError.

        Whether the address has an account makes no difference to what happens here (T14).
        """
        if self._post is None:
            raise FailedPreconditionError(_NO_MAIL)
        email = normalise_email(email)
        if found := list(of_address(email, "email")):
            raise InvalidArgumentError(found)
        self._by_inviter.take(principal.user_id)
        self._by_address.take(email)
        token = new_token()
        invitation = await self._inviting.invite(
            principal.org_id, principal.user_id, email, role, token_hash(token), at=self._now()
        )
        link = f"{self._base().rstrip('/')}/invitations/{token}"
        self._post(letters.organisation_invitation(invitation, link, f"organisation-{uuid4().hex}"))
        return invitation

    async def list(self, principal: Principal) -> Sequence[Invitation]:
        """Return those of the organisation that can be accepted, newest first."""
        return await self._inviting.invitations(principal.org_id, at=self._now())

    async def revoke(self, principal: Principal, invitation_id: int) -> None:
        """Take one back. Raises NotFoundError."""
        await self._inviting.revoke(principal.org_id, invitation_id)

    async def list_own(self, principal: Principal) -> Sequence[Invitation]:
        """Return those to the principal's own address, newest first."""
        return await self._invited.of_user(principal.user_id, at=self._now())

    async def accept(self, user_id: int, invitation_id: int) -> int:
        """Make a user a member; return of which organisation. Raises NotFoundError, ResourceExhaustedError."""
        org_id = await self._invited.accept(user_id, invitation_id, at=self._now())
        self._changed(user_id, org_id)
        return org_id

    async def decline(self, principal: Principal, invitation_id: int) -> None:
        """Forget one to the principal's own address. Raises NotFoundError."""
        await self._invited.decline(principal.user_id, invitation_id, at=self._now())

    async def behind(self, token: str) -> tuple[Invitation, int | None] | None:
        """Return what the link of a mail leads to, and the user whose address it is; None: nowhere any more."""
        return await self._invited.by_token(token_hash(token), at=self._now())
