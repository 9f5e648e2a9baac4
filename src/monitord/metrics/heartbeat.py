"""A sign of life for another system: it notices when the signs stop (I19)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

PERIOD_S = 60.0
LOOK_S = 1.0
"""How soon to look again while monitord is not ready, as at its start."""
LIMIT_S = 10.0

_log = structlog.get_logger(__name__)


class HttpGet(Protocol):
    """Asks for a URL through the guarded dialler."""

    async def __call__(self, url: str, timeout_s: float) -> int:
        """Return the status code of the answer. Raises OSError or TimeoutError when there is none."""
        ...


class Heartbeat:
    """Asks for the operator's URL every minute while monitord is ready. A failure is logged when it begins and ends."""

    def __init__(self, url: str, get: HttpGet, is_ready: Callable[[], Awaitable[bool]]) -> None:
        self._url = url
        self._get = get
        self._is_ready = is_ready
        self._failing = False

    async def run(self) -> None:
        """Beat at a fixed rate while ready, at once when that begins, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if await self._is_ready():
                self._tell(await self._beat())
                due = max(due + PERIOD_S, loop.time())
            else:
                due = loop.time() + LOOK_S
            await asyncio.sleep(due - loop.time())

    async def _beat(self) -> str | None:
        """Return why the beat did not get through, or None. The URL is a secret of sorts, and never logged (T15)."""
        try:
            async with asyncio.timeout(LIMIT_S):
                status = await self._get(self._url, LIMIT_S)
        except TimeoutError:
            return f"no answer within {LIMIT_S:g} s"
        except OSError as error:
            return error.strerror or type(error).__name__
        return None if 200 <= status < 300 else f"status {status}"

    def _tell(self, problem: str | None) -> None:
        if problem and not self._failing:
            _log.warning("heartbeat failed", problem=problem)
        elif self._failing and not problem:
            _log.info("heartbeat works again")
        self._failing = problem is not None
