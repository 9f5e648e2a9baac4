"""What is recorded while an HTTP check runs: raw facts, cheaply; they become words only if someone needs them."""

from monitord.domain.kinds import HttpCheck
from monitord.probes.dial import Dialled
from monitord.probes.failure import Failure
from monitord.probes.http_exchange import Exchange
from monitord.probes.http_request import Request
from monitord.probes.http_response import Response


class Hop:
    """One request of a check: the first, or one that a redirect led to."""

    __slots__ = ("dialled", "exchange", "request", "retried", "version")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.dialled: Dialled | None = None
        self.exchange: Exchange | None = None
        self.retried: Failure | None = None
        """What the fast TLS engine failed with before the judge was asked."""
        self.version: float | None = None
        """The version of HTTP that was agreed on, where the check leaves that open."""

    @property
    def response(self) -> Response | None:
        """The response, as far as it came."""
        return self.exchange.response if self.exchange is not None else None


class Run:
    """All that happened during one check."""

    __slots__ = ("asked_at", "authorization", "began_at", "check", "hops", "json_failure", "keyword", "token_hops")

    def __init__(self, check: HttpCheck, keyword: bytes, began_at: float) -> None:
        self.check = check
        self.keyword = keyword
        self.began_at = began_at
        """Of ``time.monotonic``."""
        self.asked_at = began_at
        """The same for the first request: what was done for a token before it is not the target's time."""
        self.authorization = ""
        """What the Authorization header says, towards the check's own origin."""
        self.token_hops: list[Hop] = []
        """Requests for a token. Told as steps alone: what was answered is nobody's business (T15)."""
        self.hops: list[Hop] = []
        self.json_failure: Failure | None = None
        """Which condition on JSON does not hold."""
