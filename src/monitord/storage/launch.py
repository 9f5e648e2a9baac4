"""Becomes another program, as another user, that ends when its parent ends.

Usage: ``launch.py PARENT_PID UID GID DIRECTORY PROGRAM ARGUMENT...``

It is run by path in a fresh interpreter, so it imports nothing of monitord. The usual way, a ``preexec_fn``, runs
Python between fork and exec of a process with threads, which may deadlock. The process id stays the same.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Drop privileges, tie this process to its parent's life, and exec."""
    parent, uid, gid = (int(argument) for argument in sys.argv[1:4])
    directory, program = sys.argv[4], sys.argv[5:]
    if os.getuid() != uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    os.chdir(directory)
    if sys.platform == "linux":
        # After the change of user, which clears it. SIGINT is Postgres' fast, clean shutdown.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"FATAL:  {error}")
