"""Figures with their spread, and the table that shows them."""

import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured quantity over several windows of one run."""

    scenario: str
    what: str
    unit: str
    samples: Sequence[float]
    asked: str = ""

    @property
    def median(self) -> float:
        """The middle sample: the one to quote."""
        return statistics.median(self.samples)

    def row(self) -> tuple[str, str, str, str, str, str]:
        """Return the figure as the cells of a table."""
        return (
            self.scenario,
            self.what,
            _number(self.median),
            f"{_number(min(self.samples))} - {_number(max(self.samples))}",
            self.unit,
            self.asked,
        )


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def show(figures: Sequence[Figure]) -> None:
    """Print the table, with the command line and the machine that it belongs to."""
    table = Table(title=f"python -m benchmarks {' '.join(sys.argv[1:])}", caption=machine(), caption_justify="left")
    for heading, justify in (
        ("scenario", "left"),
        ("figure", "left"),
        ("median", "right"),
        ("min - max", "right"),
        ("unit", "left"),
        ("asked", "left"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for figure in figures:
        table.add_row(*figure.row())
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)


def machine() -> str:
    """Return one line about the machine: figures mean little without it."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return f"{model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
