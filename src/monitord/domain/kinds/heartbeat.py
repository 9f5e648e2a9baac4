"""A job that tells monitord that it ran."""

from collections.abc import Hashable, Iterator

import msgspec

from monitord.domain.connection import Place


class CronSchedule(msgspec.Struct, frozen=True):
    """Times by the wall clock of a place."""

    expression: str
    """Five fields as in crontab(5)."""
    time_zone: str = "UTC"
    """A name of the IANA time zone database."""


class HeartbeatCheck(msgspec.Struct, frozen=True, tag="heartbeat", kw_only=True, weakref=True):
    """Wait for a job's word. Nothing is dialled."""

    period_s: int = 0
    """So long after the word before another is due; 0: ``cron`` says when."""
    cron: CronSchedule | None = None
    grace_s: int = 60
    """How much later a word may come; how long a job that told of its start has to end."""
    ping_url_version: int = 0
    """Another number makes another URL, and the old one invalid."""

    @property
    def peer(self) -> str:
        """Nothing is dialled: heartbeats are counted together."""
        return "heartbeats"

    @property
    def shown(self) -> str:
        """What is expected, as people read it."""
        if self.cron is not None:
            return f"a word at {self.cron.expression} ({self.cron.time_zone})"
        return f"a word every {self.period_s} s"

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent: it has none."""
        return ()

    def places(self) -> Iterator[Place]:
        """Yield what it will dial: nothing."""
        return iter(())
