"""From what an HTTP check went through to what is said of its target."""

from collections.abc import Callable
from functools import lru_cache

from monitord.domain.check import Category, Observation, Phases, Verdict
from monitord.domain.instant import Instant
from monitord.domain.kinds import HttpCheck
from monitord.domain.kinds.http import TlsRequirement
from monitord.probes.certificates import CertificateFacts, expiring
from monitord.probes.connect import endpoint
from monitord.probes.dial import Dialled
from monitord.probes.failure import Failure
from monitord.probes.http_conditions import judge_body, judge_headers
from monitord.probes.http_evidence import evidence_of
from monitord.probes.http_exchange import Exchange
from monitord.probes.http_response import Response
from monitord.probes.http_run import Hop, Run
from monitord.probes.text import shown
from monitord.probes.tls import TLS_VERSIONS

_OF_THE_CONTENT = (Category.ASSERT_REGEX, Category.ASSERT_JSON, Category.BODY_DECODE)


def conclude(
    run: Run, failure: Failure | None, certificates: CertificateFacts, *, trace: bool, now: Callable[[], Instant]
) -> Observation:
    """Judge a finished check. ``failure`` is what ended it, if it did not get to the end of its last response."""
    if not run.hops:
        assert failure is not None
        return _without_answer(run, failure)
    hop = run.hops[-1]
    phases, total_ms = _phases(run)
    status = hop.response.status if hop.response is not None else None
    note: Failure | None = None
    content_ok: bool | None = None
    if failure is None:
        failure, note, content_ok = _judge(run, hop, total_ms, now)
    final = failure or note
    verdict = failure.verdict if failure is not None else Verdict.UP
    explain = trace or verdict is not Verdict.UP
    dialled, exchange = hop.dialled, hop.exchange
    return Observation(
        verdict=verdict,
        category=final.category if final is not None else None,
        message=final.message if final is not None else "",
        phases=phases,
        status_code=status,
        dns_ok=_dns_ok(dialled),
        ssl_ok=_ssl_ok(hop),
        content_ok=content_ok,
        address=endpoint(dialled.ip, hop.request.target.port) if dialled is not None and dialled.ip else None,
        certificate_expires_at=_expiry(exchange, certificates),
        bytes_received=exchange.received if exchange is not None and not exchange.in_handshake else 0,
        redirects=len(run.hops) - 1,
        measurements=_figures(hop.version, _tls_version(exchange)),
        evidence=evidence_of(run, final) if explain else None,
    )


def _judge(
    run: Run, hop: Hop, total_ms: float, now: Callable[[], Instant]
) -> tuple[Failure | None, Failure | None, bool | None]:
    """Judge a complete response: what is wrong, what is to be noted all the same, and whether the content is right."""
    check, response = run.check, hop.response
    assert response is not None
    assert response.status is not None
    wrong, content_ok = _judge_content(check, response, run.keyword)
    if not any(accepted.first <= response.status <= accepted.last for accepted in check.accepted_status):
        expected = ", ".join(
            str(each.first) if each.first == each.last else f"{each.first}-{each.last}"
            for each in check.accepted_status
        )
        return (
            Failure(Category.HTTP_STATUS, f"The answer has status {response.status}; {expected} is accepted."),
            None,
            content_ok,
        )
    wrong = wrong or _judge_conditions(run, hop, response)
    if wrong is not None:
        return wrong, None, content_ok and wrong.category not in _OF_THE_CONTENT
    if 0 < check.expected_latency_ms < total_ms:
        slow = Failure(
            Category.ASSERT_LATENCY,
            f"The answer took {total_ms:.0f} ms; at most {check.expected_latency_ms} ms are expected.",
            Verdict.DEGRADED,
        )
        return slow, None, content_ok
    if check.min_certificate_days and hop.exchange is not None and hop.exchange.session is not None:
        soon = expiring(hop.exchange.session.chain(), check.min_certificate_days, now())
        if soon is not None:
            return soon, None, content_ok
    if response.capped:
        return (
            None,
            Failure(Category.BODY_TOO_LARGE, f"The body goes on after the first {_kib(response)} KiB."),
            content_ok,
        )
    return None, None, content_ok


def _judge_conditions(run: Run, hop: Hop, response: Response) -> Failure | None:
    check = run.check
    wrong = None
    if check.tls_requirement is not TlsRequirement.NONE:
        wrong = _judge_tls(check.tls_requirement, hop)
    if wrong is None and check.header_assertions:
        wrong = judge_headers(check, response)
    if wrong is None and (check.body_regex or check.min_body_bytes or check.max_body_bytes):
        wrong = judge_body(check, response)
    return wrong or run.json_failure


