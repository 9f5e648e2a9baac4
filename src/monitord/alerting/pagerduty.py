"""A service of PagerDuty, by the Events API v2 (https://developer.pagerduty.com/docs/send-alert-event).

What begins or goes on is a ``trigger``, what is over a ``resolve`` under the same ``dedup_key``: the incident.

An outage that was over before it could be told is a ``resolve`` alone. PagerDuty opens an alert for a trigger and calls
whoever is on duty, which nobody wants for what is over; and a trigger whose answer was lost may have opened one, which
this closes. Where there is none, PagerDuty drops it.

A test is a ``trigger`` of the severity ``info``, for whoever asked for it to see and to resolve.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from monitord.alerting.http_delivery import HttpDelivery, Post
from monitord.alerting.markup import changes, fit, shown_facts, shrink, web_link
from monitord.alerting.outcomes import HTTP, Answer, Outcomes, Said, gone, json_in, permanent, text_in, words_of
from monitord.domain.contacts import Channel, PagerDutyContact
from monitord.domain.contacts.pagerduty import PagerDutyRegion
from monitord.domain.delivery import Attempt
from monitord.domain.health import Status
from monitord.domain.instant import to_datetime
from monitord.domain.notice import Notice, NoticeKind
from monitord.domain.wording import headline

HOSTS: Mapping[PagerDutyRegion, str] = MappingProxyType(
    {
        PagerDutyRegion.US: "https://events.pagerduty.com",
        PagerDutyRegion.EU: "https://events.eu.pagerduty.com",
    }
)
"""https://support.pagerduty.com/main/docs/service-regions"""

OUTCOMES: Outcomes = {
    **HTTP,  # https://developer.pagerduty.com/docs/events-api-v2-overview#response-codes--retry-logic
    "invalid_routing_key": gone("PagerDuty knows no such integration key"),
    400: permanent("PagerDuty does not understand the event"),
}

_RESOLVES = frozenset({NoticeKind.UP, NoticeKind.OUTAGE_OVER, NoticeKind.SLOW_OVER})
_TOPICS = {NoticeKind.SLOW: "slow", NoticeKind.SLOW_OVER: "slow", NoticeKind.CERTIFICATE: "certificate"}
_SEVERITIES = {
    NoticeKind.DOWN: "critical",
    NoticeKind.REMINDER: "critical",
    NoticeKind.ESCALATION: "critical",
    NoticeKind.FAULTED: "error",
    NoticeKind.OPERATOR: "error",
    NoticeKind.DEGRADED: "warning",
    NoticeKind.SLOW: "warning",
    NoticeKind.CERTIFICATE: "warning",
    NoticeKind.TEST: "info",
    NoticeKind.CONFIRMATION: "info",
}
MAX_SUMMARY = 1024
MAX_KEY = 255
MAX_BYTES = 400_000
"""PagerDuty takes 512 KB."""


class PagerDutySender:
    """Triggers and resolves alerts of PagerDuty."""

    def __init__(self, delivery: HttpDelivery, *, hosts: Mapping[PagerDutyRegion, str] = HOSTS) -> None:
        """Take what posts, and where PagerDuty takes events in each of its regions."""
        self._delivery = delivery
        self._hosts = hosts

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        """Try once; see ``dispatcher.Send``."""
        assert isinstance(channel, PagerDutyContact)
        key = channel.routing_key.value
        url = f"{self._hosts[channel.region]}/v2/enqueue"
        post = Post(url=url, body=event(notice, key), secrets=(key,))
        return await self._delivery.post("pagerduty", post, OUTCOMES, timeout_s, _read)


def _read(answer: Answer) -> Said:
    body = json_in(answer.body)
    errors = body.get("errors")
    told = [each for each in errors if isinstance(each, str)] if isinstance(errors, list) else []
    code = "invalid_routing_key" if answer.status == 400 and any("routing_key" in each for each in told) else None
    message = words_of(body, "message")
    return Said(code=code, text=": ".join([message, *told]) if message else text_in(answer.body))


def event(notice: Notice, routing_key: str) -> bytes:
    """Return the event for a notice, as JSON; of a long one the last lines are left out."""
    dedup_key = _dedup_key(notice)
    if notice.kind in _RESOLVES:
        resolve = {"routing_key": routing_key, "event_action": "resolve", "dedup_key": dedup_key}
        return msgspec.json.encode(resolve)
    lines = [*changes(notice, 500), *(fit(line, 500) for line in notice.evidence)]
    return shrink(lines, lambda few: _trigger(notice, routing_key, dedup_key, few), MAX_BYTES)


def _dedup_key(notice: Notice) -> str:
    """Return what ties a recovery to what it ends: one alert of PagerDuty for each monitor and topic.

    Not the incident: a monitor that was degraded first, and then down, is well again by one recovery.
    """
    if notice.subject is None:
        return notice.key[:MAX_KEY]
    return f"monitord-{_TOPICS.get(notice.kind, 'status')}-{notice.subject.id}"


def _trigger(notice: Notice, routing_key: str, dedup_key: str, lines: Sequence[str]) -> bytes:
    subject = notice.subject
    details: dict[str, Any] = dict(shown_facts(notice, 2000))
    if lines:
        details["Lines"] = list(lines)
    payload = {
        "summary": fit(headline(notice), MAX_SUMMARY),
        "source": fit(subject.target, 500).strip() or "monitord" if subject is not None else "monitord",
        "severity": _severity(notice),
        "timestamp": to_datetime(notice.at).isoformat(),
        "custom_details": details,
    }
    if notice.category:
        payload["class"] = fit(notice.category, 200)
    if subject is not None and (name := fit(subject.name, 200).strip()):
        payload["component"] = name
    body: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": "monitord",
        "payload": payload,
    }
    if link := web_link(notice.link):
        body["client_url"] = link
        body["links"] = [{"href": link, "text": "Open in monitord"}]
    if notice.picture is not None and (picture := web_link(notice.picture.url)).startswith("https:"):
        body["images"] = [{"src": picture, "alt": "Screenshot"}]
    return msgspec.json.encode(body)


def _severity(notice: Notice) -> str:
    if notice.kind is NoticeKind.DIGEST:  # none is made for what machines read; should one come, it is no less urgent
        return "critical" if any(line.status is Status.DOWN for line in notice.lines) else "info"
    return _SEVERITIES[notice.kind]
