"""Registering, and getting back in: what people do about their accounts before they are signed in (T12, T14).

Whoever asks learns nothing of who has an account: the answer, and the work behind it, are the same; what differs is in
a mail to the address.
"""

import contextlib
from collections.abc import Callable
from typing import Protocol
from uuid import UUID, uuid4

from monitord.domain.account import RegistrationMode
from monitord.domain.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    Violation,
)
from monitord.domain.instant import Instant
from monitord.domain.letter import Letter
from monitord.domain.organisation import Invitation
from monitord.domain.rules.address import of_address
from monitord.identity import letters, passwords
from monitord.identity.address_proofs import AddressProofs, Claim, Purpose
from monitord.identity.allowance import Allowance
from monitord.identity.network import network_of
from monitord.identity.passwords import Passwords
from monitord.identity.principal import Credential, Principal, SessionCredential
from monitord.identity.sessions import Sessions, SignIn
from monitord.identity.throttle import LoginThrottle
from monitord.identity.user import Account, User, normalise_email

LONGEST_NAME = 200
_NO_PROOF = "The link or the code is wrong, was used, has expired, or was guessed at too often. Ask for a new one."


class AccountStore(Protocol):
    """Where accounts are kept. Every method raises UnavailableError when the database is away."""

    async def account(self, email: str) -> Account | None:
        """Return the account with a normalised address."""
        ...

    async def account_of(self, user_id: int) -> Account | None:
        """Return a user's own account."""
        ...

    async def user(self, user_id: int) -> User | None:
        """Return a user."""
        ...

    async def role(self, user_id: int) -> str | None:
        """Return ``ADMIN`` or ``USER``; None when there is no such user."""
        ...

    async def create_user(self, email: str, full_name: str, password_hash: str | None, *, at: Instant) -> User | None:
        """Store a user with an organisation of their own; None when the address has an account."""
        ...

    async def set_password(self, email: str, password_hash: str, *, at: Instant) -> list[UUID] | None:
        """Store a hash, end all sessions and return them; None without such an account."""
        ...


class Invitations(Protocol):
    """Who is invited into organisations; see ``identity.invitations``."""

    async def behind(self, token: str) -> tuple[Invitation, int | None] | None:
        """Return what the link of a mail leads to, and the user whose address it is; None: nowhere."""
        ...

    async def accept(self, user_id: int, invitation_id: int) -> int:
        """Make a user a member; return of which organisation."""
        ...


