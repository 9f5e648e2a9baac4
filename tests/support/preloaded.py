"""Starts monitord and monitorctl again and again without paying for their imports: forks of one process that has them.

Run as ``python -m tests.support.preloaded 7``, with a socket at that descriptor. Each message on it is a start, and
brings four files: the standard ones, and one that is told the process's id and, once it has ended, its exit status.
What runs is a process of its own with all that ``python -m monitord`` has.
"""

import asyncio
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

PROGRAMS = {"monitord": "monitord.__main__", "monitorctl": "monitord_client.monitorctl.__main__"}
"""Each is run by its ``main``."""

_IMPORTED_LATER = ("monitord.lifecycle", "monitord_client.monitorctl.app")
"""What they import when they run, each time."""
_LENGTH = struct.Struct(">I")


class Forked:
    """One such process; speaks like ``subprocess.Popen``."""

    def __init__(self, told: IO[bytes]) -> None:
        self.returncode: int | None = None
        self._told = told
        self.pid = int(told.readline())

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    async def ended(self) -> int:
        """Return the status once it has ended, and let others run until then."""
        if self.returncode is None:
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(self._told, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._told)
        return self.wait()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Preloaded:
    """The process that forks."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            # What is printed goes out at once, as it does from the processes that tests start themselves.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())],
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(
        self, program: str, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], files: Sequence[IO[bytes]]
    ) -> Forked:
        """Start a program with its standard input, output and error."""
        wish = json.dumps({"program": program, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode()
        told, tell = os.pipe()
        descriptors = [*(file.fileno() for file in files), tell]
        socket.send_fds(self._socket, [_LENGTH.pack(len(wish))], descriptors)
        self._socket.sendall(wish)
        os.close(tell)
        return Forked(os.fdopen(told, "rb", buffering=0))

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


@functools.cache
def forks() -> Preloaded:
    """Return the process that forks for the tests of this one; it ends when this one does."""
    made = Preloaded()
    atexit.register(made.close)
    return made


class _Server:
    """The other side."""

    def __init__(self, wishes: socket.socket) -> None:
        self._wishes = wishes
        self._children: dict[int, int] = {}
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Start what is wished and tell how it ends, until nobody can wish any more."""
        while True:
            ready, _, _ = select.select([self._wishes, self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._wishes in ready and not self._start():
                return

    def _start(self) -> bool:
        prefix, files, _, _ = socket.recv_fds(self._wishes, _LENGTH.size, 4)
        if len(prefix) < _LENGTH.size:
            return False
        wish = bytearray()
        while len(wish) < _LENGTH.unpack(prefix)[0]:
            wish += self._wishes.recv(_LENGTH.unpack(prefix)[0] - len(wish))
        pid = os.fork()
        if pid == 0:
            self._become(json.loads(wish), files)
        *standard, tell = files
        for each in standard:
            os.close(each)
        self._children[pid] = tell
        self._say(tell, pid)
        return True

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            tell = self._children.pop(pid)
            self._say(tell, os.waitstatus_to_exitcode(status))
            os.close(tell)

    def _say(self, tell: int, number: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # whoever started it has gone
            os.write(tell, b"%d\n" % number)

    def _become(self, wish: Mapping[str, Any], files: Sequence[int]) -> NoReturn:
        """Be the program, and end."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        for each in (*files, *self._children.values(), self._woken, self._wake):
            os.close(each)
        self._wishes.close()
        os.chdir(wish["cwd"])
        os.environ.clear()
        os.environ.update(wish["env"])
        sys.argv = [wish["program"], *wish["arguments"]]
        importlib.import_module(PROGRAMS[wish["program"]]).main()
        sys.exit()


def _main() -> None:
    # As `monitord run` does before it imports gRPC.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
    for module in (*PROGRAMS.values(), *_IMPORTED_LATER):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # or each child would copy all of it as its collector looks at it
    _Server(socket.socket(fileno=int(sys.argv[1]))).serve()


if __name__ == "__main__":
    _main()
