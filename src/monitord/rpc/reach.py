"""API keys that are for some monitors: a call by one is let through only where it is about those alone (T9)."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from google.protobuf.message import Message

from monitord.domain.errors import NotFoundError, PermissionDeniedError
from monitord.domain.kinds import GroupCheck
from monitord.domain.monitor import MonitorSpec
from monitord.identity.principal import Principal
from monitord.rpc.permissions import Rule


class MonitorLabels(Protocol):
    """Knows which labels monitors have. The organisation comes first (T9)."""

    async def without_labels(self, org_id: int, monitor_ids: Sequence[int], labels: Mapping[str, str]) -> Sequence[int]:
        """Return those that are not there, are another's, or lack one of the labels."""
        ...


class Reach:
    """Judges requests by the monitors that they name; those that a rule doesn't speak of are refused."""

    def __init__(self, monitors: MonitorLabels) -> None:
        self._monitors = monitors

    async def judge(self, rule: Rule, principal: Principal, request: Message) -> None:
        """Return if a caller may make a request, as far as labels say.

        Raises PermissionDeniedError; NotFoundError for a monitor that the key is not for, as for one that isn't there.
        """
        if rule.monitors is None:
            raise PermissionDeniedError(f"{_for_whom(principal)}: this call is about more than those")
        if not rule.monitors:
            return  # the handler sees to it
        named = _ids(request, rule.monitors)
        if not all(named):
            raise PermissionDeniedError(f"{_for_whom(principal)}: name some of them in `{rule.monitors}`")
        for missing in await self._monitors.without_labels(principal.org_id, named, principal.labels):
            raise NotFoundError(f"There is no monitor {missing}.", id=str(missing))


def require_reach(principal: Principal, spec: MonitorSpec) -> None:
    """Raise PermissionDeniedError unless a key may see to it that there is such a monitor."""
    if not principal.labels:
        return
    if not principal.labels.items() <= spec.labels.items():
        raise PermissionDeniedError(f"{_for_whom(principal)}: the monitor has to have them")
    if spec.parent_ids or isinstance(spec.check, GroupCheck):
        raise PermissionDeniedError(f"{_for_whom(principal)}: they can't be judged by others")


def _for_whom(principal: Principal) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(principal.labels.items()))
    return f"this key is for monitors with the labels {labels}"


def _ids(request: Any, path: str) -> list[int]:
    value = request
    for name in path.split("."):
        value = getattr(value, name)
    return [value] if isinstance(value, int) else list(value) or [0]
