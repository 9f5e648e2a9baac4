"""What an ICMP check may be."""

from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.kinds.icmp import IcmpCheck
from monitord.domain.rules.connection import Context, of_host, of_latency, of_resolver
from monitord.domain.rules.wording import duration

_RANGES = {
    "count": (1, 20),
    "payload_bytes": (0, 1400),
    "max_loss_percent": (0, 99),
    "degraded_loss_percent": (0, 100),
}
_INTERVAL_MS = (10, 10_000)


def violations(check: IcmpCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with an ICMP check."""
    yield from of_host(check.host)
    yield from of_resolver(check.resolver)
    yield from of_latency(check.expected_latency_ms, context)
    for field, (least, most) in _RANGES.items():
        if not least <= (value := getattr(check, field)) <= most:
            yield Violation(field, f"must be {least} to {most}, not {value}")
    least, most = _INTERVAL_MS
    if not least <= check.packet_interval_ms <= most:
        yield Violation("packet_interval", f"must be 10 ms to 10 s, not {duration(check.packet_interval_ms)}")
    elif (check.count - 1) * check.packet_interval_ms >= context.timeout_ms:
        yield Violation(
            "packet_interval",
            f"{check.count} requests, one every {duration(check.packet_interval_ms)}, don't fit into the timeout of "
            f"{duration(context.timeout_ms)}",
        )
