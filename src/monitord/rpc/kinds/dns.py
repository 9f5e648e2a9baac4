"""DNS checks."""

from monitord.domain.errors import Violation
from monitord.domain.kinds.dns import DnsCheck, DnsMatch, DnsRecordType, DnsTransport
from monitord.rpc.convert_connection import (
    latency_pb,
    read_family,
    read_latency_ms,
    read_tls,
    read_verification,
    tls_pb,
    verification_pb,
)
from monitord.rpc.enums import read_enum
from monitord.v1 import dns_check_pb2 as pb

DEFAULT_RCODES = ("NOERROR",)


def read_dns(message: pb.DnsCheck, found: list[Violation]) -> DnsCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    record_type, transport, match = message.record_type, message.transport, message.match
    return DnsCheck(
        name=message.name,
        record_type=read_enum(DnsRecordType, pb.DnsRecordType, record_type, DnsRecordType.A, "dns.record_type", found),
        server=message.server,
        transport=read_enum(DnsTransport, pb.DnsTransport, transport, DnsTransport.UDP, "dns.transport", found),
        address_family=read_family(message, "dns", found),
        expected_latency_ms=read_latency_ms(message, "dns", found),
        expected_answers=tuple(message.expected_answers),
        match=read_enum(DnsMatch, pb.DnsMatch, match, DnsMatch.ALL, "dns.match", found),
        accepted_rcodes=tuple(text.upper() for text in message.accepted_rcodes) or DEFAULT_RCODES,
        require_authenticated_data=message.require_authenticated_data,
        no_recursion=message.no_recursion,
        verify_tls=read_verification(message, "dns", found),
        tls=read_tls(message.tls),
    )


def dns_pb(check: DnsCheck) -> pb.DnsCheck:
    """Return the message of a check, without its secrets (T15)."""
    # The enums' numbers are the domain's own; a test holds them together.
    return pb.DnsCheck(
        name=check.name,
        record_type=check.record_type,  # type: ignore[arg-type]
        server=check.server,
        transport=check.transport,  # type: ignore[arg-type]
        address_family=check.address_family,  # type: ignore[arg-type]
        expected_latency=latency_pb(check.expected_latency_ms),
        expected_answers=check.expected_answers,
        match=check.match,  # type: ignore[arg-type]
        accepted_rcodes=check.accepted_rcodes,
        require_authenticated_data=check.require_authenticated_data,
        no_recursion=check.no_recursion,
        tls_verification=verification_pb(check.verify_tls),
        tls=tls_pb(check.tls),
    )
