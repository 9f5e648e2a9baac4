"""How somebody proves that an address is theirs: by the link or the code of a mail that was sent there (T14)."""

import hmac
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec

from monitord.domain.instant import DAY, HOUR, Instant, Micros
from monitord.identity.contact_links import new_code, new_token, read_code, token_hash


class Purpose(StrEnum):
    """What the proof is good for. Stored."""

    REGISTER = "register"
    RESET = "reset"
    INVITE = "invite"


LIFETIMES: dict[Purpose, Micros] = {Purpose.REGISTER: DAY, Purpose.RESET: HOUR, Purpose.INVITE: 7 * DAY}
_PATHS = {Purpose.REGISTER: "verify-email", Purpose.RESET: "reset-password", Purpose.INVITE: "register"}


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to do with an address, once it is proven to be theirs."""

    purpose: Purpose
    email: str
    """Normalised, see ``user.normalise_email``."""
    full_name: str = ""
    password_hash: str | None = None

    def __repr__(self) -> str:
        """Leave the hash out (T15)."""
        return f"Claim({self.purpose}, {self.email!r})"


class Proof(msgspec.Struct, frozen=True):
    """What is sent to the address, and nowhere else."""

    link: str
    code: str

    def __repr__(self) -> str:
        """Show it to nobody (T15)."""
        return "Proof(...)"


class ProofStore(Protocol):
    """Where it is remembered, as hashes."""

    async def begin_proof(
        self, claim: Claim, token_digest: bytes, code_digest: bytes, *, at: Instant, until: Instant
    ) -> None:
        """Remember what was sent; what was sent before for the same purpose becomes invalid."""

    async def prove_by_token(self, purpose: Purpose, token_digest: bytes, *, at: Instant) -> Claim | None:
        """Return what a token proves, once; None: nothing, or not any more."""
        ...

    async def prove_by_code(
        self, purpose: Purpose, email: str, is_right: Callable[[bytes], bool], *, at: Instant
    ) -> Claim | None:
        """Return what a code proves, once; None: nothing, or not any more. Five wrong ones make it invalid."""
        ...


class AddressProofs:
    """Asks for proofs and takes them."""

    def __init__(
        self,
        store: ProofStore,
        derive: Callable[[str], tuple[bytes, ...]],
        base: Callable[[], str],
        *,
        now: Callable[[], Instant],
    ) -> None:
        """Take where keys come from, and what stands before the path of links."""
        self._store = store
        self._derive = derive
        self._base = base
        self._now = now

    async def ask(self, claim: Claim) -> Proof:
        """Remember a claim, and return what proves it."""
        token, code, now = new_token(), new_code(), self._now()
        digest = _code_digest(self._keys()[0], claim.purpose, claim.email, code)
        until = now + LIFETIMES[claim.purpose]
        await self._store.begin_proof(claim, token_hash(token), digest, at=now, until=until)
        return Proof(f"{self._base().rstrip('/')}/accounts/{_PATHS[claim.purpose]}/{token}", code)

    async def take(self, purpose: Purpose, *, token: str = "", email: str = "", code: str = "") -> Claim | None:
        """Return the claim that a token, or an address with its code, proves; None: none. It works once."""
        if token:
            return await self._store.prove_by_token(purpose, token_hash(token), at=self._now())
        # Of each key: it may have been rotated since the code was sent.
        tried = [_code_digest(key, purpose, email, read_code(code)) for key in self._keys()]
        return await self._store.prove_by_code(
            purpose, email, lambda stored: any(hmac.compare_digest(stored, one) for one in tried), at=self._now()
        )

    def _keys(self) -> tuple[bytes, ...]:
        return self._derive("address proof")


def _code_digest(key: bytes, purpose: Purpose, email: str, code: str) -> bytes:
    return hmac.digest(key, f"{purpose}/{email}/{code}".encode("utf-8", "surrogatepass"), "sha256")
