"""Runs a browser in a cage, and leaves nothing of it behind (T5).

Usage: ``cage.py CONFIGURATION``, a ``Cage`` as JSON; see ``chromium.py``. It is run by path in a fresh interpreter, so
it imports nothing of monitord: forking a process with threads and a loop, and working on in the child, may deadlock.

Where the system allows it, the browser gets namespaces of its own (namespaces(7)). Its network has nothing but a
loopback on which one socket listens, and that socket is handed to monitord: a browser that was taken over entirely
still has no way out but monitord's proxy. Its processes end when the first one does. Its files are in memory, bounded
in size, and vanish. Elsewhere there remain the other user, the limits, and the flags of the browser itself.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

NO_NAMESPACES = 119
"""The exit status where namespaces can't be had: nothing was started."""
TOO_MUCH_MEMORY = 120
TOO_LONG = 121

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_LOOK_S = 0.1
_SWEEPS = 100

_LIBC = ctypes.CDLL(None, use_errno=True)
_LINUX = sys.platform == "linux"


class _StopError(Exception):
    """monitord wants an end, or has ended."""


def main() -> int:
    """Start the browser, watch it, and return its exit status or one of the above, when nothing of it is left."""
    cage = json.loads(sys.argv[1])
    signal.signal(signal.SIGTERM, _stop)
    child = 0
    try:
        if _LINUX:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        if os.getppid() != cage["parent"]:
            return TOO_LONG
        if cage["isolate"]:
            try:
                _isolate(cage)
            except OSError as error:
                print(f"no namespaces: {error}", file=sys.stderr)  # noqa: T201
                return NO_NAMESPACES
        # A signal between the fork and its record would leave a child that nobody knows of.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            _first(cage) if cage["isolate"] else _become(cage)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return _watch(child, cage["memory_bytes"], time.monotonic() + cage["limit_s"])
    except _StopError:
        return TOO_LONG
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if child:
            _sweep(child)


def _stop(*_: object) -> NoReturn:
    raise _StopError


def _prctl(option: int, value: int) -> None:
    _checked(_LIBC.prctl(option, value, 0, 0, 0))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mount(kind: bytes, path: str, flags: int, options: str = "") -> None:
    _checked(_LIBC.mount(kind, os.fsencode(path), kind, flags, options.encode()))


def _isolate(cage: dict[str, Any]) -> None:
    """Enter namespaces of our own. Raises OSError where that can't be done."""
    uid, gid = os.getuid(), os.getgid()
    spaces = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
    _checked(_LIBC.unshare(spaces if uid == 0 else spaces | _NEWUSER))
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _mount(b"none", "/", _MS_REC | _MS_PRIVATE)
    for path in cage["hidden"]:
        _mount(b"tmpfs", path, _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "mode=000")
    size = f"size={cage['disk_bytes']},mode=0700,uid={cage['uid']},gid={cage['gid']}"
    _mount(b"tmpfs", cage["folder"], _MS_NOSUID | _MS_NODEV, size)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", _IFF_UP, b""))


def _first(cage: dict[str, Any]) -> NoReturn:
    """Be the first process of the namespace: start the browser, bury its dead, and end with it, and so all end."""
    status = 1
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):  # where parts of /proc are masked, as in containers, it is not to be had
            _checked(_LIBC.unshare(_NEWNS))
            _mount(b"proc", "/proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        _hand_over(cage["control"], cage["port"])
        browser = os.fork()
        if browser == 0:
            _become(cage)
        ended = 0
        while ended != browser:
            ended, status = os.wait()
    finally:
        os._exit(_code(status))


def _hand_over(control: int, port: int) -> None:
    """Listen on the loopback of this namespace, and give the socket to monitord."""
    with (
        socket.socket(fileno=control) as to,
        socket.create_server(("127.0.0.1", port), backlog=64) as listener,
    ):
        socket.send_fds(to, [b"listener"], [listener.fileno()])


def _become(cage: dict[str, Any]) -> NoReturn:
    """Drop what the browser doesn't need, and become it."""
    try:
        os.setpgid(0, 0)
        for name, limit in cage["limits"].items():
            _limit(getattr(resource, name, None), limit)
        if os.getuid() != cage["uid"]:
            os.setgroups([])
            os.setgid(cage["gid"])
            os.setuid(cage["uid"])
        if _LINUX:
            _prctl(_PR_SET_NO_NEW_PRIVS, 1)
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which clears it
        os.umask(0o077)
        os.chdir(cage["folder"])
        pipe = fcntl.fcntl(cage["devtools"], fcntl.F_DUPFD, 64)
        os.dup2(pipe, 3)
        os.dup2(pipe, 4)
        os.closerange(5, 1024)
        os.execve(cage["command"][0], cage["command"], cage["environment"])  # noqa: S606
    except Exception as error:
        print(f"cannot start the browser: {error}", file=sys.stderr, flush=True)  # noqa: T201
    finally:
        os._exit(1)  # whatever happened, this process must not go on as a copy of its parent


def _limit(kind: int | None, value: int) -> None:
    if kind is None:
        return
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _watch(child: int, memory_bytes: int, until: float) -> int:
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended == child:
            return _code(status)
        if time.monotonic() > until:
            return TOO_LONG
        if sum(_memory(pid) for pid in _members()) > memory_bytes:
            return TOO_MUCH_MEMORY
        time.sleep(_LOOK_S)


def _sweep(child: int) -> None:
    """Kill until there is nothing left: whatever loses its parent becomes ours (PR_SET_CHILD_SUBREAPER)."""
    for _ in range(_SWEEPS):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        for pid in list(_members()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _members() -> Iterator[int]:
    """Return the processes of our session, and those that became our children; without /proc none."""
    own = os.getpid()
    for entry in os.scandir("/proc") if _LINUX else ():
        if entry.name.isdigit() and int(entry.name) != own:
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()  # proc(5): state, ppid, ...
                if int(fields[1]) == own or int(fields[3]) == own:
                    yield int(entry.name)


def _memory(pid: int) -> int:
    """Return what a process holds that is its own, or shared memory, in bytes."""
    total = 0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * 1024
    return total


def _code(status: int) -> int:
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    sys.exit(main())
