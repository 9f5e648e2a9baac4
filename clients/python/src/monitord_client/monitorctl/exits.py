"""What monitorctl's exit codes mean. They are part of its interface: never change one."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes, for scripts."""

    OK = 0
    DOWN = 1
    """``check`` and ``test``: the target does not work; ``contact test``: its message was not taken."""
    USAGE = 2
    """The command line, a file or a value is wrong."""
    NOT_FOUND = 3
    DENIED = 4
    """Not authenticated, or not permitted."""
    UNAVAILABLE = 5
    """The server did not answer, in time or at all."""
    CONFLICT = 6
    """It exists already, was changed meanwhile, or is not in a state for this."""
    LIMIT = 7
    """A limit is reached."""
    UNDECIDED = 8
    """``check`` and ``test``: nothing can be said of the target (INCONCLUSIVE or BLOCKED)."""
    INTERNAL = 70
    """A bug, on either side."""
    INTERRUPTED = 130
    """Ctrl-C."""


class CommandError(Exception):
    """Why a command cannot go on, in words for its user."""

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
