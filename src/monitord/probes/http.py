"""The HTTP check: one fresh connection for each request, one deadline over it all, every read bounded."""

import asyncio
import time
import weakref
from typing import Protocol

from monitord import __version__
from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import NO_TLS_SETTINGS, TlsSettings
from monitord.domain.kinds import HttpCheck
from monitord.domain.kinds.http import HttpVersion
from monitord.domain.target import InvalidTargetError, Target, resolve_redirect
from monitord.probes.certificates import CertificateFacts
from monitord.probes.deadline import Deadline, Deadlines
from monitord.probes.dial import Dialler
from monitord.probes.failure import Failure, ours
from monitord.probes.http2_exchange import Http2Exchange, concerns, offers
from monitord.probes.http_exchange import Exchange
from monitord.probes.http_request import Plan, redirected_method
from monitord.probes.http_response import Response
from monitord.probes.http_run import Hop, Run
from monitord.probes.http_verdict import conclude
from monitord.probes.readiness import Readiness, readiness_for
from monitord.probes.text import shown
from monitord.probes.tls import Session

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class TlsSessions(Protocol):
    """Makes TLS sessions with a fast engine and with the judge."""

    def session(
        self,
        target: Target,
        *,
        verify: bool,
        settings: TlsSettings = NO_TLS_SETTINGS,
        judge: bool = False,
        alpn: tuple[str, ...] = (),
    ) -> Session:
        """Begin a session that offers ``alpn``; raise ValueError for settings that can't be used."""

    def remember_judge(self, target: Target) -> None:
        """Ask the judge first for this server for a while."""


