"""ICMP checks."""

from monitord.domain.errors import Violation
from monitord.domain.kinds.icmp import IcmpCheck
from monitord.rpc.convert_connection import latency_pb, read_family, read_latency_ms
from monitord.rpc.convert_time import millis_of, millis_pb
from monitord.v1 import icmp_check_pb2 as pb

DEFAULT_COUNT = 3
DEFAULT_INTERVAL_MS = 200
DEFAULT_PAYLOAD_BYTES = 56
DEFAULT_MAX_LOSS = 99


def read_icmp(message: pb.IcmpCheck, found: list[Violation]) -> IcmpCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    interval_ms = None
    if message.HasField("packet_interval"):
        interval_ms = millis_of(message.packet_interval, "icmp.packet_interval", found)
    return IcmpCheck(
        host=message.host,
        address_family=read_family(message, "icmp", found),
        resolver=message.resolver,
        expected_latency_ms=read_latency_ms(message, "icmp", found),
        count=message.count or DEFAULT_COUNT,
        packet_interval_ms=DEFAULT_INTERVAL_MS if interval_ms is None else interval_ms,
        payload_bytes=message.payload_bytes if message.HasField("payload_bytes") else DEFAULT_PAYLOAD_BYTES,
        max_loss_percent=message.max_loss_percent if message.HasField("max_loss_percent") else DEFAULT_MAX_LOSS,
        degraded_loss_percent=message.degraded_loss_percent,
    )


def icmp_pb(check: IcmpCheck) -> pb.IcmpCheck:
    """Return the message of a check."""
    return pb.IcmpCheck(
        host=check.host,
        address_family=check.address_family,  # type: ignore[arg-type]  # the same numbers; a test holds them together
        resolver=check.resolver,
        expected_latency=latency_pb(check.expected_latency_ms),
        count=check.count,
        packet_interval=millis_pb(check.packet_interval_ms),
        payload_bytes=check.payload_bytes,
        max_loss_percent=check.max_loss_percent,
        degraded_loss_percent=check.degraded_loss_percent,
    )
