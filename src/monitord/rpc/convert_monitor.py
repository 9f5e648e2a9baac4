"""Monitors: from messages to the domain and back."""

import re

from google.protobuf.duration_pb2 import Duration

from monitord.domain.errors import Violation
from monitord.domain.monitor import Monitor, MonitorSpec
from monitord.domain.queries import MonitorView
from monitord.domain.rules.monitor import Limits
from monitord.rpc.convert_check import read_check, write_check
from monitord.rpc.convert_log import check_log_pb
from monitord.rpc.convert_time import millis_of, millis_pb, seconds_of, timestamp_pb
from monitord.v1 import monitor_pb2 as pb

DEFAULT_INTERVAL_S = 60
DEFAULT_TIMEOUT_MS = 10_000
DEFAULT_RECHECK_INTERVAL_S = 10
DEFAULT_FAILURE_THRESHOLD = 2
DEFAULT_SUCCESS_THRESHOLD = 1

_ETAG = re.compile(r"v([1-9][0-9]{0,17})")
_PATHS = {
    "interval_s": "interval",
    "timeout_ms": "timeout",
    "recheck_interval_s": "recheck_interval",
    "accepted_status": "accepted_status_codes",
    "follow_redirects": "redirect_policy",
    "expected_latency_ms": "expected_latency",
    "verify_tls": "tls_verification",
    "packet_interval_ms": "packet_interval",
    "period_s": "period",
    "grace_s": "grace",
}
"""Where the API has another name for a field than the domain."""


def read_spec(message: pb.Monitor, limits: Limits, found: list[Violation]) -> MonitorSpec:
    """Return what a message says a monitor shall be, with a default for everything that is not set.

    What can't be read is added to ``found``, with its path from the monitor on, and replaced by a default: the rules
    (``domain.rules``) can then judge the rest.
    """
    interval_s = _read_interval_s(message, limits, found)
    timeout_ms = recheck_s = None
    if message.HasField("timeout"):
        timeout_ms = millis_of(message.timeout, "timeout", found)
    if message.HasField("recheck_interval"):
        recheck_s = seconds_of(message.recheck_interval, "recheck_interval", found)
    if timeout_ms is None:
        timeout_ms = min(DEFAULT_TIMEOUT_MS, max(interval_s, 1) * 1000)
    if recheck_s is None:
        recheck_s = min(max(DEFAULT_RECHECK_INTERVAL_S, limits.min_interval_s), interval_s)
    return MonitorSpec(
        name=message.name,
        check=read_check(message, found),
        labels=dict(message.labels),
        interval_s=interval_s,
        timeout_ms=timeout_ms,
        failure_threshold=message.failure_threshold or DEFAULT_FAILURE_THRESHOLD,
        success_threshold=message.success_threshold or DEFAULT_SUCCESS_THRESHOLD,
        recheck_interval_s=recheck_s,
        active=message.active if message.HasField("active") else True,
        parent_ids=tuple(dict.fromkeys(message.parent_ids)),
    )


def _read_interval_s(message: pb.Monitor, limits: Limits, found: list[Violation]) -> int:
    interval_s = seconds_of(message.interval, "interval", found) if message.HasField("interval") else None
    return max(DEFAULT_INTERVAL_S, limits.min_interval_s) if interval_s is None else interval_s


def monitor_pb(view: MonitorView) -> pb.Monitor:
    """Return a monitor as its owner sees it."""
    monitor, health = view.monitor, view.health
    message = spec_pb(monitor.spec)
    message.id = monitor.id
    message.status = health.status  # type: ignore[assignment]  # the same numbers; a test holds them together
    message.status_time.CopyFrom(timestamp_pb(health.since))
    if view.last is not None:
        message.last_check.CopyFrom(check_log_pb(view.last))
    message.create_time.CopyFrom(timestamp_pb(monitor.created_at))
    message.update_time.CopyFrom(timestamp_pb(monitor.updated_at))
    message.etag = etag_of(monitor)
    return message


def mask_path(field: str) -> str:
    """Return the path of an update mask for a field of ``MonitorSpec``, or one of the check's such as ``http.url``."""
    outer, dot, inner = field.partition(".")
    return _PATHS.get(outer, outer) + dot + _PATHS.get(inner, inner)


def etag_of(monitor: Monitor) -> str:
    """Return what changes with every change to what a user decides."""
    return f"v{monitor.version}"


def version_of(etag: str) -> int | None:
    """Return the version that an etag stands for: None for the empty one, and 0, which no monitor has, for others."""
    if not etag:
        return None
    match = _ETAG.fullmatch(etag)
    return int(match[1]) if match else 0


def spec_pb(spec: MonitorSpec) -> pb.Monitor:
    """Return what a user decided about a monitor, without its secrets (T15)."""
    message = pb.Monitor(
        name=spec.name,
        labels=spec.labels,
        interval=Duration(seconds=spec.interval_s),
        timeout=millis_pb(spec.timeout_ms),
        failure_threshold=spec.failure_threshold,
        success_threshold=spec.success_threshold,
        recheck_interval=Duration(seconds=spec.recheck_interval_s),
        active=spec.active,
        parent_ids=spec.parent_ids,
    )
    write_check(message, spec.check)
    return message
