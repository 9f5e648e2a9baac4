"""What a monitor may be: every rule that the comments of the protos state, with a sentence for each breach.

Fields are named by their paths in the API, which is what users read. Each kind of check has a file of its own beside
this one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from monitord.domain.errors import Violation
from monitord.domain.kinds import (
    DnsCheck,
    GroupCheck,
    GrpcCheck,
    HeartbeatCheck,
    HttpCheck,
    IcmpCheck,
    MysqlCheck,
    PostgresCheck,
    RedisCheck,
    TcpCheck,
    TlsCheck,
    WebsocketCheck,
    kind_of,
)
from monitord.domain.monitor import MonitorSpec
from monitord.domain.rules import dns, group, grpc, heartbeat, http, icmp, mysql, postgres, redis, tcp, tls, websocket
from monitord.domain.rules.connection import Context
from monitord.domain.rules.labels import of_labels
from monitord.domain.rules.wording import VISIBLE, duration, has_controls

MAX_NAME_CHARS = 200
MAX_INTERVAL_S = 86_400
MIN_TIMEOUT_MS = 100
MAX_TIMEOUT_MS = 60_000
MAX_THRESHOLD = 10
MAX_PARENTS = 10
MAX_DEPTH = 8
"""How many monitors may stand one above the other."""

_OF_KIND: dict[type, Callable[[Any, Context], Iterator[Violation]]] = {
    HttpCheck: http.violations,
    TcpCheck: tcp.violations,
    TlsCheck: tls.violations,
    IcmpCheck: icmp.violations,
    DnsCheck: dns.violations,
    GrpcCheck: grpc.violations,
    WebsocketCheck: websocket.violations,
    HeartbeatCheck: heartbeat.violations,
    GroupCheck: group.violations,
    PostgresCheck: postgres.violations,
    MysqlCheck: mysql.violations,
    RedisCheck: redis.violations,
}


class Limits(msgspec.Struct, frozen=True):
    """What an operator decides about all monitors."""

    min_interval_s: int = 5
    """The shortest interval, and the shortest interval of re-checks, in seconds."""


def violations(
    spec: MonitorSpec, limits: Limits, *, prefix: str = "", secrets_may_be_kept: bool = False
) -> list[Violation]:
    """Return everything that is wrong with a monitor; empty when nothing is.

    ``prefix`` stands before each field, such as ``monitor.``. ``secrets_may_be_kept`` allows secrets without a value,
    which whoever stores the monitor fills with those stored before.
    """
    found = [*_of_identity(spec), *_of_times(spec, limits)]
    context = Context(timeout_ms=spec.timeout_ms, secrets_may_be_kept=secrets_may_be_kept)
    kind = kind_of(spec.check)
    of_check = _OF_KIND[type(spec.check)](spec.check, context)
    found += (Violation(f"{kind}.{one.field}", one.description) for one in of_check)
    return [Violation(prefix + one.field, one.description) for one in found]


def _of_identity(spec: MonitorSpec) -> Iterator[Violation]:
    if not 1 <= len(spec.name) <= MAX_NAME_CHARS:
        yield Violation("name", f"must have 1 to {MAX_NAME_CHARS} characters, not {len(spec.name)}")
    if has_controls(spec.name):
        yield Violation("name", VISIBLE)
    if len(spec.parent_ids) > MAX_PARENTS:
        yield Violation("parent_ids", f"must be at most {MAX_PARENTS}, not {len(spec.parent_ids)}")
    for index, parent_id in enumerate(spec.parent_ids[:MAX_PARENTS]):
        if parent_id < 1:
            yield Violation(f"parent_ids[{index}]", f"must be the id of a monitor, which is 1 or more, not {parent_id}")
    yield from of_labels(spec.labels)


def _of_times(spec: MonitorSpec, limits: Limits) -> Iterator[Violation]:
    floor = limits.min_interval_s
    interval_is_right = floor <= spec.interval_s <= MAX_INTERVAL_S
    if not interval_is_right:
        yield Violation("interval", f"must be {floor} s to {MAX_INTERVAL_S} s (24 h), not {spec.interval_s} s")
    if not MIN_TIMEOUT_MS <= spec.timeout_ms <= MAX_TIMEOUT_MS:
        yield Violation("timeout", f"must be 100 ms to 60 s, not {duration(spec.timeout_ms)}")
    elif interval_is_right and spec.timeout_ms > spec.interval_s * 1000:
        yield Violation(
            "timeout", f"must be at most the interval of {spec.interval_s} s, not {duration(spec.timeout_ms)}"
        )
    if interval_is_right and not floor <= spec.recheck_interval_s <= spec.interval_s:
        yield Violation(
            "recheck_interval",
            f"must be {floor} s to the interval of {spec.interval_s} s, not {spec.recheck_interval_s} s",
        )
    for field in ("failure_threshold", "success_threshold"):
        value = getattr(spec, field)
        if not 1 <= value <= MAX_THRESHOLD:
            yield Violation(field, f"must be 1 to {MAX_THRESHOLD}, not {value}")
