"""Starts monitord again and again without paying for its imports: forks of one process that has them.

Run as ``python -m tests.support.preloaded``. Each line on standard input is a start; it answers with the process's id,
and with its exit status once it has ended. What runs is a process of its own with all that ``python -m monitord`` has.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO


class Forked:
    """One such process; speaks like ``subprocess.Popen``."""

    def __init__(self, pid: int, answers: IO[bytes]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._answers = answers

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._answers], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(self._answers.readline())
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Preloaded:
    """The process that forks: one child at a time."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def start(
        self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes]
    ) -> Forked:
        wish = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "out": [stdout.name, stderr.name]}
        commands, answers = self._process.stdin, self._process.stdout
        assert commands is not None
        assert answers is not None
        commands.write(json.dumps(wish).encode() + b"\n")
        commands.flush()
        return Forked(int(answers.readline()), answers)


@contextlib.contextmanager
def preloaded() -> Iterator[Preloaded]:
    """Keep such a process for the length of the block."""
    # Unbuffered: select has to see what a read has not taken.
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.preloaded"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Preloaded(process)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _become(wish: dict[str, object]) -> None:
    """Run monitord in this process, and end it."""
    out, env = wish["out"], wish["env"]
    assert isinstance(out, list)
    assert isinstance(env, dict)
    os.chdir(str(wish["cwd"]))
    os.environ.clear()
    os.environ.update(env)
    for number, name in enumerate((os.devnull, *out)):
        opened = os.open(str(name), os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    from monitord.__main__ import main

    arguments = wish["arguments"]
    assert isinstance(arguments, list)
    sys.argv = ["monitord", *arguments]
    main()


def _serve() -> None:
    import monitord.__main__
    import monitord.lifecycle  # noqa: F401 - what takes long

    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
