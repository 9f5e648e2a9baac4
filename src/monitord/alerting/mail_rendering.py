"""Notices as mails: text and HTML from templates, whatever stands in them (I12)."""

from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import structlog
from jinja2.sandbox import ImmutableSandboxedEnvironment

from monitord.alerting.samples import samples
from monitord.domain.instant import Instant, to_datetime
from monitord.domain.notice import Notice, NoticeKind, clean
from monitord.domain.wording import badge, digest_line, duration, facts, headline, milliseconds, moment

SUBJECT_CHARS = 200
HTML, TEXT = "mail.html.j2", "mail.txt.j2"

_BAD = frozenset({NoticeKind.DOWN, NoticeKind.REMINDER, NoticeKind.ESCALATION, NoticeKind.FAULTED})
_GOOD = frozenset({NoticeKind.UP, NoticeKind.OUTAGE_OVER, NoticeKind.SLOW_OVER})
_ODD = frozenset({NoticeKind.DEGRADED, NoticeKind.SLOW, NoticeKind.CERTIFICATE})

_log = structlog.get_logger(__name__)


class TemplateError(Exception):
    """A template of the operator's can't be used. The text says which, and why."""


class MailRenderer:
    """Makes messages. With a folder of the operator's, its ``mail.html.j2`` and ``mail.txt.j2`` replace our own.

    Templates run in a sandbox and get values alone (T6): ``notice`` (``domain.notice.Notice``), ``headline``,
    ``badge``, ``tone`` (bad, good, odd or plain), ``facts`` (pairs of label and value), ``lines`` (of a digest: pairs
    of status and line), ``evidence`` (lines), ``picture`` (where HTML takes it from; empty: there is none) and
    ``picture_url``.
    """

    def __init__(self, sender: str, *, sender_name: str = "monitord", folder: Path | None = None) -> None:
        """Take the address that mails come from.

        Raises:
            TemplateError: a template in ``folder`` doesn't render.

        """
        self._sender = sender
        self._from = formataddr((clean(sender_name), sender))
        self._domain = sender.rpartition("@")[2]
        self._own = _environment(jinja2.PackageLoader("monitord.alerting"))
        self._environment = self._own
        if folder is not None:
            both = jinja2.ChoiceLoader([jinja2.FileSystemLoader(folder), jinja2.PackageLoader("monitord.alerting")])
            self._environment = _environment(both)
            self._try_out(folder)

    def message(self, notice: Notice, recipient: str, sent_at: Instant) -> EmailMessage:
        """Return a mail. The same notice has the same Message-ID in each attempt (I4)."""
        message = EmailMessage(policy=SMTP)
        message["From"] = self._from
        message["To"] = recipient
        message["Subject"] = clean(headline(notice), SUBJECT_CHARS)
        message["Date"] = format_datetime(to_datetime(sent_at))
        message["Message-ID"] = self._id(notice.key)
        if notice.replies_to:
            message["In-Reply-To"] = self._id(notice.replies_to)
            message["References"] = self._id(notice.replies_to)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notes in answer
        if notice.unsubscribe_url and notice.kind is not NoticeKind.CONFIRMATION:
            message["List-Unsubscribe"] = f"<{notice.unsubscribe_url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
        text, html, picture = self._bodies(notice)
        message.set_content(text)
        message.add_alternative(html, subtype="html")
        if picture:
            _attach_picture(message, notice, picture)
        return message

    def _bodies(self, notice: Notice) -> tuple[str, str, str]:
        """Return text, HTML, and the Content-ID of the picture in it."""
        picture = f"picture.{notice.key}@{self._domain}" if notice.picture and notice.picture.content else ""
        values = _values(notice, f"cid:{picture}" if picture else "")
        try:
            return self._render(self._environment, TEXT, values), self._render(self._environment, HTML, values), picture
        except (
            Exception
        ) as error:  # an operator's template may raise whatever Python does: the alert goes out all the same
            _log.warning("mail_template_failed", reason=str(error), kind=notice.kind.value)
            return self._render(self._own, TEXT, values), self._render(self._own, HTML, values), picture

    def _render(self, environment: jinja2.Environment, name: str, values: dict[str, Any]) -> str:
        rendered = environment.get_template(name).render(values)
        # Lone surrogates have no UTF-8, and NUL ends a line of some readers.
        return rendered.encode("utf-8", "replace").decode().replace("\0", "")

    def _id(self, key: str) -> str:
        return f"<{key}@{self._domain}>"

    def _try_out(self, folder: Path) -> None:
        for notice in samples():
            for name in (TEXT, HTML):
                try:
                    self._render(self._environment, name, _values(notice, ""))
                except jinja2.TemplateSyntaxError as error:
                    raise TemplateError(f"{folder / name}, line {error.lineno}: {error}") from error
                except (jinja2.TemplateError, TypeError, ValueError, AttributeError) as error:
                    raise TemplateError(f"{folder / name} does not render a {notice.kind}: {error}") from error


def _environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"moment": moment, "duration": duration, "milliseconds": milliseconds}
    return environment


def _values(notice: Notice, picture: str) -> dict[str, Any]:
    return {
        "notice": msgspec.structs.replace(notice, picture=None),
        "headline": clean(headline(notice), SUBJECT_CHARS),
        "badge": badge(notice),
        "tone": _tone(notice.kind),
        "facts": [(label, clean(value, 500)) for label, value in facts(notice)] if _has_facts(notice) else [],
        "lines": [(line.status.name, clean(digest_line(line, notice.time_zone), 500)) for line in notice.lines],
        "picture": picture,
        "picture_url": notice.picture.url if notice.picture is not None else "",
        "evidence": list(_evidence(notice)),
    }


def _has_facts(notice: Notice) -> bool:
    return notice.kind not in (NoticeKind.CONFIRMATION, NoticeKind.DIGEST)


def _evidence(notice: Notice) -> Iterator[str]:
    yield from (clean(line) for line in notice.evidence)


def _tone(kind: NoticeKind) -> str:
    for tone, kinds in (("bad", _BAD), ("good", _GOOD), ("odd", _ODD)):
        if kind in kinds:
            return tone
    return "plain"


def _attach_picture(message: EmailMessage, notice: Notice, picture: str) -> None:
    assert notice.picture is not None
    html = message.get_body(("html",))
    assert isinstance(html, EmailMessage)
    main, _, sub = notice.picture.media_type.partition("/")
    html.add_related(
        notice.picture.content, main, sub or "png", cid=f"<{picture}>", filename=f"screenshot.{sub or 'png'}"
    )
