"""Processes under measurement: started on a chosen core, with their CPU time and memory read from the system."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil

CORES = sorted(os.sched_getaffinity(0))
"""The first core runs what is measured; the last one everything it talks to."""
MEASURED, OTHER = CORES[0], CORES[-1]


def on_core(core: int, command: Sequence[str]) -> list[str]:
    """Return the command that runs another on one core."""
    return ["taskset", "-c", str(core), *command]


@contextmanager
def piped(command: Sequence[str], core: int, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a process that ends when its standard input closes."""
    process = subprocess.Popen(
        on_core(core, command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextmanager
def script(module: str, *arguments: str) -> Iterator[int]:
    """Run a module that serves on a port of its own, on the other core, and yield that port."""
    with piped([sys.executable, "-m", module, *arguments], OTHER) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


@contextmanager
def target(certificate: Path | None = None, key: Path | None = None) -> Iterator[int]:
    """Run the target on the other core and yield its port."""
    arguments = [] if certificate is None else ["--certificate", str(certificate), "--key", str(key)]
    with script("benchmarks.target", *arguments) as port:
        yield port


def requests(port: int) -> int:
    """Return how many requests the plain-HTTP target on this port has answered."""
    with urlopen(f"http://127.0.0.1:{port}/count", timeout=10) as answer:
        return int(answer.read())


@dataclass(frozen=True)
class Usage:
    """CPU seconds spent so far and resident bytes now."""

    cpu_s: float
    rss: int

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(self.cpu_s - earlier.cpu_s, self.rss - earlier.rss)


def usage(pid: int, *, children: bool = False) -> Usage:
    """Return what a process, or all of its living descendants, used.

    Of children that ended in between (Postgres' backends do), the parent's own accounts keep the CPU time.
    """
    process = psutil.Process(pid)
    times = process.cpu_times()
    cpu, rss = times.user + times.system, process.memory_info().rss
    if children:
        cpu += times.children_user + times.children_system
        for child in process.children(recursive=True):
            try:
                spent = child.cpu_times()
                cpu += spent.user + spent.system
            except psutil.NoSuchProcess:
                continue
    return Usage(cpu, rss)
