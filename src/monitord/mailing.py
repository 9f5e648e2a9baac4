"""Builds what sends mail from the settings; and the preview of what it looks like."""

import base64
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from monitord.alerting.email import EmailSender
from monitord.alerting.mail_rendering import MailRenderer, TemplateError
from monitord.alerting.mail_server import MailAccount, MailServer
from monitord.alerting.postman import Postman
from monitord.alerting.samples import samples
from monitord.domain.errors import FailedPreconditionError
from monitord.domain.instant import Instant
from monitord.domain.notice import Notice, Picture
from monitord.probes.outbound import Outbound
from monitord.settings import Settings

_NOBODY = "monitord@example.org"


def mail_server(settings: Settings, outbound: Outbound) -> MailServer | None:
    """Return the mail server; None where none is set up.

    The original's variables alone mean Gmail, which takes nothing without a password.
    """
    if settings.smtp_email is None:
        return None
    if settings.smtp_password is None and settings.smtp_host == Settings.model_fields["smtp_host"].default:
        return None
    password = settings.smtp_password.get_secret_value() if settings.smtp_password is not None else ""
    account = MailAccount(
        host=settings.smtp_host,
        port=settings.mail_port,
        security=settings.smtp_security,
        username=(settings.smtp_username or settings.smtp_email) if password else "",
        password=password,
    )
    host = settings.smtp_email.rpartition("@")[2]
    return MailServer(account, outbound, local_hostname=host)


def renderer(settings: Settings) -> MailRenderer:
    """Return what makes mails; raise FailedPreconditionError for templates that can't be used (T20)."""
    sender_address = settings.smtp_email or _NOBODY
    try:
        return MailRenderer(sender_address, sender_name=settings.smtp_from_name, folder=settings.mail_templates)
    except TemplateError as error:
        raise FailedPreconditionError(
            f"MONITORD_MAIL_TEMPLATES: {error}. Correct it, or take it away to use monitord's own."
        ) from error


def sender(
    settings: Settings,
    server: MailServer,
    made: MailRenderer,
    now: Callable[[], Instant],
    picture: Callable[[str], Awaitable[Picture | None]],
) -> EmailSender:
    """Return the channel."""
    assert settings.smtp_email is not None
    return EmailSender(server, made, settings.smtp_email, now=now, picture=picture)


def postman(settings: Settings, server: MailServer, now: Callable[[], Instant]) -> Postman:
    """Return what sends mails about accounts."""
    assert settings.smtp_email is not None
    return Postman(server, settings.smtp_email, settings.smtp_from_name, now=now)


def preview(settings: Settings, folder: Path, picture: Path | None) -> Iterator[Path]:
    """Write a mail of each kind to a folder, as HTML, text and the message itself; yield each file."""
    folder.mkdir(parents=True, exist_ok=True)
    made = renderer(settings)
    shown = None
    if picture is not None:
        shown = Picture(url="https://monitord.example.org/screenshots/sample", content=picture.read_bytes())
    for notice in samples(shown):
        yield from _write(made, notice, folder)


def _write(made: MailRenderer, notice: Notice, folder: Path) -> Iterator[Path]:
    message = made.message(notice, "ann@example.org", notice.at)
    bodies = {"eml": message.as_bytes()}
    # A browser knows no Content-IDs: what it is to show has to stand in the page.
    picture = notice.picture.content if notice.picture is not None else b""
    inline = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    for suffix, kind in (("html", "html"), ("txt", "plain")):
        body = message.get_body((kind,))
        assert body is not None
        bodies[suffix] = re.sub('cid:[^"]+', inline, body.get_content()).encode()
    for suffix, content in bodies.items():
        path = folder / f"{notice.kind}.{suffix}"
        path.write_bytes(content)
        yield path
