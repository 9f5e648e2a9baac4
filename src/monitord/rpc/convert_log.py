"""Rows of the check log as messages."""

from monitord.domain.check import Certificate, Evidence, Phases
from monitord.domain.log import LogEntry
from monitord.rpc.convert_time import timestamp_pb
from monitord.v1 import check_log_pb2 as pb


def check_log_pb(entry: LogEntry, *, with_evidence: bool = False) -> pb.CheckLog:
    """Return a row; with its evidence, if that is asked for and the row has it."""
    # The enums' numbers are the domain's own (a test holds them together); absent values are None, which sets nothing.
    message = pb.CheckLog(
        monitor_id=entry.monitor_id,
        sequence=entry.seq,
        trigger=entry.trigger,  # type: ignore[arg-type]
        verdict=entry.verdict,  # type: ignore[arg-type]
        category=entry.category or "",
        message=entry.message,
        schedule_time=timestamp_pb(entry.scheduled_at),
        start_time=timestamp_pb(entry.checked_at),
        status_code=entry.status_code,
        response_time_ms=entry.response_time_ms,
        phases=_phases_pb(entry.phases),
        dns_ok=entry.dns_ok,
        ssl_ok=entry.ssl_ok,
        content_ok=entry.content_ok,
        screenshot_url=entry.screenshot_url,
        address=entry.address or "",
        bytes_received=entry.bytes_received,
        redirects=entry.redirects,
        counted=entry.counted,
        measurements=entry.measurements,
        maintenance=entry.maintenance,
    )
    if entry.gap_until is not None:
        message.gap_end_time.CopyFrom(timestamp_pb(entry.gap_until))
    if entry.certificate_expires_at is not None:
        message.certificate_expire_time.CopyFrom(timestamp_pb(entry.certificate_expires_at))
    if with_evidence and entry.evidence is not None:
        message.evidence.CopyFrom(_evidence_pb(entry.evidence))
    return message


def _phases_pb(phases: Phases) -> pb.CheckPhases:
    return pb.CheckPhases(
        dns_ms=phases.dns,
        connect_ms=phases.connect,
        tls_ms=phases.tls,
        ttfb_ms=phases.ttfb,
        transfer_ms=phases.transfer,
    )


def _evidence_pb(evidence: Evidence) -> pb.CheckEvidence:
    return pb.CheckEvidence(
        steps=[pb.CheckStep(at_ms=step.at_ms, phase=step.phase, text=step.text) for step in evidence.steps],
        resolved_addresses=evidence.resolved,
        header_lines=evidence.header_lines,
        body_excerpt=evidence.body_excerpt.decode("utf-8", "replace"),
        certificates=[_certificate_pb(certificate) for certificate in evidence.certificates],
    )


def _certificate_pb(certificate: Certificate) -> pb.Certificate:
    return pb.Certificate(
        subject=certificate.subject,
        issuer=certificate.issuer,
        names=certificate.names,
        not_before_time=timestamp_pb(certificate.not_before),
        not_after_time=timestamp_pb(certificate.not_after),
        serial=certificate.serial,
        fingerprint_sha256=certificate.fingerprint_sha256,
    )
