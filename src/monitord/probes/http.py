"""The HTTP check: one fresh connection for each request, one deadline over it all, every read bounded."""

import asyncio
import time
import weakref
from collections.abc import Callable
from typing import Protocol

from monitord import __version__
from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import NO_TLS_SETTINGS, TlsSettings
from monitord.domain.instant import Instant
from monitord.domain.kinds import HttpCheck
from monitord.domain.kinds.http import HttpVersion, Oauth2Auth
from monitord.domain.target import InvalidTargetError, resolve_redirect
from monitord.probes.certificates import CertificateFacts
from monitord.probes.deadline import Deadline, Deadlines
from monitord.probes.dial import Dialler, Peer
from monitord.probes.failure import Failure, ours
from monitord.probes.http2_exchange import Http2Exchange, concerns, offers
from monitord.probes.http_exchange import Exchange
from monitord.probes.http_json import judge_json
from monitord.probes.http_oauth import Tokens
from monitord.probes.http_request import Plan, Request, redirected_method
from monitord.probes.http_response import Response
from monitord.probes.http_run import Hop, Run
from monitord.probes.http_verdict import conclude
from monitord.probes.readiness import Readiness, readiness_for
from monitord.probes.resolver import Resolvers
from monitord.probes.text import shown
from monitord.probes.tls import Session

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class TlsSessions(Protocol):
    """Makes TLS sessions with a fast engine and with the judge."""

    def session(
        self,
        target: Peer,
        *,
        verify: bool,
        settings: TlsSettings = NO_TLS_SETTINGS,
        judge: bool = False,
        alpn: tuple[str, ...] = (),
    ) -> Session:
        """Begin a session that offers ``alpn``; raise ValueError for settings that can't be used."""

    def remember_judge(self, target: Peer) -> None:
        """Ask the judge first for this server for a while."""


class HttpProber:
    """Runs HTTP checks. One instance serves the process."""

    def __init__(
        self,
        dialler: Dialler,
        tls: TlsSessions,
        *,
        resolvers: Resolvers,
        now: Callable[[], Instant],
        max_body_bytes: int = 1024 * 1024,
        operator_url: str = "about:blank",
    ) -> None:
        """Make a prober that reads at most ``max_body_bytes`` of a body and names the operator as its User-Agent."""
        self._now = now
        self._resolvers = resolvers
        self._tokens = Tokens()
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
            if isinstance(check.auth, Oauth2Auth):
                failure = await self._with_token(check.auth, plan, run, deadline)
            else:
                run.authorization = plan.authorization
                failure = await self._follow(check, plan, plan.request, run, deadline)
            if failure is None and check.json_assertions and (response := run.hops[-1].response) is not None:
                run.json_failure = await judge_json(check.json_assertions, response)
        finally:
            deadline.close()
        return conclude(run, failure, self._certificates, trace=trace, now=self._now)

    def _plan(self, check: HttpCheck) -> Plan:
        key = id(check)
        plan = self._plans.get(key)
        # The identity of a check that died may have been given to another before its plan was dropped.
        if plan is None or plan.check() is not check:
            plan = self._plans[key] = Plan(check, self._user_agent)
            weakref.finalize(check, self._plans.pop, key, None).atexit = False
        return plan

    async def _with_token(self, auth: Oauth2Auth, plan: Plan, run: Run, deadline: Deadline) -> Failure | None:
        """Ask with a token; once more with a fresh one if the target refuses one that was kept."""
        check = run.check

        async def fetch(question: HttpCheck) -> Response | Failure:
            asked = Run(question, b"", run.began_at)
            asked.hops = run.token_hops
            asking = Plan(question, plan.user_agent)
            asking.keeps_body = True
            failure = await self._follow(question, asking, asking.request, asked, deadline)
            response = asked.hops[-1].response
            return failure or response or ours(Category.ENGINE_INTERNAL, "No answer was read.")

        for is_last in (False, True):
            token = await self._tokens.token(auth, check, fetch, deadline)
            if isinstance(token, Failure):
                return token
            run.hops, run.asked_at, run.authorization = [], time.monotonic(), f"Bearer {token}"
            request = plan.build(plan.request.target, check.method, authorization=run.authorization)
            failure = await self._follow(check, plan, request, run, deadline)
            if is_last or failure is not None or not _is_refused(run.hops[-1]) or not self._tokens.forget(auth, token):
                return failure
        return None

    async def _follow(
        self, check: HttpCheck, plan: Plan, request: Request, run: Run, deadline: Deadline
    ) -> Failure | None:
        original = True
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
            request = plan.build(
                target, method, original=original, body=method == check.method, authorization=run.authorization
            )
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
        newer = check.http_version is not HttpVersion.HTTP1 and concerns(check.http_version, target.scheme)
        session = None
        if target.scheme == "https":
            settings = plan.tls if hop.request.original else plan.foreign_tls
            alpn = offers(check.http_version) if newer else ()
            try:
                session = self._tls.session(target, verify=check.verify_tls, settings=settings, alpn=alpn)
            except ValueError as error:
                return ours(Category.ENGINE_INTERNAL, f"This check cannot be run: {shown(str(error))}.")
        exchange = self._exchange(check, plan, hop, session)
        resolver = self._resolvers.at(check.resolver) if check.resolver else None
        opening = _silent if newer else exchange.opening
        hop.dialled = await self._dialler.dial(target, check.address_family, deadline, opening, resolver)
        if hop.dialled.attempt is None:
            return hop.dialled.failure
        if newer:
            both = Http2Exchange(exchange, hop.request, check.http_version, max_body_bytes=self._max_body_bytes)
            failure = await both.run(hop.dialled.attempt, deadline)
            hop.version = both.spoken
            return failure
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

    def _exchange(self, check: HttpCheck, plan: Plan, hop: Hop, session: Session | None) -> Exchange:
        response = Response(
            head_request=hop.request.method == "HEAD",
            max_body_bytes=self._max_body_bytes,
            keyword=plan.keyword,
            keep_body=plan.keeps_body,
            stop_at_redirect=check.follow_redirects,
        )
        exchange = hop.exchange = Exchange(hop.request.target, hop.request.wire, response, session)
        return exchange

    def _watcher(self) -> Readiness:
        loop = asyncio.get_running_loop()
        if self._readiness is None or self._readiness[0] is not loop:
            self._readiness = (loop, readiness_for(loop))
        return self._readiness[1]


def _silent() -> bytes:
    """The first bytes over HTTP/2 wait for the connection."""
    return b""


def _is_refused(hop: Hop) -> bool:
    return hop.request.original and hop.response is not None and hop.response.status == 401


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
