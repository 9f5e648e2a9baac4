"""What a command of the command line does: runs to its end, and says what stopped it in a sentence."""

import asyncio
import contextlib
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

import structlog
import uvloop

from monitord.domain.errors import DomainError
from monitord.services import ServiceEndedError

_log = structlog.get_logger(__name__)


def run_job(job: Coroutine[Any, Any, int]) -> int:
    """Run a job on a loop of its own; return its exit status, or 1 after saying on stderr what went wrong."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(job)
        except* (DomainError, OSError, ServiceEndedError) as group:
            for error in _leaves(group):
                _log.debug("failed", exc_info=error)
                say(f"monitord: {error}")
    return 1


def say(text: str) -> None:
    """Tell a person something, on stderr."""
    with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
