"""Asks the anchors: places that are there if our own network is well (``engine.network``)."""

import asyncio
from collections.abc import Sequence

from monitord.domain.check import Category, Verdict
from monitord.domain.connection import AddressFamily
from monitord.domain.network import Reach
from monitord.domain.target import Endpoint
from monitord.probes.deadline import Deadlines
from monitord.probes.dial import Dialled, Dialler

_ANSWERED = frozenset({Category.CONNECT_REFUSED, Category.CONNECT_RESET})
_CANT_SAY = frozenset({Category.ENGINE_FD, Category.ENGINE_OVERLOAD, Category.POLICY_BLOCKED})


class AnchorDialler:
    """Connects to the anchors, through the guarded dialler like everything else."""

    def __init__(self, dialler: Dialler, anchors: Sequence[Endpoint]) -> None:
        """Take at least one anchor."""
        self._dialler = dialler
        self._anchors = tuple(anchors)
        self._deadlines = Deadlines()

    async def ask(self, within_s: float) -> Reach:
        """Try to connect to all at once, and return as soon as that tells enough. Raises nothing that they do.

        A refusal is an answer too. What monitord itself had no means to ask says nothing, and acquits nobody.
        """
        way_out, names = False, all(anchor.literal is not None for anchor in self._anchors)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._dial(anchor, within_s)) for anchor in self._anchors]
            for answer in asyncio.as_completed(asked):
                reached, named = await answer
                way_out, names = way_out or reached, names or named
                if way_out and names:
                    break
            for task in asked:
                task.cancel()
        return Reach(way_out, names)

    async def _dial(self, anchor: Endpoint, within_s: float) -> tuple[bool, bool]:
        """Return whether an anchor answered, and whether it has a name that was looked up."""
        deadline = self._deadlines.start(within_s)
        try:
            dialled = await self._dialler.dial(anchor, AddressFamily.ANY, deadline)
        finally:
            deadline.close()
        if dialled.attempt is not None:
            dialled.attempt.sock.close()
        return _is_reached(dialled), anchor.literal is None and bool(dialled.resolved)


def _is_reached(dialled: Dialled) -> bool:
    failure = dialled.failure
    if failure is None or failure.category in _ANSWERED:
        return True
    return failure.category in _CANT_SAY and failure.verdict is not Verdict.DOWN
