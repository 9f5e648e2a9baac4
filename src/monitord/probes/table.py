"""Which prober runs which kind of check."""

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from monitord.domain.check import Observation
from monitord.domain.monitor import Check, HttpCheck

C = TypeVar("C", contravariant=True)


class Prober(Protocol[C]):
    """Runs checks of one kind."""

    def __call__(self, check: C, timeout_s: float, *, trace: bool = False) -> Coroutine[Any, Any, Observation]:
        """Run one check within ``timeout_s`` seconds. What a target does becomes a value, never an exception."""


class Probes:
    """Runs checks of every kind. A new kind is one file beside this one, and one row here."""

    def __init__(self, *, http: Prober[HttpCheck]) -> None:
        self._probers = {HttpCheck: http}

    def __call__(self, check: Check, timeout_s: float, *, trace: bool = False) -> Coroutine[Any, Any, Observation]:
        """Run one check; see ``Prober``."""
        return self._probers[type(check)](check, timeout_s, trace=trace)
