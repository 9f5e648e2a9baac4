"""Limits on guessing passwords, per account and per address (T14).

An attempt is charged when it begins and given back when it turns out right, so that attempts at the same time can't
slip through together. What is limited is the text that was sent, whether or not there is such an account.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Generic, NamedTuple, TypeVar

from monitord.domain.errors import ResourceExhaustedError
from monitord.identity.allowance import Buckets
from monitord.identity.network import network_of

FREE_FAILURES = 5
"""Wrong passwords for one account that cost no delay: people mistype."""
LONGEST_DELAY_S = 15 * 60.0
"""The delay doubles from 1 s with each further failure, up to this: about a hundred guesses a day."""
FORGET_AFTER_S = 60 * 60.0
"""Failures are forgotten when none was added for this long."""
ADDRESS_BURST = 20
"""Failures of one address, whatever the accounts, that cost no delay."""
ADDRESS_REFILL_S = 3.0
"""How long one of those takes to come back."""
SIZE = 10_000
"""How many accounts, and as many addresses, are remembered (I16)."""

V = TypeVar("V")


class LoginThrottle:
    """Decides when the next password may be tried.

    Failures of one account delay its next attempt exponentially; failures of one address (an IPv6 network of 64 bits is
    one) empty a token bucket. An address from which an account was signed in to before has its own count for that
    account: a stranger's guesses don't lock its owner out. A success gives back itself alone to its address, so nobody
    buys guesses at others' accounts with their own password.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, size: int = SIZE) -> None:
        self._clock = clock
        self._failures: _Recent[_Failures] = _Recent(size)
        self._addresses = Buckets(clock, size=size)
        self._familiar: _Recent[bool] = _Recent(size)

    def begin(self, account: str, peer: str) -> "Attempt":
        """Charge an attempt on an account from an address.

        Raises ResourceExhaustedError with the time to wait, and charges nothing, when either is over its limit.
        """
        now, address = self._clock(), network_of(peer)
        pair = _digest(account, address)
        key = pair if self._familiar.get(pair) else _digest(account)
        failures = self._failures.get(key) or _Failures(0, now)
        if now - failures.last_at >= FORGET_AFTER_S:
            failures = _Failures(0, now)
        account_wait_s = failures.delayed_until() - now
        address_wait_s = self._addresses.wait_s(address, burst=ADDRESS_BURST, refill_s=ADDRESS_REFILL_S)
        wait_s = max(account_wait_s, address_wait_s)
        if wait_s > 0:
            if not address_wait_s:
                self._addresses.give_back(address, refill_s=ADDRESS_REFILL_S)
            raise ResourceExhaustedError(
                f"Too many failed attempts to sign in: try again in {math.ceil(wait_s)} s.", retry_after_s=wait_s
            )
        self._failures.put(key, _Failures(failures.number + 1, now))
        return Attempt(self, _Charge(key, pair, address, now, failures.last_at))

    def refund(self, charge: "_Charge") -> None:
        """Take back what ``begin`` charged. Called by Attempt."""
        failures = self._failures.get(charge.key)
        if failures is not None and failures.number > 1:
            # The delay runs from the failure before again, unless there was a later attempt meanwhile.
            last_at = charge.failed_before_at if failures.last_at == charge.at else failures.last_at
            self._failures.put(charge.key, _Failures(failures.number - 1, last_at))
        else:
            self._failures.drop(charge.key)
        self._addresses.give_back(charge.address, refill_s=ADDRESS_REFILL_S)

    def forgive(self, charge: "_Charge") -> None:
        """Forget an account's failures and know the address for it from now on. Called by Attempt."""
        self._failures.drop(charge.key)
        self._familiar.put(charge.pair, True)

    def remembered(self) -> int:
        """Return how many entries are held in memory: at most three times the size."""
        return len(self._failures) + len(self._addresses) + len(self._familiar)


class Attempt:
    """One attempt to sign in, charged. Left alone, it counts as a failure; call one of the methods at most once."""

    def __init__(self, throttle: LoginThrottle, charge: "_Charge") -> None:
        self._throttle = throttle
        self._charge = charge

    def succeeded(self) -> None:
        """The password was right."""
        self._throttle.refund(self._charge)
        self._throttle.forgive(self._charge)

    def undecided(self) -> None:
        """Nobody learned whether the password was right: something of ours was in the way."""
        self._throttle.refund(self._charge)


class _Charge(NamedTuple):
    key: bytes
    pair: bytes
    address: str
    at: float
    failed_before_at: float


class _Failures(NamedTuple):
    number: int
    last_at: float

    def delayed_until(self) -> float:
        over = self.number - FREE_FAILURES
        return self.last_at if over < 0 else self.last_at + min(2.0 ** min(over, 32), LONGEST_DELAY_S)


class _Recent(Generic[V]):
    """The ``size`` entries that were written last. Pushing one out takes as many attempts as there are entries."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, V] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        return self._entries.get(key)

    def put(self, key: bytes, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, key: bytes) -> None:
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)


def _digest(*parts: str) -> bytes:
    """Return a key of fixed size: what was typed as an address may be a password, and is not to be kept."""
    return blake2b("\x00".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