class HttpProber:
    """Runs HTTP checks. One instance serves the process."""

    def __init__(
        self,
        dialler: Dialler,
        tls: TlsSessions,
        *,
        max_body_bytes: int = 1024 * 1024,
        operator_url: str = "about:blank",
    ) -> None:
        """Make a prober that reads at most ``max_body_bytes`` of a body and names the operator as its User-Agent."""
        self._dialler = dialler
        self._tls = tls
        self._max_body_bytes = max_body_bytes
        self._user_agent = f"monitord/{__version__} (+{operator_url})"
        self._certificates = CertificateFacts()
        self._deadlines = Deadlines()
        self._readiness: tuple[asyncio.AbstractEventLoop, Readiness] | None = None
        # By identity: hashing a check costs more than building its request. A plan dies with its check.
        self._plans: dict[int, Plan] = {}

    async def __call__(self, check: HttpCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check. Whatever the target does becomes a value; the verdict comes within the timeout.

        Args:
            check: what to ask, and what the answer must be like.
            timeout_s: seconds for the whole of it, redirects included.
            trace: explain an UP verdict too.
        """
        try:
            plan = self._plan(check)
        except ValueError as error:
            return Observation(
                verdict=Verdict.INCONCLUSIVE,
                category=Category.ENGINE_INTERNAL,
                message=f"This check cannot be run as it is stored: {shown(str(error))}.",
            )
        run = Run(check, plan.keyword, time.monotonic())
        deadline = self._deadlines.start(timeout_s)
        try:
            failure = await self._follow(check, plan, run, deadline)
        finally:
            deadline.close()
        return conclude(run, failure, self._certificates, trace=trace)

    def _plan(self, check: HttpCheck) -> Plan:
        key = id(check)
        plan = self._plans.get(key)
        # The identity of a check that died may have been given to another before its plan was dropped.
        if plan is None or plan.check() is not check:
            plan = self._plans[key] = Plan(check, self._user_agent)
            weakref.finalize(check, self._plans.pop, key, None).atexit = False
        return plan

    async def _follow(self, check: HttpCheck, plan: Plan, run: Run, deadline: Deadline) -> Failure | None:
        request, original = plan.request, True
        while True:
            hop = Hop(request)
            run.hops.append(hop)
            failure = await self._ask(check, plan, hop, deadline)
            response = hop.response
            if failure is not None or response is None or not check.follow_redirects or not response.redirects:
                return failure
            location = response.field(b"location")[0]
            try:
                target = resolve_redirect(request.target, _text(location))
            except InvalidTargetError as error:
                return Failure(
                    Category.HTTP_REDIRECT_INVALID,
                    f"{request.target.authority} redirects to {shown(location)!r}, which cannot be followed: {error}.",
                )
            method = redirected_method(response.status or 0, request.method)
            original = original and target.origin == plan.request.target.origin
            request = plan.build(target, method, original=original, body=method == check.method)
            if any(former.request.target == target and former.request.method == method for former in run.hops):
                return Failure(
                    Category.HTTP_REDIRECT_LOOP, f"The redirects run in a circle: {shown(target.url)} comes up again."
                )
            if len(run.hops) > check.max_redirects:
                return Failure(
                    Category.HTTP_REDIRECT_LOOP, f"There are more than {check.max_redirects} redirects in a row."
                )

    async def _ask(self, check: HttpCheck, plan: Plan, hop: Hop, deadline: Deadline) -> Failure | None:
        """Send one request and read its response."""
        target = hop.request.target
        if check.http_version is not HttpVersion.HTTP1 and concerns(check.http_version, target.scheme):
            return await self._ask_http2(check, plan, hop, deadline)
        session = self._tls.session(target, verify=check.verify_tls) if target.scheme == "https" else None
        exchange = self._exchange(check, plan, hop, session)
        hop.dialled = await self._dialler.dial(target, check.address_family, deadline, exchange.opening)
        if hop.dialled.attempt is None:
            return hop.dialled.failure
        failure = await exchange.run(hop.dialled.attempt, self._watcher(), deadline)
        if failure is None or session is None or session.judge or deadline.expired or not _worth_judging(hop, exchange):
            return failure
        # rustls would not, or could not say why: OpenSSL's word counts.
        self._tls.remember_judge(target)
        hop.retried = failure
        exchange = self._exchange(check, plan, hop, self._tls.session(target, verify=check.verify_tls, judge=True))
        hop.dialled = await self._dialler.again(target, hop.dialled, deadline, exchange.opening)
        if hop.dialled.attempt is None:
            return hop.dialled.failure
        return await exchange.run(hop.dialled.attempt, self._watcher(), deadline)

    async def _ask_http2(self, check: HttpCheck, plan: Plan, hop: Hop, deadline: Deadline) -> Failure | None:
        """Send one request in HTTP/2, or in what the server prefers. TLS is OpenSSL's alone."""
        target, session = hop.request.target, None
        if target.scheme == "https":
            # Another origin is shown no certificate of ours (T4).
            settings = check.tls if target.origin == plan.request.target.origin else NO_TLS_SETTINGS
            alpn = offers(check.http_version)
            try:
                session = self._tls.session(target, verify=check.verify_tls, settings=settings, judge=True, alpn=alpn)
            except ValueError as error:
                return ours(Category.ENGINE_INTERNAL, f"This check cannot be run: {shown(str(error))}.")
        exchange = self._exchange(check, plan, hop, session)
        hop.dialled = await self._dialler.dial(target, check.address_family, deadline)
        if hop.dialled.attempt is None:
            return hop.dialled.failure
        newer = Http2Exchange(exchange, hop.request, check.http_version, max_body_bytes=self._max_body_bytes)
        failure = await newer.run(hop.dialled.attempt, deadline)
        hop.version = newer.spoken
        return failure

    def _exchange(self, check: HttpCheck, plan: Plan, hop: Hop, session: Session | None) -> Exchange:
        response = Response(
            head_request=hop.request.method == "HEAD",
            max_body_bytes=self._max_body_bytes,
            keyword=plan.keyword,
            stop_at_redirect=check.follow_redirects,
        )
        exchange = hop.exchange = Exchange(hop.request.target, hop.request.wire, response, session)
        return exchange

    def _watcher(self) -> Readiness:
        loop = asyncio.get_running_loop()
        if self._readiness is None or self._readiness[0] is not loop:
            self._readiness = (loop, readiness_for(loop))
        return self._readiness[1]


def _worth_judging(hop: Hop, exchange: Exchange) -> bool:
    if exchange.first_byte_at is not None:
        return False
    # After the handshake the request is out: only one without effects is sent again.
    return exchange.in_handshake or hop.request.method in _SAFE


def _text(location: bytes) -> str:
    try:
        return location.decode()
    except UnicodeDecodeError:
        return location.decode("latin-1")
