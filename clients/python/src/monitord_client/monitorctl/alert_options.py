"""Options that say what a contact is told of a monitor, and when."""

import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated

import typer

from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.options import SPAN

if TYPE_CHECKING:
    from monitord_client.v1.contact_pb2 import AlertKind, AlertSettings

_PANEL = "What it is told of a monitor, and when"
CHOICES = ("down", "up", "degraded", "faulted", "certificate", "slow")
"""What a contact can want to be told."""


@dataclass(frozen=True, slots=True)
class AlertOptions:
    """What a contact wants to be told."""

    on: Annotated[
        list[str],
        typer.Option(
            "--on",
            metavar="KINDS",
            help=f"Only of these: {','.join(CHOICES)}.",
            show_default="all; slow with --slow",
            rich_help_panel=_PANEL,
        ),
    ] = field(default_factory=list)
    slow: Annotated[
        int | None,
        typer.Option(parser=SPAN, metavar="LENGTH", help="Above it the median of 3 checks is slow.",
                     rich_help_panel=_PANEL),
    ] = None  # fmt: skip
    delay: Annotated[
        int | None,
        typer.Option(parser=SPAN, metavar="LENGTH", help="Outages that are over sooner are not told.",
                     rich_help_panel=_PANEL),
    ] = None  # fmt: skip
    escalate_after: Annotated[
        int | None,
        typer.Option(parser=SPAN, metavar="LENGTH", help="Only outages that nobody acknowledged for so long.",
                     rich_help_panel=_PANEL),
    ] = None  # fmt: skip
    remind: Annotated[
        int | None,
        typer.Option(parser=SPAN, metavar="LENGTH", help="Again so often, until somebody acknowledges it.",
                     rich_help_panel=_PANEL),
    ] = None  # fmt: skip
    quiet: Annotated[
        str,
        typer.Option(metavar="FROM-TO", help="Nothing in these hours: 22:00-07:00, in the contact's time zone.",
                     rich_help_panel=_PANEL),
    ] = ""  # fmt: skip
    off: Annotated[bool, typer.Option("--off", help="Nothing, for now.", rich_help_panel=_PANEL)] = False

    def given(self) -> str:
        """Return the first option that was given; empty when none was."""
        default = AlertOptions()
        names = [f.name for f in fields(self) if getattr(self, f.name) != getattr(default, f.name)]
        return f"--{names[0].replace('_', '-')}" if names else ""

    def settings(self) -> "AlertSettings":
        """Return what was asked for. Raises CommandError for what contradicts or cannot be read."""
        from monitord_client.v1.contact_pb2 import ALERT_KIND_SLOW, AlertSettings

        settings = AlertSettings(kinds=[kind_of(word) for word in words_of(self.on)])
        if ALERT_KIND_SLOW in settings.kinds and self.slow is None:
            raise CommandError("--on slow: say above which response time it is slow: --slow 800ms")
        if settings.kinds and self.slow is not None and ALERT_KIND_SLOW not in settings.kinds:
            settings.kinds.append(ALERT_KIND_SLOW)
        for length, name in (
            (self.slow, "slow_threshold"),
            (self.delay, "delay"),
            (self.escalate_after, "escalate_after"),
            (self.remind, "reminder_interval"),
        ):
            if length is not None:
                getattr(settings, name).FromNanoseconds(length)
        if self.quiet:
            found = re.fullmatch(r"(\d\d:\d\d) ?(?:-|\u2013) ?(\d\d:\d\d)", self.quiet.strip())
            if found is None:
                raise CommandError(f"--quiet: {self.quiet!r} should look like 22:00-07:00")
            settings.quiet_hours.start, settings.quiet_hours.end = found[1], found[2]
        if self.off:
            settings.active = False
        return settings


def words_of(given: list[str] | None) -> list[str]:
    """Return the words of an option that is given again and again, or with commas, each once."""
    words = (word.strip().lower() for text in given or () for word in text.split(","))
    return list(dict.fromkeys(word for word in words if word))


def kind_of(word: str, known: tuple[str, ...] = CHOICES, option: str = "--on") -> "AlertKind.ValueType":
    """Return the kind of alert that a word means. Raises CommandError for another word."""
    from monitord_client.v1.contact_pb2 import AlertKind

    if word not in known:
        raise CommandError(f"{option}: {word!r} is not one of {', '.join(known)}")
    return AlertKind.Value(f"ALERT_KIND_{word.upper()}")
