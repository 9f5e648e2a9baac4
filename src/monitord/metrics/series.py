"""The series of single monitors, under blackbox_exporter's names.

With 10,000 monitors these are 160,000 lines, most of a scrape. They are written here rather than by prometheus_client,
whose renderer takes ten times as long and cannot stop half-way to let the event loop go on.
"""

from collections.abc import Iterable, Iterator, Sequence

from monitord.domain.check import Verdict
from monitord.domain.instant import SECOND
from monitord.domain.kinds import kind_of
from monitord.metrics.family import Family
from monitord.metrics.kind_series import FAMILIES
from monitord.metrics.watched import Watched

CHUNK_MONITORS = 250
"""How many monitors' lines of one family are made at a time: well below a millisecond of work."""

_FAILED = frozenset({Verdict.DOWN, Verdict.UNREACHABLE})
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def render(watched: Iterable[Watched], *, openmetrics: bool) -> Iterator[str]:
    """Yield the exposition of the monitors in small chunks of whole lines, family by family.

    What all kinds have in common comes with its header even without monitors; what some have, with monitors alone.
    """
    monitors = list(watched)
    by_kind: dict[type, list[Watched]] = {}
    yield _INFO.header(openmetrics=openmetrics)
    for some in _chunks(monitors):
        # Sorting them by kind all at once would be a few milliseconds without a turn for others.
        for each in some:
            by_kind.setdefault(type(each.monitor.spec.check), []).append(each)
        yield _INFO.lines(some)
    for family in _GENERAL:
        yield family.header(openmetrics=openmetrics)
        yield from _lines(family, monitors)
    for family in FAMILIES:
        kinds = [kind for kind in family.kinds or by_kind if kind in by_kind and kind not in family.but]
        if kinds:
            yield family.header(openmetrics=openmetrics)
        for kind in kinds:
            yield from _lines(family, by_kind[kind])


def _chunks(monitors: Sequence[Watched]) -> Iterator[Sequence[Watched]]:
    for start in range(0, len(monitors), CHUNK_MONITORS):
        yield monitors[start : start + CHUNK_MONITORS]


def _lines(family: Family, monitors: Sequence[Watched]) -> Iterator[str]:
    for some in _chunks(monitors):
        if text := family.lines(some):
            yield text


def _info(some: Sequence[Watched]) -> str:
    return "".join(
        f'monitord_monitor_info{each.label},name="{_escape(each.monitor.spec.name)}",'
        f'type="{kind_of(each.monitor.spec.check)}",target="{_escape(each.monitor.spec.check.shown)}"}} 1\n'
        for each in some
    )


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


def _success(some: Sequence[Watched]) -> str:
    return "".join(
        [f"probe_success{each.label}}} {0 if each.verdict in _FAILED else 1}\n" for each in some if each.is_conclusive]
    )


def _duration(some: Sequence[Watched]) -> str:
    return "".join(
        [f"probe_duration_seconds{each.label}}} {each.duration_ms / 1000:.6f}\n" for each in some if each.is_conclusive]
    )


def _protocol(some: Sequence[Watched]) -> str:
    return "".join(
        [
            f"probe_ip_protocol{each.label}}} {each.ip_version}\n"
            for each in some
            if each.is_conclusive and each.ip_version
        ]
    )


def _expiry(some: Sequence[Watched]) -> str:
    return "".join(
        [
            f"probe_ssl_earliest_cert_expiry{each.label}}} {end // SECOND}\n"
            for each in some
            if each.is_conclusive and (end := each.certificate_expires_at) is not None
        ]
    )


def _tls_version(some: Sequence[Watched]) -> str:
    return "".join(
        [
            f'probe_tls_version_info{each.label},version="TLS {version}"}} 1\n'
            for each in some
            if each.is_conclusive and (version := each.measurements.get("tls.version")) is not None
        ]
    )


_INFO = Family("monitord_monitor_info", "What a monitor_id stands for.", _info)
_GENERAL = (
    Family("probe_success", "Whether the newest check found the target working.", _success),
    Family("probe_duration_seconds", "How long the newest check took.", _duration),
    Family("probe_ip_protocol", "Which IP the newest check was made over: 4 or 6.", _protocol),
    Family("probe_ssl_earliest_cert_expiry", "When the target's certificate expires, in Unix time.", _expiry),
    Family("probe_tls_version_info", "Which version of TLS was agreed on.", _tls_version),
)
