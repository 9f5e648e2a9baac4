"""One metric family of the monitors' series: its name, and what writes its lines."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from monitord.metrics.watched import Watched

Lines: TypeAlias = Callable[[Sequence[Watched]], str]
"""Writes the lines of some monitors; none for a monitor of which there is nothing to tell.

For many at once: a call for each monitor costs as much as its line.
"""


class Family(msgspec.Struct, frozen=True):
    """What is told of monitors under one name."""

    name: str
    documentation: str
    lines: Lines
    kinds: tuple[type, ...] = ()
    """Of which kinds of check it tells; none: of all of them."""
    but: tuple[type, ...] = ()
    """Kinds that have nothing of it."""

    def header(self, *, openmetrics: bool) -> str:
        """Return the lines HELP and TYPE."""
        name, kind = self.name, "gauge"
        if openmetrics and name.endswith("_info"):
            # OpenMetrics keeps the suffix for a type of its own, and names a family of that type without it.
            name, kind = name.removesuffix("_info"), "info"
        return f"# HELP {name} {self.documentation}\n# TYPE {name} {kind}\n"


def measured(name: str, figure: str, format_spec: str = "g", scale: float = 1.0) -> Lines:
    """Return what writes a figure of a check, times ``scale``, where there is one."""

    def lines(some: Sequence[Watched]) -> str:
        return "".join(
            f"{name}{each.label}}} {value * scale:{format_spec}}\n"
            for each in some
            if each.is_conclusive and (value := each.measurements.get(figure)) is not None
        )

    return lines


def phases(name: str, *parts: tuple[str, tuple[str, ...]]) -> Lines:
    """Return what writes how long each phase took, in seconds.

    A phase that did not happen is 0, as in blackbox_exporter: its dashboards add them up.

    Args:
        name: of the family.
        parts: what the label ``phase`` says, and which phases of a check that is the sum of.
    """

    def lines(some: Sequence[Watched]) -> str:
        return "".join(
            f'{name}{each.label},phase="{label}"}} {_seconds(each, names):.6f}\n'
            for each in some
            if each.is_conclusive
            for label, names in parts
        )

    return lines


def _seconds(each: Watched, names: tuple[str, ...]) -> float:
    return sum(getattr(each.phases, name) or 0.0 for name in names) / 1000
