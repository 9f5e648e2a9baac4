"""Which prober runs which kind of check."""

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from monitord.domain.check import Category, Observation
from monitord.domain.kinds import Check, kind_of
from monitord.probes.failure import ours
from monitord.probes.trial import unprobed

C = TypeVar("C", contravariant=True)


class Prober(Protocol[C]):
    """Runs checks of one kind."""

    def __call__(self, check: C, timeout_s: float, *, trace: bool = False) -> Coroutine[Any, Any, Observation]:
        """Run one check within ``timeout_s`` seconds. What a target does becomes a value, never an exception."""


class Probes:
    """Runs checks of every kind that this machine can run. A new kind is one file beside this one, and one row in
    ``app.py``."""

    def __init__(self, probers: Mapping[type[Any], Prober[Any]], unsupported: Mapping[type[Any], str]) -> None:
        """Take a prober for each kind; for the kinds that can't be run here, a sentence that says why."""
        self._probers = dict(probers)
        self._unsupported = dict(unsupported)

    def __call__(self, check: Check, timeout_s: float, *, trace: bool = False) -> Coroutine[Any, Any, Observation]:
        """Run one check; see ``Prober``."""
        prober = self._probers.get(type(check))
        return self._refuse(check) if prober is None else prober(check, timeout_s, trace=trace)

    @property
    def unsupported(self) -> Mapping[str, str]:
        """The kinds that can't be run on this machine, with the reasons."""
        return {kind.__struct_config__.tag: reason for kind, reason in self._unsupported.items()}

    def why_not(self, check: Check) -> str | None:
        """Return why checks of this kind can't be run on this machine; None if they can."""
        if type(check) in self._probers:
            return None
        return self._unsupported.get(type(check), f"this monitord has no means for {kind_of(check)} checks")

    async def _refuse(self, check: Check) -> Observation:
        reason = self.why_not(check) or ""
        return unprobed(ours(Category.ENGINE_UNSUPPORTED, f"Not checked: {reason}."))
