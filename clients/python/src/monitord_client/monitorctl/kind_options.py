"""Options of ``add`` and ``test`` for the kinds of check, and the check that they and a target make together."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitord_client.monitorctl.completion import complete_assignment, complete_monitor, complete_secret
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.finding import find_monitors
from monitord_client.monitorctl.options import LABEL, SPAN, HttpOptions, labels_of
from monitord_client.monitorctl.schemes import GROUP, HEARTBEAT

if TYPE_CHECKING:
    from monitord_client import Client
    from monitord_client.monitorctl.running import Cli
    from monitord_client.v1.monitor_pb2 import Monitor

_FIELDS = "Further fields of any kind of check"
_HEARTBEAT = "When a heartbeat is due"
_GROUP = "Who is in a group"


@dataclass(frozen=True, slots=True)
class FieldOptions:
    """Any field of any kind."""

    set: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="As in a file for `apply`: expect=^220, security=starttls_smtp, tls.ca_pem=@ca.pem (@FILE reads a "
            "file, @- stdin, @@ is an @). Again for each item of a list.",
            autocompletion=complete_assignment,
            rich_help_panel=_FIELDS,
        ),
    ] = field(default_factory=list)
    secret: Annotated[
        list[str],
        typer.Option(
            "--secret",
            metavar="FIELD[=@FILE|=env:NAME]",
            help="password, tls.client_key_pem, headers.Authorization ...: asked for, or read from there.",
            autocompletion=complete_secret,
            rich_help_panel=_FIELDS,
        ),
    ] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class HeartbeatOptions:
    """When a job is to tell that it ran."""

    period: Annotated[
        int | None, typer.Option(parser=SPAN, metavar="LENGTH", help="So often.", rich_help_panel=_HEARTBEAT)
    ] = None
    cron: Annotated[
        str, typer.Option(metavar="FIELDS", help="At these times: '30 4 * * 1-5'.", rich_help_panel=_HEARTBEAT)
    ] = ""
    time_zone: Annotated[
        str, typer.Option(metavar="NAME", help="Of --cron, such as Europe/Berlin.", rich_help_panel=_HEARTBEAT)
    ] = ""
    grace: Annotated[
        int | None,
        typer.Option(
            parser=SPAN, metavar="LENGTH", show_default="1m", help="How late it may be.", rich_help_panel=_HEARTBEAT
        ),
    ] = None

    def fill(self, check: Any) -> None:
        """Set what was given on a heartbeat. Raises CommandError for options that contradict each other."""
        if self.period is not None and self.cron:
            raise CommandError("choose one of --period and --cron")
        if self.time_zone and not self.cron:
            raise CommandError("--time-zone is for --cron: a period is the same everywhere")
        if self.period is not None:
            check.period.FromNanoseconds(self.period)
        if self.cron:
            check.cron.expression, check.cron.time_zone = self.cron, self.time_zone
        if self.grace is not None:
            check.grace.FromNanoseconds(self.grace)


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """Which monitors a group is made of, and how many of them must work."""

    member: Annotated[
        list[str],
        typer.Option(
            "--member",
            metavar="NAME_OR_ID",
            help="A monitor of the group; again for each.",
            autocompletion=complete_monitor,
            rich_help_panel=_GROUP,
        ),
    ] = field(default_factory=list)
    member_label: Annotated[
        list[str],
        typer.Option(
            "--member-label",
            parser=LABEL,
            metavar="KEY=VALUE",
            help="Monitors with all of these labels.",
            rich_help_panel=_GROUP,
        ),
    ] = field(default_factory=list)
    min_up: Annotated[
        int, typer.Option(min=0, show_default="all", help="How many must work.", rich_help_panel=_GROUP)
    ] = 0

    def fill(self, check: Any) -> None:
        """Set what was given on a group; who ``member`` means is for the server to say: see ``find``."""
        check.labels.update(labels_of(self.member_label))
        check.min_up = self.min_up

    async def find(self, client: "Client", check: Any) -> None:
        """Add the members that were named. Raises CommandError for a name that nobody has."""
        check.monitor_ids.extend(each.id for each in await find_monitors(client, self.member))


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """All options of a check, together."""

    http: HttpOptions
    fields: FieldOptions
    heartbeat: HeartbeatOptions = field(default_factory=HeartbeatOptions)
    group: GroupOptions = field(default_factory=GroupOptions)

    @property
    def given(self) -> bool:
        """Whether any was given."""
        return self != CheckOptions(HttpOptions(), FieldOptions())

    def fill(self, monitor: "Monitor", target: str, cli: "Cli") -> None:
        """Give a monitor the check of a target.

        Raises CommandError or typer.BadParameter, with what would be right, for a target or an option that is wrong.
        """
        from monitord_client.monitorctl.assignments import Assigner
        from monitord_client.monitorctl.targets import check_of

        check: Any
        kind, check = check_of(target)
        if kind == "http":
            check = self.http.check(target)
        for option in _given(self.http) if kind != "http" else ():
            raise CommandError(_only_for(option, "http and https", kind, _instead(self.http, option, check.DESCRIPTOR)))
        if kind == HEARTBEAT:
            self.heartbeat.fill(check)
        for option in _given(self.heartbeat) if kind != HEARTBEAT else ():
            raise CommandError(_only_for(option, "heartbeats", kind, ""))
        if kind == GROUP:
            self.group.fill(check)
        for option in _given(self.group) if kind != GROUP else ():
            raise CommandError(_only_for(option, "groups", kind, ""))
        assigner = Assigner(kind, check, cli.ask_secret)
        for assignment in self.fields.set:
            assigner.set(assignment)
        for assignment in self.fields.secret:
            assigner.secret(assignment)
        if kind == GROUP and not (self.group.member or check.monitor_ids or check.labels):
            raise CommandError("say who is in the group: --member NAME, again for each, or --member-label KEY=VALUE")
        if kind == HEARTBEAT and check.WhichOneof("schedule") is None:
            raise CommandError("say when a word is due: --period 1d, or --cron '30 4 * * 1-5' --time-zone Europe/Paris")
        getattr(monitor, kind).CopyFrom(check)


def _given(options: Any) -> Iterator[str]:
    default = type(options)()
    return (f.name for f in fields(options) if getattr(options, f.name) != getattr(default, f.name))


def _only_for(option: str, whose: str, kind: str, instead: str) -> str:
    return f"--{option.replace('_', '-')} is for {whose}, and this is {kind}{instead}"


def _instead(http: HttpOptions, option: str, kind: Any) -> str:
    """Return which field of another kind means what an option of HTTP does."""
    from monitord_client.monitorctl.spans import span_text

    header = "metadata" if "metadata" in kind.fields_by_name else "headers"
    ways = {
        "header": (header, f"--set {header}='{{name: ..., value: ...}}'"),
        "secret_header": (header, f"--secret {header}.NAME"),
        "expect_latency": ("expected_latency", f"--set expected_latency={span_text(http.expect_latency or 0)}"),
        "no_verify_tls": ("tls_verification", "--set tls_verification=none"),
        "ipv4": ("address_family", "--set address_family=ipv4"),
        "ipv6": ("address_family", "--set address_family=ipv6"),
    }
    name, way = ways.get(option, ("", ""))
    if name in kind.fields_by_name:
        return f": write {way}"
    return f": its fields, for --set, are {', '.join(each for each in kind.fields_by_name if each != 'ping_url')}"
