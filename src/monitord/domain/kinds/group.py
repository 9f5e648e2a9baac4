"""Several monitors as one: judged by how its members do."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import Place


class GroupCheck(msgspec.Struct, frozen=True, tag="group", kw_only=True, weakref=True):
    """Judge other monitors together. Nothing is dialled."""

    monitor_ids: tuple[int, ...] = ()
    """These; with ``labels``, those as well. May be groups, without circles."""
    labels: dict[str, str] = {}
    """Monitors that have all of these, except groups: two of those could hold each other down for ever."""
    min_up: int = 0
    """How many members must work for the group to work; 0: all."""

    @property
    def peer(self) -> str:
        """Nothing is dialled: groups are counted together."""
        return "groups"

    @property
    def shown(self) -> str:
        """What is judged, as people read it."""
        chosen = []
        if self.monitor_ids:
            count = len(self.monitor_ids)
            chosen.append(f"{count} monitors" if count > 1 else "1 monitor")
        if self.labels:
            chosen.append("monitors with " + ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items())))
        need = f"at least {self.min_up}" if self.min_up else "all"
        return f"{need} of {' and '.join(chosen) or 'nothing'}"

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent: it has none."""
        return ()

    def places(self) -> Iterator[Place]:
        """Yield what it will dial: nothing."""
        return iter(())
