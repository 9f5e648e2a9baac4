"""From a request to a monitor that may be stored: read, merged, judged; or refused with everything that is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.kinds import Check, kind_of
from monitord.domain.monitor import MonitorSpec
from monitord.domain.rules import monitor as rules
from monitord.domain.secrets import keep_secrets, lacks_secrets
from monitord.rpc.convert_monitor import read_spec, spec_pb
from monitord.rpc.field_mask import merge
from monitord.rpc.places import EgressPolicy, refusals
from monitord.v1 import monitor_pb2 as pb

MAX_SET = 1000
"""How many monitors one ApplyMonitors may bring."""

T = TypeVar("T")


class Support(Protocol):
    """Knows which kinds of check can be run here."""

    def why_not(self, check: Check) -> str | None:
        """Return why checks of this kind can't be run on this machine; None if they can."""
        ...


class SpecReader:
    """Makes specifications of messages. Every method raises InvalidArgumentError."""

    def __init__(self, limits: rules.Limits, policy: EgressPolicy, support: Support) -> None:
        self._limits = limits
        self._policy = policy
        self._support = support

    def new(self, message: pb.Monitor) -> MonitorSpec:
        """Return what a new monitor shall be."""
        spec, found = self._read(message, "monitor.")
        found += self._judge(spec, "monitor.", found)
        return _accept(spec, found)

    def trial(self, message: pb.Monitor, stored: MonitorSpec | None) -> MonitorSpec:
        """Return what is to be tried out: the name may be missing, and secrets are those of ``stored`` where empty."""
        spec, found = self._read(message, "monitor.")
        spec = msgspec.structs.replace(spec, name=spec.name or "test", check=_check_with_secrets(spec, stored))
        found += self._judge(spec, "monitor.", found)
        return _accept(spec, found)

    def edited(self, request: pb.Monitor, paths: Iterable[str], stored: MonitorSpec) -> MonitorSpec:
        """Return ``stored`` with the fields that ``paths`` name replaced by those of the request."""
        merged = spec_pb(stored)
        merge(merged, request, paths)
        spec, found = self._read(merged, "monitor.")
        spec = msgspec.structs.replace(spec, check=_check_with_secrets(spec, stored))
        if spec == stored and not found:
            return stored  # whatever the rules are now, a change of nothing breaks none
        found += self._judge(spec, "monitor.", found)
        return _accept(spec, found)

    def whole_set(self, messages: Sequence[pb.Monitor]) -> list[MonitorSpec]:
        """Return what a whole set of monitors shall be. Secrets may be empty: they are kept where they are stored."""
        if len(messages) > MAX_SET:
            raise InvalidArgumentError([Violation("monitors", f"must be at most {MAX_SET}, not {len(messages)}")])
        specs: list[MonitorSpec] = []
        wrong: list[Violation] = []
        first_of: dict[str, int] = {}
        for index, message in enumerate(messages):
            prefix = f"monitors[{index}]."
            spec, found = self._read(message, prefix)
            wrong += found
            wrong += self._judge(spec, prefix, found, secrets_may_be_kept=True)
            twin = first_of.setdefault(spec.name, index)
            if twin != index:
                wrong.append(Violation(f"{prefix}name", f"must be unique within the set; monitors[{twin}] has it too"))
            specs.append(spec)
        return _accept(specs, wrong)

    def with_secrets(self, specs: Sequence[MonitorSpec], stored: Mapping[str, MonitorSpec]) -> list[MonitorSpec]:
        """Return a set with each secret that came without a value filled from the stored monitor of the same name."""
        filled = [
            msgspec.structs.replace(spec, check=_check_with_secrets(spec, stored.get(spec.name))) for spec in specs
        ]
        wrong: list[Violation] = []
        for index, spec in enumerate(filled):
            if lacks_secrets(spec.check):
                wrong += rules.violations(spec, self._limits, prefix=f"monitors[{index}].")
        return _accept(filled, wrong)

    def _read(self, message: pb.Monitor, prefix: str) -> tuple[MonitorSpec, list[Violation]]:
        found: list[Violation] = []
        spec = read_spec(message, self._limits, found)
        return spec, [Violation(prefix + one.field, one.description) for one in found]

    def _judge(
        self, spec: MonitorSpec, prefix: str, found: Iterable[Violation], *, secrets_may_be_kept: bool = False
    ) -> list[Violation]:
        """Return what is wrong with a specification besides what was ``found`` to be unreadable."""
        told = {one.field for one in found}
        judged = rules.violations(spec, self._limits, prefix=prefix, secrets_may_be_kept=secrets_may_be_kept)
        wrong = [one for one in judged if one.field not in told]
        unsupported = self._support.why_not(spec.check)
        if unsupported is not None:
            wrong.append(Violation(prefix + kind_of(spec.check), f"can't be checked here: {unsupported}"))
        return wrong + refusals(spec.check.places(), f"{prefix}{kind_of(spec.check)}.", self._policy)


def _check_with_secrets(spec: MonitorSpec, stored: MonitorSpec | None) -> Check:
    return spec.check if stored is None else keep_secrets(spec.check, stored.check)


def _accept(made: T, found: list[Violation]) -> T:
    if found:
        raise InvalidArgumentError(found)
    return made
