"""Keeps the board of ``monitorctl watch`` up to date."""

import asyncio
from contextlib import aclosing

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from monitord_client import Client, Disconnected, Gap, Monitor, MonitordError, NotFoundError, Reconnected, Row
from monitord_client.monitorctl.board import STRIP, Board
from monitord_client.monitorctl.printing import visible
from monitord_client.monitorctl.spans import length_words, utc_now

_LIST_EVERY_S = 10.0
_LIST_AT_MOST_EVERY_S = 1.0
_MEASURE_EVERY_S = 60.0
_MEASURED = 50
"""Uptime is asked for one monitor at a time: on a larger board only so many are."""
_DRAW_EVERY_S = 0.25
_TAIL_MOST_IDS = 1_000


class Watcher:
    """One tail feeds the board; the set of monitors and their uptime are asked for now and then."""

    def __init__(self, client: Client, names: list[str], console: Console) -> None:
        """Watch the monitors with these names; none: all."""
        self._client = client
        self._names = names
        self._console = console
        self._board = Board()
        self._stale = asyncio.Event()

    async def run(self) -> None:
        """Draw until cancelled. Raises MonitordError when the server can't be reached at the start."""
        monitors = await self._list()
        self._board.know(monitors)
        failures: list[MonitordError | ExceptionGroup[MonitordError]] = []
        try:
            with Live(self._picture(), console=self._console, auto_refresh=False) as live:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow([monitor.id for monitor in monitors]))
                    group.create_task(self._relist())
                    group.create_task(self._measure())
                    while True:
                        live.update(self._picture(), refresh=True)
                        await asyncio.sleep(_DRAW_EVERY_S)
        except* MonitordError as group:
            failures += group.exceptions
        # Raised here, for Python before 3.11.4 wraps what is raised within `except*` into a group again.
        if failures:
            raise failures[0]

    def _picture(self) -> RenderableType:
        notice = Text(visible(self._board.notice), style="bold yellow")
        room = max(5, self._console.height - 4) if self._console.is_terminal else None
        return Group(self._board.table(utc_now(), room), notice)

    async def _list(self) -> list[Monitor]:
        return [monitor async for monitor in self._client.list_monitors(names=self._names, page_size=500)]

    async def _follow(self, monitor_ids: list[int]) -> None:
        chosen = monitor_ids if self._names else []
        last = min(10_000, max(1, STRIP * len(monitor_ids)))
        async with aclosing(self._client.tail(chosen[:_TAIL_MOST_IDS], last=last)) as events:
            async for event in events:
                match event:
                    case Row(row):
                        if self._board.saw(row):
                            self._stale.set()
                    case Gap(message):
                        self._board.notice = f"Not everything is shown: {message}"
                    case Disconnected(cause):
                        self._board.notice = f"Connection lost ({cause}); trying again ..."
                    case Reconnected(away_s):
                        self._board.notice = f"Connected again after {length_words(away_s)}."
                        self._stale.set()

    async def _relist(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LIST_EVERY_S):
                    await self._stale.wait()
            except TimeoutError:
                pass
            self._stale.clear()
            try:
                self._board.know(await self._list())
            except MonitordError as error:
                self._board.notice = f"The list of monitors is not fresh: {error.message}"
            await asyncio.sleep(_LIST_AT_MOST_EVERY_S)

    async def _measure(self) -> None:
        while True:
            for monitor_id in self._board.monitor_ids()[:_MEASURED]:
                try:
                    stats = await self._client.get_monitor_metrics(monitor_id)
                except NotFoundError:
                    continue
                except MonitordError:
                    break  # the tail tells of a lost connection; the next round may do better
                uptime = stats.uptime_percent if stats.HasField("uptime_percent") else None
                self._board.measured(monitor_id, uptime)
            await asyncio.sleep(_MEASURE_EVERY_S)
