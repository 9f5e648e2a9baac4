"""A child process that can be awaited from any event loop, and whose last words are kept."""

import asyncio
import collections
import contextlib
import io
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

_LAUNCH = Path(__file__).with_name("launch.py")
_LOG_BYTES = 5 * 1024 * 1024
_WORDS_KEPT = 40


class _PrivateLog(logging.handlers.RotatingFileHandler):
    """A bounded log file that its owner alone can read: Postgres quotes statements."""

    def _open(self) -> io.TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return io.TextIOWrapper(io.FileIO(descriptor, "a"), encoding=self.encoding, write_through=True)


class ChildProcess:
    """A running program, started as a given user and tied to this process's life.

    Its standard error goes to a log file bounded in size. Two small threads do the blocking: asyncio's own ways to
    watch a child are bound to one event loop, while this outlives the loop that started it.
    """

    def __init__(self, command: Sequence[str], *, directory: Path, uid: int, gid: int, log: Path) -> None:
        """Start ``command`` at once. To be called from the main thread: the tie is to the thread that forks.

        Raises:
            OSError: it cannot be started.

        """
        self._words: collections.deque[str] = collections.deque(maxlen=_WORDS_KEPT)
        self._ended = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(uid), str(gid), str(directory), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # The terminal's Ctrl-C is for monitord, which stops its children when it is ready to.
            start_new_session=True,
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath, "HOME": str(directory)},
        )
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()
        name = Path(command[0]).name
        self._pump = threading.Thread(target=self._keep_words, args=(log,), name=f"{name} log", daemon=True)
        self._pump.start()
        threading.Thread(target=self._watch, name=f"{name} watch", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode if self._ended.is_set() else None

    @property
    def last_words(self) -> list[str]:
        """The last lines of its standard error."""
        return list(self._words)

    async def wait(self) -> int:
        """Return the exit status once it has ended."""
        loop = asyncio.get_running_loop()
        waiter = (loop, loop.create_future())
        with self._lock:
            if self._ended.is_set():
                return self._process.returncode
            self._waiters.append(waiter)
        try:
            await waiter[1]
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._waiters.remove(waiter)
        return self._process.returncode

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if not self._ended.is_set():
            self._process.send_signal(number)

    async def stop(self, limits_s: Sequence[tuple[signal.Signals, float]]) -> int:
        """Send each signal in turn until it has ended within that signal's limit; at last SIGKILL."""
        for number, limit_s in limits_s:
            self.send(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    return await self.wait()
        self.send(signal.SIGKILL)
        return await self.wait()

    def _watch(self) -> None:
        self._process.wait()
        # Its last words come before its end. A grandchild may hold the pipe open, so only so long.
        self._pump.join(timeout=1.0)
        with self._lock:
            self._ended.set()
            waiters = list(self._waiters)
        for loop, future in waiters:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_resolve, future)

    def _keep_words(self, log: Path) -> None:
        handler = _PrivateLog(log, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
        stream = self._process.stderr
        if stream is None:
            raise AssertionError("stderr is a pipe")
        with contextlib.closing(handler), stream:
            for line in iter(lambda: stream.readline(8192), b""):
                text = line.decode("utf-8", "replace").rstrip()
                self._words.append(text)
                handler.handle(logging.LogRecord("postgres", logging.INFO, "", 0, text, None, None))


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
