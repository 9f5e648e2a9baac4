"""A caged browser process: started, spoken with, and ended with all that it has become. See ``cage.py``."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec

from monitord.evidence.capture import cage
from monitord.evidence.capture.account import Account

END_S = 3.0
"""How long the cage may take to end, and to kill what is in it."""

_CAGE = Path(cage.__file__)
_READY_S = 5.0
_LINES_KEPT = 30
_LONGEST_TEMP = 32
_PREFIX = "monitord-shot-"
_LEFT_S = 3600.0


class Cage(msgspec.Struct, frozen=True, kw_only=True):
    """What ``cage.py`` is told."""

    parent: int
    uid: int
    gid: int
    folder: str
    hidden: Sequence[str]
    isolate: bool
    port: int
    control: int
    devtools: int
    memory_bytes: int
    disk_bytes: int
    limit_s: float
    limits: dict[str, int]
    command: list[str]
    environment: dict[str, str]


async def start(configuration: Cage) -> asyncio.subprocess.Process:
    """Start the cage; it is given copies of its two sockets. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *[sys.executable, "-I", "-S", str(_CAGE), json.dumps(msgspec.to_builtins(configuration))],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(configuration.control, configuration.devtools),
        start_new_session=True,
        env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
    )


@contextlib.asynccontextmanager
async def folder_for(user: Account) -> AsyncIterator[Path]:
    """Make a folder that is the user's alone, and remove it with whatever is in it."""
    folder = _make_folder(user)
    try:
        yield folder
    finally:
        # In a thread, and not to be awaited any more when we are cancelled: it goes on.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


def _make_folder(user: Account) -> Path:
    usual = tempfile.gettempdir()
    # Chromium makes a socket below it, and the path of a socket has an end: sun_path holds 104 bytes, or 108.
    short = usual if len(usual) <= _LONGEST_TEMP else "/tmp"  # noqa: S108
    _remove_leftovers(Path(short))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=short)).resolve()
    if os.geteuid() != user.uid:
        os.chown(folder, user.uid, user.gid)
    return folder


def _remove_leftovers(parent: Path) -> None:
    """Remove what a monitord that was killed in the middle left; of others' it can remove nothing."""
    for each in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if each.lstat().st_mtime < time.time() - _LEFT_S and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)


@contextlib.asynccontextmanager
async def words_of(process: asyncio.subprocess.Process) -> AsyncIterator[deque[str]]:
    """Keep the last lines that it says."""
    words: deque[str] = deque(maxlen=_LINES_KEPT)

    async def listen() -> None:
        stream = process.stderr
        assert stream is not None
        rest = b""
        while part := await stream.read(8192):
            *lines, rest = (rest + part[:8192]).split(b"\n")
            rest = rest[-1024:]
            words.extend(line[:300].decode(errors="replace") for line in lines)

    task = asyncio.create_task(listen())
    try:
        yield words
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def receive(control: socket.socket) -> socket.socket:
    """Return the listening socket that comes out of the cage. Raises EOFError when it sends none."""
    control.setblocking(False)
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(control, _settle, ready)
    try:
        async with asyncio.timeout(_READY_S):
            await ready
    finally:
        loop.remove_reader(control)
    _, descriptors, _, _ = socket.recv_fds(control, 64, 1)
    if not descriptors:
        raise EOFError("the cage was not built")
    listener = socket.socket(fileno=descriptors[0])
    listener.setblocking(False)
    return listener


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def end(process: asyncio.subprocess.Process) -> None:
    """Let the cage kill what is in it, and wait for that, also when we are cancelled."""
    await asyncio.shield(asyncio.ensure_future(_ended(process)))


async def _ended(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # the first process of the cage ends with it, and so all do
        await process.wait()