class Registration:
    """Makes accounts, and lets their owners back in. ``post`` sends a mail, soon, and never raises."""

    def __init__(
        self,
        store: AccountStore,
        proofs: AddressProofs,
        hasher: Passwords,
        sessions: Sessions,
        throttle: LoginThrottle,
        invitations: Invitations,
        *,
        mode: RegistrationMode,
        post: Callable[[Letter], None] | None,
        now: Callable[[], Instant],
        ended: Callable[[Credential], None],
    ) -> None:
        """Without ``post`` (mail is not set up) nothing that needs a mail can be done."""
        self._store = store
        self._proofs = proofs
        self._hasher = hasher
        self._sessions = sessions
        self._throttle = throttle
        self._invitations = invitations
        self._mode = mode
        self._post = post
        self._now = now
        self._ended = ended
        self._by_address = Allowance("Too many mails to this address", burst=3, refill_s=300.0)
        self._by_peer = Allowance("Too many requests from your network", burst=20, refill_s=60.0)

    async def register(
        self, email: str, password: str, full_name: str, peer: str, *, invitation: str = "", code: str = ""
    ) -> SignIn | None:
        """Begin an account; return a session for one who was invited, None for one who is sent a mail.

        Raises FailedPreconditionError while registration is off; InvalidArgumentError; ResourceExhaustedError.
        """
        if self._mode is RegistrationMode.OFF:
            raise FailedPreconditionError("Registration is off: ask whoever runs this monitord for an account.")
        email = _new_account(email, password, full_name)
        self._by_peer.take(network_of(peer))
        hashed = await self._hasher.hash(password)
        if invitation or code or self._mode is RegistrationMode.INVITATION:
            return await self._register_invited(email, full_name, hashed, peer, invitation, code)
        post = self._required_post()
        self._by_address.take(email)
        claim = Claim(purpose=Purpose.REGISTER, email=email, full_name=full_name.strip(), password_hash=hashed)
        proof = await self._proofs.ask(claim)  # of whoever has an account too, for the same work; it is sent to nobody
        if await self._store.account(email) is not None:
            post(letters.exists(email, self._key("exists")))
        else:
            post(letters.verify(email, proof, self._key("verify")))
        return None

    async def verify_email(self, peer: str, *, token: str = "", email: str = "", code: str = "") -> SignIn:
        """Make the account whose address is proven, and begin its first session.

        Raises FailedPreconditionError for what proves nothing; AlreadyExistsError when it was made meanwhile.
        """
        claim = await self._take(Purpose.REGISTER, token, email, code)
        return await self._create(claim.email, claim.full_name, claim.password_hash, peer)

    async def invite(self, principal: Principal, email: str) -> None:
        """Invite somebody to register. For administrators of this monitord; raises PermissionDeniedError for others."""
        if await self._store.role(principal.user_id) != "ADMIN":
            raise PermissionDeniedError("Only administrators of this monitord invite people.")
        email = _address(email)
        post = self._required_post()
        if await self._store.account(email) is not None:
            raise AlreadyExistsError(f"{email} has an account already.", email=email)
        self._by_address.take(email)
        inviter = await self._store.user(principal.user_id)
        proof = await self._proofs.ask(Claim(purpose=Purpose.INVITE, email=email))
        post(letters.invitation(email, inviter.email if inviter else "Somebody", proof, self._key("invitation")))

    async def request_reset(self, email: str, peer: str) -> None:
        """Send a mail by which a new password can be set, if there is such an account."""
        email = _address(email)
        post = self._required_post()
        self._by_peer.take(network_of(peer))
        self._by_address.take(email)
        # Asked for whoever it is, so that the work is the same; sent only to those who have an account.
        proof = await self._proofs.ask(Claim(purpose=Purpose.RESET, email=email))
        if await self._store.account(email) is not None:
            post(letters.reset(email, proof, self._key("reset")))

    async def reset(self, new_password: str, *, token: str = "", email: str = "", code: str = "") -> None:
        """Set a new password; all sessions end (T12). Raises FailedPreconditionError for what proves nothing."""
        passwords.check_new(new_password, "new_password")
        claim = await self._take(Purpose.RESET, token, email, code)
        await self._set_password(claim.email, new_password)

    async def change_password(self, principal: Principal, old: str, new: str, peer: str) -> SignIn:
        """Set a new password by the old one; all sessions end, and a new one begins (T12).

        Raises UnauthenticatedError for a wrong password, which counts as a failure to sign in; InvalidArgumentError.
        """
        passwords.check_new(new, "new_password")
        # By who they are: an address that they claim, and have not proven, may be another's account (T14).
        account = await self._store.account_of(principal.user_id)
        if account is None:
            raise UnauthenticatedError("The account of this credential does not exist any more.")
        if account.password_hash is None:
            raise FailedPreconditionError("This account has no password: it is signed in to through Firebase.")
        attempt = self._throttle.begin(account.user.email, peer)
        if not await self._hasher.verify(old, account.password_hash):
            raise UnauthenticatedError("The old password is wrong.")
        attempt.succeeded()
        await self._set_password(account.user.email, new)
        return await self._sign_in(account.user.email, peer)

    async def _register_invited(
        self, email: str, full_name: str, hashed: str, peer: str, invitation: str, code: str
    ) -> SignIn:
        # An organisation that invites an address vouches for it as an administrator would.
        behind = await self._invitations.behind(invitation) if invitation else None
        invited = (await self._take(Purpose.INVITE, invitation, email, code) if behind is None else behind[0]).email
        if invited != email:
            raise InvalidArgumentError([Violation("email", "must be the address that was invited")])
        signed_in = await self._create(email, full_name.strip(), hashed, peer)
        if behind is not None:
            with contextlib.suppress(NotFoundError):  # taken back at this moment: the account is theirs all the same
                await self._invitations.accept(signed_in.user.id, behind[0].id)
        return signed_in

    async def _create(self, email: str, full_name: str, hashed: str | None, peer: str) -> SignIn:
        if await self._store.create_user(email, full_name, hashed, at=self._now()) is None:
            raise AlreadyExistsError("This address has an account already: sign in.", email=email)
        return await self._sign_in(email, peer)

    async def _sign_in(self, email: str, peer: str) -> SignIn:
        account = await self._store.account(email)
        if account is None:
            raise UnauthenticatedError("The account does not exist any more.")
        signed_in = await self._sessions.begin(account, peer)
        if signed_in is None:
            raise UnauthenticatedError("The password was changed at this very moment: sign in.")
        return signed_in

    async def _set_password(self, email: str, password: str) -> None:
        hashed = await self._hasher.hash(password)
        ended = await self._store.set_password(email, hashed, at=self._now())
        if ended is None:
            raise FailedPreconditionError(_NO_PROOF)
        for session_id in ended:
            self._ended(SessionCredential(session_id, 0))
        if self._post is not None:
            self._post(letters.changed(email, self._key("changed")))

    async def _take(self, purpose: Purpose, token: str, email: str, code: str) -> Claim:
        if not token and not (email and code):
            raise InvalidArgumentError([Violation("token", "must be given, or the address and the code of the mail")])
        claim = await self._proofs.take(purpose, token=token, email=normalise_email(email) if email else "", code=code)
        if claim is None:
            raise FailedPreconditionError(_NO_PROOF)
        return claim

    def _required_post(self) -> Callable[[Letter], None]:
        if self._post is None:
            raise FailedPreconditionError(
                "This server is not set up to send mail: whoever runs it finds how in the README, under Alerts."
            )
        return self._post

    @staticmethod
    def _key(kind: str) -> str:
        return f"{kind}-{uuid4().hex}"


def _address(email: str) -> str:
    normal = normalise_email(email)
    if found := list(of_address(normal, "email")):
        raise InvalidArgumentError(found)
    return normal


def _new_account(email: str, password: str, full_name: str) -> str:
    """Return the address as it is stored. Raises InvalidArgumentError with everything that is wrong."""
    found: list[Violation] = []
    normal = ""
    try:
        normal = _address(email)
    except InvalidArgumentError as error:
        found += error.violations
    try:
        passwords.check_new(password)
    except InvalidArgumentError as error:
        found += error.violations
    if len(full_name) > LONGEST_NAME or not full_name.isprintable():
        found.append(Violation("full_name", f"must be at most {LONGEST_NAME} printable characters"))
    if found:
        raise InvalidArgumentError(found)
    return normal
