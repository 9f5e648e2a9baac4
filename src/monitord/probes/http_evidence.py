"""The explanation of an HTTP check, in words: each step, what was dialled, and which rule decided."""

from collections.abc import Iterator

from monitord.domain.check import Certificate, Evidence, Step
from monitord.domain.instant import to_datetime
from monitord.probes.certificates import read_certificate
from monitord.probes.connect import endpoint
from monitord.probes.failure import Failure
from monitord.probes.http_exchange import Exchange
from monitord.probes.http_response import Response
from monitord.probes.http_run import Hop, Run
from monitord.probes.text import shown

_MAX_HEADER_LINES = 40
_MAX_CERTIFICATES = 5


def evidence_of(run: Run, final: Failure | None) -> Evidence:
    """Return what explains a verdict. Everything from the target is cleaned and capped (T19)."""
    if not run.hops:
        return Evidence(steps=tuple(_steps(run, final, ())))
    hop = run.hops[-1]
    chain = hop.exchange.session.chain() if hop.exchange is not None and hop.exchange.session is not None else []
    read = (read_certificate(der) for der in chain[:_MAX_CERTIFICATES])
    certificates = tuple(certificate for certificate in read if certificate is not None)
    return Evidence(
        steps=tuple(_steps(run, final, certificates)),
        resolved=hop.dialled.resolved if hop.dialled is not None else (),
        header_lines=_header_lines(hop.response),
        body_excerpt=hop.response.body.excerpt if hop.response is not None else b"",
        certificates=certificates,
    )


def _header_lines(response: Response | None) -> tuple[str, ...]:
    if response is None:
        return ()
    lines = (line.rstrip(b"\r") for line in response.head.split(b"\n", _MAX_HEADER_LINES)[:_MAX_HEADER_LINES])
    return tuple(shown(line) for line in lines if line)


def _steps(run: Run, final: Failure | None, certificates: tuple[Certificate, ...]) -> Iterator[Step]:
    ended_ms = 0.0
    for hop in run.token_hops:
        # People put keys into queries (T15): those of the target's own URL its owner may see here.
        for step in _steps_of_hop(run, hop, (), hop.request.target.url.partition("?")[0]):
            ended_ms = step.at_ms
            yield step
        yield Step(ended_ms, "ttfb", "That was a request for a token.")
    for hop in run.hops:
        for step in _steps_of_hop(run, hop, certificates if hop is run.hops[-1] else (), hop.request.target.url):
            ended_ms = step.at_ms
            yield step
    yield Step(ended_ms, "judge", final.message if final is not None else "Everything is as it should be.")


def _steps_of_hop(run: Run, hop: Hop, certificates: tuple[Certificate, ...], url: str) -> Iterator[Step]:
    dialled, exchange, target = hop.dialled, hop.exchange, hop.request.target
    if dialled is None:
        return

    def at(moment: float) -> float:
        return round((moment - run.began_at) * 1000, 3)

    if dialled.dns_ms is not None:
        found = ", ".join(dialled.resolved[:10]) or "no address"
        yield Step(at(dialled.began_at + dialled.dns_ms / 1000), "dns", f"{target.host} resolved to {found}.")
    if dialled.connect_ms is not None and dialled.ip is not None:
        where = endpoint(dialled.ip, target.port)
        text = f"Connected to {where}." if dialled.failure is None else f"Could not connect to {where}."
        yield Step(at(dialled.began_at + ((dialled.dns_ms or 0) + dialled.connect_ms) / 1000), "connect", text)
    if exchange is not None and exchange.started_at:
        for moment, phase, text in _exchange_steps(hop, exchange, certificates, url):
            yield Step(at(moment), phase, text)


def _exchange_steps(
    hop: Hop, exchange: Exchange, certificates: tuple[Certificate, ...], url: str
) -> Iterator[tuple[float, str, str]]:
    request, response = hop.request, exchange.response
    ended_at = exchange.ended_at
    if hop.retried is not None:
        yield exchange.started_at, "tls", f"The first attempt failed ({hop.retried.message}) and was repeated."
    if exchange.session is not None:
        if exchange.secured_at is not None:
            yield exchange.secured_at, "tls", f"TLS handshake done: {exchange.session.describe()}."
        else:
            yield ended_at, "tls", "The TLS handshake did not succeed."
        for certificate in certificates[:1]:
            yield (
                exchange.secured_at or ended_at,
                "tls",
                f"The certificate is for {', '.join(certificate.names[:5]) or 'no name'}, issued by "
                f"{certificate.issuer}, valid until {to_datetime(certificate.not_after):%Y-%m-%d %H:%M} UTC.",
            )
    if exchange.sent_at is not None:
        yield exchange.sent_at, "ttfb", f"Sent {request.method} {shown(url)}."
    if exchange.first_byte_at is not None:
        yield exchange.first_byte_at, "ttfb", "The first byte of the answer arrived."
        status = f"status {response.status}" if response.status is not None else "no complete headers"
        yield ended_at, "transfer", f"Read {exchange.received} bytes, with {status}."
    if response.redirects:
        yield ended_at, "transfer", f"The answer redirects to {shown(response.field(b'location')[0])}."
