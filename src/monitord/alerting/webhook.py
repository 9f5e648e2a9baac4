"""A URL of the user's own that takes alerts as JSON.

The request
===========

``POST`` with ``Content-Type: application/json``, the contact's own headers, and these:

``X-Monitord-Delivery``, ``Idempotency-Key``
    The ``id`` of the document. A message whose answer was lost is sent again under the same id: whoever has seen it
    can drop it.
``X-Monitord-Signature``
    Only with a signing key: ``t=<seconds since 1970>,v1=<HMAC-SHA256 in hexadecimal>`` of ``<t>.<body>`` under that
    key. Compute it over the bytes as received, compare in constant time, and refuse a ``t`` that is minutes away.

Any 2xx accepts. 408, 409, 425, 429 and 5xx are tried again for a day, ``Retry-After`` is heeded; so are 401, 403 and
404, which a receiver also answers while it is being deployed or its keys are changed. 410 switches the contact off;
every other status ends the delivery. Redirects are not followed.

The document, version 1
=======================

Fields are only ever added; what does not apply is null or empty. Moments are RFC 3339 in UTC.

================== ============ ====================================================================================
field              type         meaning
================== ============ ====================================================================================
version            integer      1
id                 string       names this message, the same for each attempt
thread             string       names the incident: the same from the outage to its recovery; empty: there is none
event              string       down, up, outage_over, degraded, slow, slow_over, certificate, faulted, reminder,
                                escalation, digest, operator, test, confirmation
test               boolean      whether someone only wanted to see that the contact works
at                 string       when that happened of which it tells
summary            string       the news in a line
contact            string       the contact's name
monitor            object|null  id (string), name, type, target; null for digests, tests and operator alerts
status             string       unknown, pending, up, degraded, down, maintenance, paused, faulted, unreachable
since              string|null  since when the outage has been going on, or went on
duration_s         number|null  how long it lasted, or has lasted so far
category           string       such as connect.refused; empty: nothing failed
message            string       what is wrong, as a sentence
status_code        integer|null of HTTP, where the monitor has one
response_ms        number|null
phases             array        of {name, ms}
expires_at         string|null  when the certificate ends
evidence           array        of strings: the last lines of the evidence, at most 40
screenshot_url     string|null
link               string|null  where to see more
lines              array        of a digest: {monitor, status, at, message}, at most 50
more_lines         integer      of a digest: how many more there are
================== ============ ====================================================================================
"""

import hashlib
import hmac
from typing import Any

import msgspec

from monitord.alerting.http_delivery import HttpDelivery, Post
from monitord.alerting.markup import fit, web_link
from monitord.alerting.outcomes import HTTP, Outcomes, gone, retry, secrets_of_url
from monitord.domain.contacts import Channel, WebhookContact
from monitord.domain.delivery import Attempt
from monitord.domain.instant import SECOND, Instant, to_datetime
from monitord.domain.notice import Line, Notice, NoticeKind, Subject
from monitord.domain.wording import headline

VERSION = 1

OUTCOMES: Outcomes = {
    **HTTP,
    401: retry("its credentials are refused"),
    403: retry("it refuses this sender"),
    404: retry("there is nothing at this address"),
    409: retry(),  # the same message is being taken at this moment (draft-ietf-httpapi-idempotency-key-header, 2.7)
    410: gone("the address is gone for good"),
}

_OWN = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-monitord-delivery",
        "x-monitord-signature",
    }
)
"""Headers that frame the message, or vouch for it: not the user's to set."""
_TEXT_CHARS = 2000


class WebhookSender:
    """Posts notices as JSON to what a contact names."""

    def __init__(self, delivery: HttpDelivery) -> None:
        """Take what posts."""
        self._delivery = delivery

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        """Try once; see ``dispatcher.Send``."""
        assert isinstance(channel, WebhookContact)
        body = msgspec.json.encode(document(notice))
        own = [("Idempotency-Key", notice.key), ("X-Monitord-Delivery", notice.key)]
        if channel.signing_key:
            signed = signature(channel.signing_key.value, body, self._delivery.now() // SECOND)
            own.append(("X-Monitord-Signature", signed))
        theirs = [(each.name, each.value) for each in channel.headers if each.name.lower() not in _OWN]
        hidden = [each.value for each in channel.headers if each.secret]
        # A credential comes as "Bearer x" or "Basic x": x alone is to be struck out as well.
        hidden += [word for value in hidden for word in value.split() if len(word) > 6]
        post = Post(
            url=channel.url,
            body=body,
            headers=(*theirs, *own),
            secrets=(*hidden, channel.signing_key.value, *secrets_of_url(channel.url)),
        )
        return await self._delivery.post("webhook", post, OUTCOMES, timeout_s)


def signature(key: str, body: bytes, now_s: int) -> str:
    """Return the value of ``X-Monitord-Signature`` for a body that is sent at a moment, in seconds since 1970."""
    digest = hmac.new(key.encode(), f"{now_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"


def document(notice: Notice) -> dict[str, Any]:
    """Return what is posted; the module tells what each field means."""
    return {
        "version": VERSION,
        "id": notice.key,
        "thread": notice.thread,
        "event": notice.kind.value,
        "test": notice.kind is NoticeKind.TEST,
        "at": _moment(notice.at),
        "summary": _text(headline(notice)),
        "contact": _text(notice.contact_name),
        "monitor": _monitor(notice.subject),
        "status": notice.status.name.lower(),
        "since": _moment(notice.since) if notice.since else None,
        "duration_s": notice.duration_s,
        "category": _text(notice.category),
        "message": _text(notice.message),
        "status_code": notice.status_code,
        "response_ms": notice.response_ms,
        "phases": [{"name": _text(phase.name), "ms": phase.ms} for phase in notice.phases],
        "expires_at": _moment(notice.expires_at) if notice.expires_at else None,
        "evidence": [_text(line) for line in notice.evidence],
        "screenshot_url": web_link(notice.picture.url) or None if notice.picture is not None else None,
        "link": web_link(notice.link) or None,
        "lines": [_line(line) for line in notice.lines],
        "more_lines": notice.more_lines,
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "monitor": _monitor(line.subject),
        "status": line.status.name.lower(),
        "at": _moment(line.at),
        "message": _text(line.message),
    }


def _monitor(subject: Subject | None) -> dict[str, str] | None:
    if subject is None:
        return None
    # The id is a string: JSON's readers that know only doubles would round it.
    return {
        "id": str(subject.id),
        "name": _text(subject.name),
        "type": subject.kind,
        "target": _text(subject.target),
    }


def _text(text: str) -> str:
    return fit(text, _TEXT_CHARS)


def _moment(at: Instant) -> str:
    return to_datetime(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