def _judge_tls(requirement: TlsRequirement, hop: Hop) -> Failure | None:
    is_secure = hop.request.target.scheme == "https"
    if is_secure is (requirement is TlsRequirement.REQUIRED):
        return None
    where = hop.request.target.authority
    demand = "must come over TLS, and did not" if not is_secure else "must not come over TLS, and did"
    return Failure(Category.TLS_REQUIRED, f"The answer of {where} {demand}.")


def _without_answer(run: Run, failure: Failure) -> Observation:
    """Return what is seen of a target that was not even asked: there was no token to ask it with."""
    return Observation(
        verdict=failure.verdict,
        category=failure.category,
        message=failure.message,
        evidence=evidence_of(run, failure),
    )


def _judge_content(check: HttpCheck, response: Response, keyword: bytes) -> tuple[Failure | None, bool | None]:
    if not keyword:
        return None, True if check.body_regex or check.json_assertions else None
    if response.undecodable:
        failure = Failure(
            Category.BODY_DECODE,
            f"The keyword cannot be looked for: the body comes encoded as {response.undecodable}, unasked.",
        )
        return failure, False
    if response.body.found is not check.keyword_absent:
        return None, True
    if check.keyword_absent:
        return Failure(
            Category.ASSERT_KEYWORD, f"The body contains {shown(check.keyword)!r}, which it must not."
        ), False
    where = f"in the first {_kib(response)} KiB of the body" if response.capped else "in the body"
    return Failure(Category.ASSERT_KEYWORD, f"The keyword {shown(check.keyword)!r} is not found {where}."), False


def _kib(response: Response) -> int:
    return max(1, response.body.size // 1024)


def _phases(run: Run) -> tuple[Phases, float]:
    """Sum the phases over all requests, in milliseconds; and the time from the beginning to the last byte."""
    dns = connect = tls = ttfb = transfer = None
    ended = run.began_at
    for hop in run.hops:
        dialled, exchange = hop.dialled, hop.exchange
        if dialled is not None:
            dns = _sum(dns, dialled.dns_ms)
            connect = _sum(connect, dialled.connect_ms)
        if exchange is None or not exchange.started_at:
            continue
        ended = exchange.ended_at
        began = exchange.started_at
        if exchange.session is not None:
            secured = exchange.secured_at or ended
            tls = _sum(tls, (secured - began) * 1000)
            began = secured
        if exchange.sent_at is not None:
            began = max(began, exchange.sent_at)
        if exchange.first_byte_at is not None:
            # An answer may come before the whole of the request is out.
            ttfb = _sum(ttfb, max(0.0, exchange.first_byte_at - began) * 1000)
            transfer = _sum(transfer, (ended - exchange.first_byte_at) * 1000)
        elif not exchange.in_handshake:
            ttfb = _sum(ttfb, max(0.0, ended - began) * 1000)
    return Phases(dns, connect, tls, ttfb, transfer), (ended - run.asked_at) * 1000


def _sum(total: float | None, part: float | None) -> float | None:
    if part is None:
        return total
    return part if total is None else total + part


def _dns_ok(dialled: Dialled | None) -> bool | None:
    return None if dialled is None or dialled.dns_ms is None else bool(dialled.resolved)


def _ssl_ok(hop: Hop) -> bool | None:
    if hop.exchange is None or hop.exchange.session is None or not hop.exchange.started_at:
        return None
    failed = hop.exchange.failure
    return hop.exchange.session.established and (failed is None or not failed.category.startswith("tls."))


def _tls_version(exchange: Exchange | None) -> float | None:
    if exchange is None or exchange.session is None or not exchange.session.established:
        return None
    return TLS_VERSIONS.get(exchange.session.version())


@lru_cache(maxsize=64)
def _figures(http_version: float | None, tls_version: float | None) -> dict[str, float] | None:
    # Nearly all checks have the same few figures: they share one dict, which nobody changes.
    figures = {"http.version": http_version, "tls.version": tls_version}
    return {name: figure for name, figure in figures.items() if figure is not None} or None


def _expiry(exchange: Exchange | None, certificates: CertificateFacts) -> Instant | None:
    if exchange is None or exchange.session is None:
        return None
    leaf = exchange.session.leaf()
    return certificates.expires_at(leaf) if leaf is not None else None
