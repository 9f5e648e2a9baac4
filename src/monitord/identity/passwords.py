"""Passwords: bcrypt, off the loop, the same work whether or not an account exists (T14)."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import bcrypt

from monitord.domain.errors import InvalidArgumentError, ResourceExhaustedError, Violation

MAX_BYTES = 72
"""bcrypt looks at no more; cutting silently would make two different passwords the same."""
MIN_CHARACTERS = 8
"""NIST SP 800-63B, 5.1.1.2: length is what matters, rules on composition are not."""

_COST = 12
_WAITING = 16
"""Verifications under way or waiting: at a quarter of a second each, nobody waits longer than a few seconds."""
_RETRY_AFTER_S = 2.0
_NICENESS = 10

P = ParamSpec("P")
R = TypeVar("R")


def check_length(password: str, field: str = "password") -> bytes:
    """Return the password as bytes; raise InvalidArgumentError when it is empty or longer than bcrypt reads."""
    try:
        encoded = password.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentError([Violation(field, "must be valid UTF-8")]) from None
    if not encoded:
        raise InvalidArgumentError([Violation(field, "is required")])
    if len(encoded) > MAX_BYTES:
        raise InvalidArgumentError([Violation(field, f"must be at most {MAX_BYTES} bytes of UTF-8, is {len(encoded)}")])
    return encoded


def check_new(password: str, field: str = "password") -> bytes:
    """Return a password that someone chose as bytes; raise InvalidArgumentError when it is too short or too long."""
    if len(password) < MIN_CHARACTERS:
        raise InvalidArgumentError([Violation(field, f"must be at least {MIN_CHARACTERS} characters long")])
    return check_length(password, field)


class Passwords:
    """Hashes and verifies passwords in threads of its own, so that neither the loop nor others' threads wait.

    bcrypt releases the interpreter's lock, and the threads run at a lower priority: guesses without end slow no
    check. At most ``waiting`` calls are taken at a time; one more raises ResourceExhaustedError at once.
    """

    def __init__(self, *, cost: int = _COST, threads: int = 1, waiting: int = _WAITING) -> None:
        self._cost = cost
        self._waiting = waiting
        self._taken = 0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt", initializer=_lower_priority)
        # A hash of nothing anyone could type: verifying against it takes as long as against a real one.
        self._nobody = bcrypt.gensalt(cost) + b"." * 31

    async def hash(self, password: str) -> str:
        """Return the hash to store. Raises InvalidArgumentError for a password of the wrong length."""
        return (await self._run(_hash, check_new(password), self._cost)).decode()

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Tell whether the password is the one that was hashed; never so, after the same work, when ``hashed`` is None.

        Raises InvalidArgumentError for an empty password, or one over 72 bytes, whatever the account.
        """
        encoded = check_length(password)
        stored = self._nobody if hashed is None else hashed.encode()
        return await self._run(bcrypt.checkpw, encoded, stored) and hashed is not None

    def close(self) -> None:
        """Take no more work, and forget what has not begun. What runs ends by itself within a second."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._taken >= self._waiting:
            raise ResourceExhaustedError(
                "Too many passwords are being verified at the moment: try again in a few seconds.",
                retry_after_s=_RETRY_AFTER_S,
            )
        self._taken += 1
        try:
            return await asyncio.wrap_future(self._executor.submit(work, *args, **kwargs))
        finally:
            self._taken -= 1


def _hash(password: bytes, cost: int) -> bytes:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost))


def _lower_priority() -> None:
    # On Linux the "process" of setpriority is one thread, which is just what is wanted here.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Never less nice than it is already: that would need a privilege.
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
