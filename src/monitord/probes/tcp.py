"""The TCP check: connect, secure the connection if asked to, send something, and expect something."""

from monitord.domain.check import Category, Observation
from monitord.domain.kinds.tcp import TcpCheck
from monitord.domain.rules.patterns import compiled
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.service import ServiceChecks
from monitord.probes.text import shown
from monitord.probes.trial import Trial

MAX_EXPECT_BYTES = 64 * 1024


class TcpProber:
    """Runs TCP checks. One instance serves the process."""

    def __init__(self, services: ServiceChecks) -> None:
        self._services = services

    async def __call__(self, check: TcpCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check; see ``probes.table.Prober``."""
        return await self._services.check(check, timeout_s, _talk, trace=trace)


async def _talk(channel: Channel, check: TcpCheck, trial: Trial) -> Failure | None:
    if check.send:
        await channel.send(check.send)
        trial.note("ttfb", f"Sent {len(check.send)} bytes.")
    if not check.expect:
        return None
    pattern = compiled(check.expect)
    received = b""
    with trial.phase("ttfb"):
        while len(received) < MAX_EXPECT_BYTES:
            piece = await channel.receive(MAX_EXPECT_BYTES - len(received))
            received += piece
            if pattern.search(received) is not None:
                trial.content_ok = True
                trial.note("transfer", f"{check.expect!r} matches what the server sent.")
                return None
            if not piece:
                break
    trial.content_ok = False
    where = f"the first {MAX_EXPECT_BYTES // 1024} KiB" if len(received) >= MAX_EXPECT_BYTES else "what the server sent"
    said = f": {shown(received[:80])!r}" if received else ", which is nothing"
    return Failure(Category.ASSERT_REGEX, f"{shown(check.expect, 80)!r} does not match {where}{said}.")
