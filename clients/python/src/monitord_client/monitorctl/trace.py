"""One check, explained step by step."""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitord_client.monitorctl.kinds import measured
from monitord_client.monitorctl.printing import visible
from monitord_client.monitorctl.spans import clock_words, length_words, milliseconds
from monitord_client.monitorctl.tables import badge, verdict_of
from monitord_client.times import moment_of
from monitord_client.v1.check_log_pb2 import Certificate, CheckEvidence, CheckLog

_PHASES = ("dns", "connect", "tls", "ttfb", "transfer")
_BAR = 40
_RULE = 60


def explained(row: CheckLog, title: str, now: datetime) -> RenderableType:
    """Return a check with everything that led to its verdict."""
    head = Text.assemble(badge(verdict_of(row)), f" {visible(title)}")
    if row.HasField("response_time_ms"):
        head.append(f" in {milliseconds(row.response_time_ms)}")
    parts: list[RenderableType] = [head]
    why = ": ".join(part for part in (row.category, row.message) if part)
    if why:
        parts.append(Text(visible(why)))
    parts.append(_facts(row, now))
    if (phases := _waterfall(row)) is not None:
        parts += [_heading("Time"), phases]
    if row.measurements:
        parts += [_heading("Measured"), _measurements(row)]
    if row.evidence.steps:
        parts += [_heading("Steps"), _steps(row.evidence)]
    parts += _certificates(row.evidence, now)
    if row.evidence.header_lines:
        parts += [_heading("Answer"), Text(visible("\n".join(row.evidence.header_lines)))]
    if row.evidence.body_excerpt:
        what = "Body" if row.HasField("status_code") else "What came"
        parts += [_heading(f"{what}, its beginning"), Text(visible(row.evidence.body_excerpt.rstrip()))]
    return Group(*parts)


def _heading(text: str) -> RenderableType:
    # Not rich's Rule, which is as long as the line: piped into a file, that is as long as any table may get.
    return Text.assemble((f"{text} ", "bold"), ("\u2500" * max(3, _RULE - len(text)), "dim"))


def _facts(row: CheckLog, now: datetime) -> Table:
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_column(style="dim")
    if row.HasField("status_code"):
        facts.add_row("status code", str(row.status_code))
    if row.address:
        others = [a for a in row.evidence.resolved_addresses if a not in row.address]
        facts.add_row("address", Text(visible(row.address + (f" (also {', '.join(others)})" if others else ""))))
    if row.redirects:
        facts.add_row("redirects", str(row.redirects))
    if row.bytes_received:
        facts.add_row("received", f"{row.bytes_received:,} bytes")
    if row.HasField("certificate_expire_time"):
        facts.add_row("certificate", _expiry(moment_of(row.certificate_expire_time), now))
    return facts


def _expiry(moment: datetime, now: datetime) -> Text:
    left_s = (moment - now).total_seconds()
    if left_s < 0:
        return Text(f"expired {length_words(-left_s)} ago", style="bold red")
    return Text(f"expires in {length_words(left_s)}", style="yellow" if left_s < 21 * 86_400 else "")


def _waterfall(row: CheckLog) -> Table | None:
    happened = {fd.name: value for fd, value in row.phases.ListFields()}
    spent = [(name, happened[f"{name}_ms"]) for name in _PHASES if f"{name}_ms" in happened]
    total = sum(length for _, length in spent)
    if not total:
        return None
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    begun = 0.0
    for name, length in spent:
        left = round(begun / total * _BAR)
        width = max(1, round(length / total * _BAR))
        table.add_row(name, milliseconds(length), Text(" " * min(left, _BAR - 1) + "█" * width, style="cyan"))
        begun += length
    return table


def _measurements(row: CheckLog) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in measured(row):
        table.add_row(Text(visible(name)), value)
    return table


def _steps(evidence: CheckEvidence) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim")
    table.add_column(style="cyan")
    table.add_column(overflow="fold")
    for step in evidence.steps:
        table.add_row(f"{step.at_ms:.1f} ms", visible(step.phase), Text(visible(step.text)))
    return table


def _certificates(evidence: CheckEvidence, now: datetime) -> list[RenderableType]:
    if not evidence.certificates:
        return []
    lines: list[RenderableType] = [_heading("Certificates, as the server sent them")]
    lines += [_certificate(depth, certificate, now) for depth, certificate in enumerate(evidence.certificates)]
    return lines


def _certificate(depth: int, certificate: Certificate, now: datetime) -> Text:
    indent = "  " * depth
    until = moment_of(certificate.not_after_time)
    text = Text(f"{indent}{visible(certificate.subject)}\n")
    text.append(f"{indent}  issued by {visible(certificate.issuer)}\n", style="dim")
    if certificate.names:
        text.append(f"{indent}  for {visible(', '.join(certificate.names))}\n", style="dim")
    text.append(f"{indent}  until {clock_words(until)}, ", style="dim")
    text.append_text(_expiry(until, now))
    return text
