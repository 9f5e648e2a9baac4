"""The series of single monitors, under blackbox_exporter's names.

With 10,000 monitors these are 100,000 lines, most of a scrape. They are written here rather than by
prometheus_client, whose renderer takes ten times as long and cannot stop half-way to let the event loop go on.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from monitord.domain.check import Verdict
from monitord.domain.instant import SECOND
from monitord.domain.monitor import HttpCheck, Monitor
from monitord.metrics.watched import Watched

CHUNK_MONITORS = 250
"""How many monitors' lines of one family are made at a time: well below a millisecond of work."""

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def render(watched: Iterable[Watched], *, openmetrics: bool) -> Iterator[str]:
    """Yield the exposition of the monitors in small chunks of whole lines, family by family."""
    monitors = list(watched)
    # OpenMetrics keeps the suffix _info for its own type, and names a family of that type without it.
    name, kind = ("monitord_monitor", "info") if openmetrics else ("monitord_monitor_info", "gauge")
    yield _head(name, kind, "What a monitor_id stands for.")
    yield from _chunks(monitors, _info)

    told = [each for each in monitors if each.is_conclusive]
    yield _head("probe_success", "gauge", "Whether the newest check found the target working.")
    yield from _chunks(told, _success)
    yield _head("probe_duration_seconds", "gauge", "How long the newest check took.")
    yield from _chunks(told, _duration)

    http = [each for each in told if isinstance(each.monitor.spec.check, HttpCheck)]
    yield _head("probe_http_duration_seconds", "gauge", "How long each phase of the newest check took.")
    yield from _chunks(http, _phases)
    yield _head("probe_http_status_code", "gauge", "The status code of the newest answer; 0 when there was none.")
    yield from _chunks(http, _status_code)

    tls = [each for each in told if each.certificate_expires_at is not None]
    yield _head("probe_ssl_earliest_cert_expiry", "gauge", "When the target's certificate expires, in Unix time.")
    yield from _chunks(tls, _expiry)


def _head(name: str, kind: str, documentation: str) -> str:
    return f"# HELP {name} {documentation}\n# TYPE {name} {kind}\n"


def _chunks(watched: list[Watched], line: Callable[[Watched], str]) -> Iterator[str]:
    rest = iter(watched)
    while chunk := "".join(map(line, islice(rest, CHUNK_MONITORS))):
        yield chunk


def _info(each: Watched) -> str:
    monitor = each.monitor
    return (
        f'monitord_monitor_info{{monitor_id="{monitor.id}",name="{_escape(monitor.spec.name)}",'
        f'type="{monitor.spec.check.__struct_config__.tag}",target="{_escape(_target(monitor))}"}} 1\n'
    )


def _target(monitor: Monitor) -> str:
    """Return the URL without its query, in which people put tokens (T15)."""
    return monitor.spec.check.url.partition("?")[0]


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _success(each: Watched) -> str:
    return f'probe_success{{monitor_id="{each.monitor.id}"}} {0 if each.verdict is Verdict.DOWN else 1}\n'


def _duration(each: Watched) -> str:
    return f'probe_duration_seconds{{monitor_id="{each.monitor.id}"}} {each.duration_ms / 1000:.6f}\n'


def _phases(each: Watched) -> str:
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
    return f'probe_http_status_code{{monitor_id="{each.monitor.id}"}} {each.status_code or 0}\n'


def _expiry(each: Watched) -> str:
    return f'probe_ssl_earliest_cert_expiry{{monitor_id="{each.monitor.id}"}} {_seconds(each)}\n'


def _seconds(each: Watched) -> int:
    return (each.certificate_expires_at or 0) // SECOND
