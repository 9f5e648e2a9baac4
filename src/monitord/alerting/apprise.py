"""Services that have no channel of their own, through the library apprise.

The library is blocking and has an HTTP client of its own, which our policy on addresses does not see. So it is allowed
only services whose hosts are the vendor's and fixed (T1): those of ``SERVICES``, and of these the ones that the
operator names. It runs in a few threads of its own. It is an optional extra, and imported when it is first needed:
that takes about 1.5 s of CPU and 40 MB.
"""

import asyncio
import logging
import re
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TYPE_CHECKING

from monitord.alerting.markup import changes, fit, join_within, shown_facts, web_link
from monitord.alerting.outcomes import Row, permanent, retry
from monitord.domain.contacts import AppriseContact, Channel
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.notice import Notice, NoticeKind
from monitord.domain.wording import headline

if TYPE_CHECKING:
    from apprise import NotifyBase

SERVICES: Mapping[str, str] = MappingProxyType(
    {
        "gchat": "chat.googleapis.com",
        "ifttt": "maker.ifttt.com",
        "ilert": "api.ilert.com",
        "incidentio": "api.incident.io",
        "join": "joinjoaomgcd.appspot.com",
        "pagertree": "api.pagertree.com",
        "pbul": "api.pushbullet.com",
        "pover": "api.pushover.net",
        "prowl": "api.prowlapp.com",
        "psafers": "www.pushsafer.com",
        "signl4": "connect.signl4.com",
        "spike": "api.spike.sh",
        "splunk": "alert.victorops.com",
        "twilio": "api.twilio.com",
        "victorops": "alert.victorops.com",
        "wxteams": "webexapis.com, api.ciscospark.com",
    }
)
"""The schemes of apprise that may be allowed, and whom they talk to: over HTTPS, to these hosts whatever the URL says,
by the library's own source. One by which a user could name a host, such as ``json`` or ``ntfy``, must never be here."""

OUTCOMES: Mapping[str, Row] = MappingProxyType(
    {
        "not_allowed": permanent("the operator does not allow this service"),
        "invalid": permanent("apprise does not understand the URL"),
        "not_installed": retry("not set up: the operator has not installed monitord's extra apprise"),
        "busy": retry("other messages are still being sent"),
        "failed": retry("the service did not take it"),
        "timeout": Row(Outcome.AMBIGUOUS, "no end in time; it may have arrived"),
    }
)
"""The library tells no more of an attempt than whether the service took it."""

THREADS = 4
_URL = re.compile(r"([a-z0-9]+)://[\x21-\x7e]+")
_TITLE_CHARS = 250
_BODY_CHARS = 3000
_CONNECT_S = 5.0
_TYPES = {
    NoticeKind.UP: "success",
    NoticeKind.OUTAGE_OVER: "success",
    NoticeKind.SLOW_OVER: "success",
    NoticeKind.DOWN: "failure",
    NoticeKind.REMINDER: "failure",
    NoticeKind.ESCALATION: "failure",
    NoticeKind.FAULTED: "failure",
    NoticeKind.DIGEST: "info",
    NoticeKind.TEST: "info",
}


class AppriseSender:
    """Sends notices through apprise."""

    def __init__(self, allowed: Collection[str], *, threads: int = THREADS) -> None:
        """Take the schemes that the operator allows.

        Raises:
            ValueError: one of them is none of ``SERVICES``.

        """
        if unknown := sorted(set(allowed) - SERVICES.keys()):
            known = ", ".join(sorted(SERVICES))
            raise ValueError(f"apprise may not be used for {', '.join(unknown)}; it may be for: {known}")
        self._allowed = frozenset(allowed)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="apprise")

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        """Try once; see ``dispatcher.Send``. A thread whose time is up ends by the library's own timeouts."""
        assert isinstance(channel, AppriseContact)
        matched = _URL.fullmatch(channel.url.value)
        if matched is None:
            return _attempt("invalid")
        if matched.group(1) not in self._allowed:
            return _attempt("not_allowed")
        begun, given_up = threading.Event(), threading.Event()

        def work() -> str:
            begun.set()
            return "busy" if given_up.is_set() else _send(matched.group(1), channel.url.value, notice, timeout_s)

        try:
            async with asyncio.timeout(timeout_s):
                return _attempt(await asyncio.get_running_loop().run_in_executor(self._executor, work))
        except TimeoutError:
            given_up.set()  # before looking: whatever has not begun by then never sends
            return _attempt("timeout" if begun.is_set() else "busy")

    def close(self) -> None:
        """Begin nothing more, and wait for nothing."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _attempt(code: str) -> Attempt:
    if code == "sent":
        return Attempt(outcome=Outcome.ACCEPTED, code="apprise.sent")
    row = OUTCOMES[code]
    return Attempt(outcome=row.outcome, code=f"apprise.{code}", detail=row.says, disables_contact=row.disables)


def _send(scheme: str, url: str, notice: Notice, timeout_s: float) -> str:
    """Send from a thread, and return how it ended, by ``OUTCOMES``."""
    try:
        return _send_by_library(scheme, url, notice, timeout_s)
    except ImportError:
        return "not_installed"
    except Exception:  # the guard of this thread: what a foreign library raises may tell of the URL (T15)
        return "failed"


def _send_by_library(scheme: str, url: str, notice: Notice, timeout_s: float) -> str:
    import apprise

    _silence()
    asset = apprise.AppriseAsset(
        app_id="monitord",
        app_desc="monitord",
        async_mode=False,
        http_redirects=False,
        default_service_retry=0,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if service is None or not _is_of(service, scheme):
        return "invalid"
    # What a URL may ask for otherwise, by ?verify=, ?redirect=, ?rto= and the like.
    service.verify_certificate = True
    service.redirects = False
    service.socket_connect_timeout = min(_CONNECT_S, timeout_s)
    service.socket_read_timeout = timeout_s
    service.retry = 0
    service.overflow_mode = apprise.OverflowMode.TRUNCATE
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    taken = sender.notify(
        title=fit(headline(notice), _TITLE_CHARS),
        body=body_of(notice),
        notify_type=apprise.NotifyType(_TYPES.get(notice.kind, "warning")),
        body_format=apprise.NotifyFormat.TEXT,
        interpret_escapes=False,
    )
    return "sent" if taken else "failed"


def _is_of(service: "NotifyBase", scheme: str) -> bool:
    """Return whether the library takes the URL for the same service as we do (T3), and speaks TLS to it."""
    secure = service.secure_protocol
    return scheme in ((secure,) if isinstance(secure, str) else tuple(secure or ()))


def _silence() -> None:
    """Keep the library from logging: it tells of URLs, and of what services answer (T15)."""
    logger = logging.getLogger("apprise")
    logger.disabled = True
    logger.propagate = False


def body_of(notice: Notice) -> str:
    """Return the text below the headline; the library cuts it to what the service takes."""
    lines = [f"{label}: {value}" for label, value in shown_facts(notice, 400)]
    lines += changes(notice, 300)
    if link := web_link(notice.link):
        lines.append(link)
    lines += [line for each in notice.evidence if (line := fit(each, 200)).strip()]
    return join_within(lines, _BODY_CHARS) or headline(notice)
