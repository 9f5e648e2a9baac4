"""The TCP check: connect, secure the connection if asked to, send something, and expect something."""

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.kinds.tcp import TcpCheck
from monitord.domain.rules.patterns import compiled
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.service import ServiceChecks
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial

MAX_EXPECT_BYTES = 64 * 1024
MAX_SEARCHED_BYTES = 16 * 1024 * 1024
"""What comes in crumbs is searched again with each of them, up to so much in all; after that at the end alone."""

_SHOWN = 80


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
        await channel.confirm_tls()
        return None
    return await _Expectation(check.expect).meet(channel, trial)


class _Expectation:
    """Looks for what is expected in what comes, as it comes: a match need not wait for the end."""

    def __init__(self, expect: str) -> None:
        self._shown = shown(expect, _SHOWN)
        self._pattern = compiled(expect)
        self._received = bytearray()
        self._searched = 0
        self._is_met = False

    async def meet(self, channel: Channel, trial: Trial) -> Failure | None:
        """Read until it is found, or can't be any more."""
        trial.content_ok = False
        try:
            with trial.phase("ttfb"):
                piece = await self._more(channel)
            if not piece:
                return channel.closed()
            with trial.phase("transfer"):
                while piece and not self._look() and len(self._received) < MAX_EXPECT_BYTES:
                    piece = await self._more(channel)
        except StepError as error:
            if not self._look(last=True):
                raise self._unmet(error) from None
        if not self._look(last=True):
            return Failure(Category.ASSERT_REGEX, f"{self._mismatch(_where(self._received))}.")
        trial.content_ok = True
        trial.note("transfer", f"{self._shown!r} matches what the server sent.")
        return None

    async def _more(self, channel: Channel) -> bytes:
        piece = await channel.receive(MAX_EXPECT_BYTES - len(self._received))
        self._received += piece
        return piece

    def _look(self, *, last: bool = False) -> bool:
        if not self._is_met and (last or self._searched <= MAX_SEARCHED_BYTES):
            self._searched += len(self._received)
            self._is_met = self._pattern.search(bytes(self._received)) is not None
        return self._is_met

    def _unmet(self, error: StepError) -> StepError:
        """Say of an end by timeout, or by a reset, what had come until then."""
        failure = error.failure
        if not self._received or failure.verdict is not Verdict.DOWN:
            return error
        return StepError(Failure(failure.category, f"{failure.message} {self._mismatch('what came until then')}."))

    def _mismatch(self, where: str) -> str:
        return f"{self._shown!r} does not match {where}: {shown(bytes(self._received[:_SHOWN]), _SHOWN)!r}"


def _where(received: bytearray) -> str:
    if len(received) < MAX_EXPECT_BYTES:
        return "what the server sent"
    return f"the first {MAX_EXPECT_BYTES // 1024} KiB of what the server sent"
