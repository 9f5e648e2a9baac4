"""What mails say: whatever stands in a notice makes a valid message (I12)."""

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.alerting.mail_rendering import MailRenderer, TemplateError
from monitord.alerting.samples import samples
from monitord.domain.notice import Notice, NoticeKind, Picture, Subject, clean

RENDERER = MailRenderer("alerts@example.org", sender_name="monitord, the watcher")
SAMPLES = {notice.kind: notice for notice in samples()}
NASTY = st.text(st.characters(), max_size=60) | st.sampled_from(
    [
        "\r\nBcc: eve@example.org",
        "a\x0bb\x0cc\x1cd\x85e\u2028f",
        "{{ 7 * 7 }}",
        "<script>alert(1)</script>",
        "\ud800",
        "=?utf-8?q?x?=",
    ]
)


def message_of(notice: Notice, renderer: MailRenderer = RENDERER) -> EmailMessage:
    """Render, send over the wire as bytes, and read again."""
    data = renderer.message(notice, "ann@example.org", notice.at).as_bytes()
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    read = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    assert not read.defects
    return read


def bodies(message: EmailMessage) -> tuple[str, str]:
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


def test_there_is_a_sample_of_every_kind() -> None:
    assert set(SAMPLES) == set(NoticeKind)


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_kind_has_all_there_is_to_know(kind: NoticeKind) -> None:
    notice = SAMPLES[kind]
    message = message_of(notice)
    for body in bodies(message):
        if notice.subject is not None:
            assert notice.subject.name in body
            assert notice.subject.target in body
        for line in notice.lines:
            assert line.subject.name in body
        if notice.code:
            assert f"{notice.code[:4]} {notice.code[4:]}" in body
        if notice.link:
            assert notice.link in body
    assert message["Message-ID"] == f"<{notice.key}@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"


def test_a_recovery_answers_its_outage() -> None:
    up = message_of(SAMPLES[NoticeKind.UP])
    assert up["In-Reply-To"] == up["References"] == message_of(SAMPLES[NoticeKind.DOWN])["Message-ID"]
    assert up["Subject"] == "[UP] Web shop - works again after 34 min"


def test_one_click_ends_them_but_not_a_question_that_has_no_answer_yet() -> None:
    down = message_of(SAMPLES[NoticeKind.DOWN])
    assert down["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert down["List-Unsubscribe"] == f"<{SAMPLES[NoticeKind.DOWN].unsubscribe_url}>"
    assert message_of(SAMPLES[NoticeKind.CONFIRMATION])["List-Unsubscribe"] is None


def test_a_screenshot_stands_in_the_page() -> None:
    picture = Picture(url="https://example.org/p", content=b"\x89PNG...")
    message = message_of(msgspec.structs.replace(SAMPLES[NoticeKind.DOWN], picture=picture))
    (attached,) = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert attached.get_content() == picture.content
    assert f'src="cid:{attached["Content-ID"][1:-1]}"' in bodies(message)[1]


@given(NASTY, NASTY, NASTY, NASTY)
def test_whatever_stands_in_it_it_is_one_valid_message(name: str, target: str, reason: str, proof: str) -> None:
    """(I12), (T19), (T6)"""
    subject = Subject(id=1, name=clean(name), kind="http", target=clean(target))
    notice = msgspec.structs.replace(
        SAMPLES[NoticeKind.DOWN], subject=subject, message=reason, evidence=(proof,), contact_name=name
    )
    message = message_of(notice)
    assert message["To"] == "ann@example.org"
    assert message["Bcc"] is None
    _, html = bodies(message)
    assert "<script>alert" not in html
    assert "49" not in html or "49" in name + target + reason + proof


def test_an_operators_template_replaces_ours(tmp_path: Path) -> None:
    (tmp_path / "mail.txt.j2").write_text("{{ badge }}: {{ headline }}\n")
    text, html = bodies(message_of(SAMPLES[NoticeKind.DOWN], MailRenderer("a@example.org", folder=tmp_path)))
    assert text.startswith("DOWN: [DOWN] Web shop")
    assert "What the check saw" in html


@pytest.mark.parametrize("template", ["{{ badge", "{{ nothing }}", "{{ notice.key.__class__.__mro__[1] }}"])
def test_a_template_that_does_not_render_is_told_at_the_start(tmp_path: Path, template: str) -> None:
    """(T20), (T6): what reaches for Python's insides is refused by the sandbox."""
    (tmp_path / "mail.html.j2").write_text(template)
    with pytest.raises(TemplateError, match=r"mail\.html\.j2"):
        MailRenderer("a@example.org", folder=tmp_path)


def test_one_that_fails_on_a_notice_is_replaced_for_it(tmp_path: Path) -> None:
    (tmp_path / "mail.txt.j2").write_text("{{ 1 / (notice.message | length - 4) }}")
    renderer = MailRenderer("a@example.org", folder=tmp_path)
    odd = msgspec.structs.replace(SAMPLES[NoticeKind.DOWN], message="four")
    assert "Web shop" in bodies(message_of(odd, renderer))[0]
