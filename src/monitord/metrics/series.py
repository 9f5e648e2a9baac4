"""The series of single monitors, under blackbox_exporter's names.

With 10,000 monitors these are 100,000 lines, most of a scrape. They are written here rather than by
prometheus_client, whose renderer takes ten times as long and cannot stop half-way to let the event loop go on.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from monitord.domain.check import Verdict
from monitord.domain.instant import SECOND
from monitord.domain.kinds import HttpCheck, kind_of
from monitord.metrics.watched import Watched

CHUNK_MONITORS = 250
"""How many monitors' lines of one family are made at a time: well below a millisecond of work."""

_Line: TypeAlias = Callable[[Watched], str]
"""Makes a monitor's lines of one family; none where there is nothing to tell."""

_FAILED = frozenset({Verdict.DOWN, Verdict.UNREACHABLE})
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def render(watched: Iterable[Watched], *, openmetrics: bool) -> Iterator[str]:
    """Yield the exposition of the monitors in small chunks of whole lines, family by family."""
    # OpenMetrics keeps the suffix _info for its own type, and names a family of that type without it.
    name, kind = ("monitord_monitor", "info") if openmetrics else ("monitord_monitor_info", "gauge")
    families: tuple[tuple[str, str, str, _Line], ...] = (
        (name, kind, "What a monitor_id stands for.", _info),
        ("probe_success", "gauge", "Whether the newest check found the target working.", _success),
        ("probe_duration_seconds", "gauge", "How long the newest check took.", _duration),
        ("probe_http_duration_seconds", "gauge", "How long each phase of the newest check took.", _phases),
        ("probe_http_status_code", "gauge", "The status code of the newest answer; 0 without one.", _status_code),
        ("probe_ssl_earliest_cert_expiry", "gauge", "When the target's certificate expires, in Unix time.", _expiry),
    )
    monitors = list(watched)
    for name, kind, documentation, line in families:
        yield f"# HELP {name} {documentation}\n# TYPE {name} {kind}\n"
        for start in range(0, len(monitors), CHUNK_MONITORS):
            if text := "".join(map(line, monitors[start : start + CHUNK_MONITORS])):
                yield text


def _info(each: Watched) -> str:
    monitor = each.monitor
    return (
        f'monitord_monitor_info{{monitor_id="{monitor.id}",name="{_escape(monitor.spec.name)}",'
        f'type="{kind_of(monitor.spec.check)}",target="{_escape(monitor.spec.check.shown)}"}} 1\n'
    )


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _success(each: Watched) -> str:
    if not each.is_conclusive:
        return ""
    return f'probe_success{{monitor_id="{each.monitor.id}"}} {0 if each.verdict in _FAILED else 1}\n'


def _duration(each: Watched) -> str:
    if not each.is_conclusive:
        return ""
    return f'probe_duration_seconds{{monitor_id="{each.monitor.id}"}} {each.duration_ms / 1000:.6f}\n'


def _phases(each: Watched) -> str:
    if not (each.is_conclusive and isinstance(each.monitor.spec.check, HttpCheck)):
        return ""
    # A phase that did not happen is 0, as in blackbox_exporter: its dashboards add them up.
    head = f'probe_http_duration_seconds{{monitor_id="{each.monitor.id}",phase='
    phases = each.phases
    return (
        f'{head}"resolve"}} {(phases.dns or 0) / 1000:.6f}\n'
        f'{head}"connect"}} {(phases.connect or 0) / 1000:.6f}\n'
        f'{head}"tls"}} {(phases.tls or 0) / 1000:.6f}\n'
        f'{head}"processing"}} {(phases.ttfb or 0) / 1000:.6f}\n'
        f'{head}"transfer"}} {(phases.transfer or 0) / 1000:.6f}\n'
    )


def _status_code(each: Watched) -> str:
    if not (each.is_conclusive and isinstance(each.monitor.spec.check, HttpCheck)):
        return ""
    return f'probe_http_status_code{{monitor_id="{each.monitor.id}"}} {each.status_code or 0}\n'


def _expiry(each: Watched) -> str:
    if not each.is_conclusive or each.certificate_expires_at is None:
        return ""
    return f'probe_ssl_earliest_cert_expiry{{monitor_id="{each.monitor.id}"}} {each.certificate_expires_at // SECOND}\n'
