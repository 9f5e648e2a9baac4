"""Options that several commands take, as groups: a command that has a group as a parameter has its options."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from monitord_client.monitorctl import spans

if TYPE_CHECKING:
    from monitord_client.v1.http_check_pb2 import HttpCheck
    from monitord_client.v1.monitor_pb2 import Monitor

T = TypeVar("T")


class Output(StrEnum):
    """How to print answers."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def _parser(parse: Callable[[str], T]) -> Callable[[str | T], T]:
    def parse_or_explain(text: str | T) -> T:
        if not isinstance(text, str):
            return text  # a default
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parse_or_explain


def _pair(separator: str, example: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if separator not in text or text.startswith(separator):
            raise ValueError(f"{text!r} should look like {example}")
        return text

    return check


def _moment(text: str) -> datetime:
    return spans.parse_moment(text, spans.utc_now())


SPAN = _parser(spans.parse_span)
"""Reads a length of time, in nanoseconds."""
SpanOption = typer.Option(parser=SPAN, metavar="LENGTH")
WindowOption = Annotated[
    timedelta, typer.Option(parser=_parser(spans.parse_timedelta), metavar="LENGTH", help="How far back to look.")
]
EveryOption = Annotated[
    timedelta, typer.Option(parser=_parser(spans.parse_timedelta), metavar="LENGTH", help="How often to look again.")
]
FromOption = Annotated[
    datetime | None,
    typer.Option("--from", parser=_parser(_moment), metavar="MOMENT", help="2h (ago), or a date and time."),
]
ToOption = Annotated[
    datetime | None,
    typer.Option("--to", parser=_parser(_moment), metavar="MOMENT", help="Until then (excluded)."),
]
SinceOption = Annotated[
    datetime | None,
    typer.Option("--since", parser=_parser(_moment), metavar="MOMENT", help="Begin there: 10m (ago), or a time."),
]
AtOption = Annotated[
    datetime | None,
    typer.Option("--at", parser=_parser(_moment), metavar="MOMENT", help="2h (ago), or a date and time; else now."),
]
LABEL = _parser(_pair("=", "team=web"))
"""Reads a label."""
LabelOption = Annotated[list[str] | None, typer.Option("--label", "-l", parser=LABEL, metavar="KEY=VALUE")]
TtlOption = Annotated[
    timedelta | None,
    typer.Option(
        "--expires", parser=_parser(spans.parse_timedelta), metavar="LENGTH", help="Valid so long; else for ever"
    ),
]
NetworkOption = Annotated[
    list[str] | None, typer.Option("--network", metavar="CIDR", help="Such as 192.0.2.0/24; else from everywhere.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def _complete_organisation(ctx: typer.Context, incomplete: str) -> list[str]:
    from monitord_client.monitorctl.completion import complete_organisation  # which needs the options itself

    return complete_organisation(ctx, incomplete)


_CONNECTION = "Connection and output"
_HTTP = "The request and its answer, for http and https"
_SCHEDULE = "When, and how strictly"


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the server and how to print what it says; every command takes these. None: not given."""

    address: Annotated[
        str | None,
        typer.Option(
            help="host:port, https://host:port or unix:/path. Else MONITORD_ADDRESS, else 127.0.0.1:50051.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    key_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with the API key. Else MONITORD_API_KEY, MONITORD_API_KEY_FILE, the session of `login`, or "
            "the admin.key of a monitord on this machine.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    organisation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Act in this organisation: a name or an id. Else MONITORD_ORGANISATION, the one of `org use`, or your "
            "personal one. An API key acts in the one it was made in.",
            rich_help_panel=_CONNECTION,
            autocompletion=_complete_organisation,
        ),
    ] = None
    tls: Annotated[bool | None, typer.Option("--tls", help="Encrypt.", rich_help_panel=_CONNECTION)] = None
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            help="Encrypt, trusting the certificates in this file. Else MONITORD_SERVER_CA_FILE.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    cert: Annotated[
        Path | None,
        typer.Option(
            "--cert",
            help="Encrypt, showing the certificate in this file to a server that asks for one. Else "
            "MONITORD_CLIENT_CERT_FILE.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    cert_key: Annotated[
        Path | None,
        typer.Option(
            "--cert-key",
            help="Its private key, unless that is in the same file. Else MONITORD_CLIENT_CERT_KEY_FILE.",
            rich_help_panel=_CONNECTION,
        ),
    ] = None
    insecure: Annotated[
        bool | None,
        typer.Option("--insecure", help="Send keys in plain text to another machine.", rich_help_panel=_CONNECTION),
    ] = None
    output: Annotated[
        Output | None,
        typer.Option("--output", "-o", help="json and yaml: the protos' JSON mapping.", rich_help_panel=_CONNECTION),
    ] = None

    def over(self, other: "Connection") -> "Connection":
        """Return these options, filled up with another's."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return Connection(**{f.name: getattr(other, f.name) for f in fields(other)} | chosen)


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """What to ask for, and what the answer must be like."""

    method: Annotated[str, typer.Option("--method", "-X", help="GET unless given.", rich_help_panel=_HTTP)] = ""
    header: Annotated[
        list[str],
        typer.Option("--header", "-H", parser=_parser(_pair("=", "Accept=text/html")), metavar="NAME=VALUE",
                     rich_help_panel=_HTTP),
    ] = field(default_factory=list)  # fmt: skip
    secret_header: Annotated[
        list[str],
        typer.Option(parser=_parser(_pair("=", "Authorization=Bearer ...")), metavar="NAME=VALUE",
                     help="Never shown again, not sent on to another site.", rich_help_panel=_HTTP),
    ] = field(default_factory=list)  # fmt: skip
    body: Annotated[str, typer.Option("--body", "-d", help="@FILE reads a file.", rich_help_panel=_HTTP)] = ""
    expect_status: Annotated[
        list[str],
        typer.Option(metavar="CODES", help="Good status codes: 200-299, 404. 200-399 unless given.",
                     rich_help_panel=_HTTP),
    ] = field(default_factory=list)  # fmt: skip
    keyword: Annotated[str, typer.Option(help="Must appear in the body.", rich_help_panel=_HTTP)] = ""
    keyword_absent: Annotated[
        bool, typer.Option("--keyword-absent", help="The keyword must NOT appear.", rich_help_panel=_HTTP)
    ] = False
    expect_latency: Annotated[
        int | None,
        typer.Option(parser=_parser(spans.parse_span), metavar="LENGTH", help="Slower is DEGRADED.",
                     rich_help_panel=_HTTP),
    ] = None  # fmt: skip
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="Judge a redirect by its own status.", rich_help_panel=_HTTP)
    ] = False
    max_redirects: Annotated[int, typer.Option(min=0, max=20, show_default="10", rich_help_panel=_HTTP)] = 0
    no_verify_tls: Annotated[
        bool, typer.Option("--no-verify-tls", help="Accept any certificate.", rich_help_panel=_HTTP)
    ] = False
    ipv4: Annotated[bool, typer.Option("--ipv4", "-4", help="IPv4 only.", rich_help_panel=_HTTP)] = False
    ipv6: Annotated[bool, typer.Option("--ipv6", "-6", help="IPv6 only.", rich_help_panel=_HTTP)] = False

    def check(self, url: str) -> "HttpCheck":
        """Return the check of a URL. Raises typer.BadParameter for options that contradict each other."""
        from monitord_client.v1 import connection_pb2
        from monitord_client.v1 import http_check_pb2 as pb

        if self.ipv4 and self.ipv6:
            raise typer.BadParameter("choose one of --ipv4 and --ipv6")
        check = pb.HttpCheck(
            url=url,
            method=self.method.upper(),
            body=_content(self.body),
            accepted_status_codes=self.expect_status,
            keyword=self.keyword,
            keyword_absent=self.keyword_absent,
            max_redirects=self.max_redirects,
        )
        for given, secret in ((self.header, False), (self.secret_header, True)):
            for text in given:
                name, _, value = text.partition("=")
                check.headers.add(name=name, value=value, secret=secret)
        if self.expect_latency is not None:
            check.expected_latency.FromNanoseconds(self.expect_latency)
        if self.no_follow:
            check.redirect_policy = pb.REDIRECT_POLICY_NONE
        if self.no_verify_tls:
            check.tls_verification = connection_pb2.TLS_VERIFICATION_NONE
        if self.ipv4 or self.ipv6:
            only = connection_pb2.ADDRESS_FAMILY_IPV4 if self.ipv4 else connection_pb2.ADDRESS_FAMILY_IPV6
            check.address_family = only
        return check


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """When to check, and how many results decide."""

    interval: Annotated[
        int | None,
        typer.Option(parser=_parser(spans.parse_span), metavar="LENGTH", show_default="1m", rich_help_panel=_SCHEDULE),
    ] = None
    timeout: Annotated[
        int | None,
        typer.Option(parser=_parser(spans.parse_span), metavar="LENGTH", show_default="10s", rich_help_panel=_SCHEDULE),
    ] = None
    recheck_interval: Annotated[
        int | None,
        typer.Option(parser=_parser(spans.parse_span), metavar="LENGTH", show_default="10s",
                     help="Between checks while a change is suspected.", rich_help_panel=_SCHEDULE),
    ] = None  # fmt: skip
    failure_threshold: Annotated[
        int,
        typer.Option(min=0, max=10, show_default="2", help="Bad results in a row that make it DOWN.",
                     rich_help_panel=_SCHEDULE),
    ] = 0  # fmt: skip
    success_threshold: Annotated[
        int,
        typer.Option(min=0, max=10, show_default="1", help="Good results in a row that end an outage.",
                     rich_help_panel=_SCHEDULE),
    ] = 0  # fmt: skip

    def fill(self, monitor: "Monitor") -> None:
        """Set what was given on a monitor."""
        if self.interval is not None:
            monitor.interval.FromNanoseconds(self.interval)
        if self.timeout is not None:
            monitor.timeout.FromNanoseconds(self.timeout)
        if self.recheck_interval is not None:
            monitor.recheck_interval.FromNanoseconds(self.recheck_interval)
        monitor.failure_threshold = self.failure_threshold
        monitor.success_threshold = self.success_threshold


def labels_of(pairs: list[str] | None) -> dict[str, str]:
    """Return the labels of ``--label KEY=VALUE`` options."""
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs or ())}


def _content(body: str) -> bytes:
    if not body.startswith("@"):
        return body.encode()
    try:
        return Path(body[1:]).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {body[1:]}: {error.strerror}") from None
