"""Tokens for OAuth 2.0 client credentials (RFC 6749, 4.4): asked for when needed, kept while they are valid.

A token is held in memory alone, under everything that it was asked for with: who changes a secret never gets the token
of the old one.
"""

import asyncio
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from urllib.parse import quote_plus

import msgspec

from monitord.domain.check import Category
from monitord.domain.connection import NO_TLS_SETTINGS, TlsSettings
from monitord.domain.kinds.http import HttpCheck, Oauth2Auth, StatusRange
from monitord.domain.secrets import Header
from monitord.probes.deadline import Deadline
from monitord.probes.failure import Failure
from monitord.probes.http_response import Response
from monitord.probes.text import shown

MAX_ANSWER_BYTES = 64 * 1024
MAX_TOKENS = 4096
MAX_TOKEN_CHARS = 8192
LONGEST_S = 3600.0
"""How long a token is kept at most, whatever its server says."""
USUAL_S = 300.0
"""How long a token without `expires_in` is kept."""
MARGIN_S = 30.0

Fetch = Callable[[HttpCheck], Awaitable[Response | Failure]]
"""Asks the token endpoint, within the deadline of the check that needs the token."""


class _Answer(msgspec.Struct):
    """What a token endpoint answers (RFC 6749, 5.1)."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: float | str | None = None


class Tokens:
    """Hands out tokens; those who need the same one at the same time share one question."""

    def __init__(self) -> None:
        self._known: OrderedDict[Oauth2Auth, tuple[str, float]] = OrderedDict()
        self._asked: dict[Oauth2Auth, asyncio.Future[str | Failure]] = {}

    async def token(self, auth: Oauth2Auth, check: HttpCheck, fetch: Fetch, deadline: Deadline) -> str | Failure:
        """Return a token that is valid now, or why there is none."""
        while True:
            known = self._known.get(auth)
            if known is not None and known[1] > time.monotonic():
                return known[0]
            asked = self._asked.get(auth)
            if asked is None:
                return await self._ask(auth, check, fetch)
            answer = await _wait(asked, deadline)
            if answer is not None:
                return answer
            if deadline.expired:
                return Failure(Category.TIMEOUT_TOTAL, f"{_who(auth)} did not give a token in time.")
            # Whoever asked went away: ask ourselves.

    def forget(self, auth: Oauth2Auth, token: str) -> bool:
        """Drop a token that was not accepted; return whether there was one to drop."""
        known = self._known.get(auth)
        if known is None or known[0] != token:
            return False
        del self._known[auth]
        return True

    async def _ask(self, auth: Oauth2Auth, check: HttpCheck, fetch: Fetch) -> str | Failure:
        asked: asyncio.Future[str | Failure] = asyncio.get_running_loop().create_future()
        self._asked[auth] = asked
        try:
            answer = _read(auth, await fetch(_question(auth, check)))
            if isinstance(answer, Failure):
                asked.set_result(answer)
                return answer
            token, lasts_s = answer
            self._known[auth] = (token, time.monotonic() + lasts_s)
            if len(self._known) > MAX_TOKENS:
                self._known.popitem(last=False)
            asked.set_result(token)
            return token
        finally:
            del self._asked[auth]
            if not asked.done():
                asked.cancel()


async def _wait(asked: "asyncio.Future[str | Failure]", deadline: Deadline) -> str | Failure | None:
    """Wait for another's question; None if it was given up, or took too long."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    asked.add_done_callback(done)
    try:
        await deadline.wait(waiter)
    finally:
        asked.remove_done_callback(done)
    return asked.result() if asked.done() and not asked.cancelled() else None


def _question(auth: Oauth2Auth, check: HttpCheck) -> HttpCheck:
    """Return the request for a token; the client proves itself by HTTP Basic (RFC 6749, 2.3.1)."""
    proof = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret.value)}"
    body = "grant_type=client_credentials"
    if auth.scopes:
        body += "&scope=" + quote_plus(" ".join(auth.scopes))
    return HttpCheck(
        url=auth.token_url,
        method="POST",
        headers=(
            Header("Authorization", f"Basic {b64encode(proof.encode()).decode()}", secret=True),
            Header("Content-Type", "application/x-www-form-urlencoded"),
            Header("Accept", "application/json"),
        ),
        body=body.encode(),
        accepted_status=(StatusRange(200, 200),),
        follow_redirects=False,
        verify_tls=check.verify_tls,
        tls=TlsSettings(ca_pem=check.tls.ca_pem) if check.tls.ca_pem else NO_TLS_SETTINGS,
        address_family=check.address_family,
        resolver=check.resolver,
    )


def _read(auth: Oauth2Auth, answered: Response | Failure) -> tuple[str, float] | Failure:
    """Return the token and how many seconds it lasts; or why there is none, without showing what was answered."""
    who = _who(auth)
    if isinstance(answered, Failure):
        return msgspec.structs.replace(answered, message=f"{who} gave no token: {answered.message}")
    if answered.status != 200:
        return Failure(
            Category.AUTH_REFUSED, f"{who} refused to give a token: its answer has status {answered.status}."
        )
    try:
        answer = msgspec.json.decode(answered.body.content, type=_Answer)
        expires_s = USUAL_S if answer.expires_in is None else float(answer.expires_in)
    except (ValueError, RecursionError):
        return Failure(Category.AUTH_REFUSED, f"{who} answered without a token (RFC 6749, 5.1).")
    token = answer.access_token
    if not token or len(token) > MAX_TOKEN_CHARS or any(not "!" <= char <= "~" for char in token):
        return Failure(Category.AUTH_REFUSED, f"{who} gave a token that can't be sent in a header.")
    if answer.token_type.lower() != "bearer":
        kind = shown(answer.token_type, 40)
        return Failure(Category.AUTH_REFUSED, f"{who} gave a token of type {kind!r}; only Bearer can be used.")
    # NaN compares with nothing: it ends as the least.
    return token, min(max(0.0, expires_s - MARGIN_S), LONGEST_S)


def _who(auth: Oauth2Auth) -> str:
    return f"The token endpoint {shown(auth.token_url.partition('?')[0], 100)}"
