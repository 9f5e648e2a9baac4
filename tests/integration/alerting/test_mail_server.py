"""The dialogue with a mail server: every answer it can give, and every place where it can end (I4)."""

import ssl
from pathlib import Path

import pytest

from monitord.alerting.mail_server import MailAccount, MailServer
from monitord.alerting.smtp_outcomes import TABLE, Phase, refused, row_for
from monitord.domain.delivery import Attempt, Outcome
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.outbound import Outbound
from monitord.probes.resolver import SystemResolver
from tests.support.authority import Authority
from tests.support.smtp_server import CLOSE, SILENCE, MailSink, mail_sink

MESSAGE = b"Subject: hello\r\n\r\n.dots at the start\r\nbody\r\n"

ANSWERS = [
    (Phase.GREETING, 554, "5.3.2 no service", Outcome.RETRY, False),
    (Phase.AUTH, 535, "5.7.8 wrong password", Outcome.RETRY, False),
    (Phase.MAIL, 552, "5.3.4 message too big", Outcome.PERMANENT, False),
    (Phase.MAIL, 550, "5.1.8 who are you", Outcome.RETRY, False),
    (Phase.MAIL, 421, "4.3.2 going down", Outcome.RETRY, False),
    (Phase.RCPT, 552, "5.2.2 mailbox full", Outcome.RETRY, False),
    (Phase.RCPT, 452, "4.5.3 too many", Outcome.RETRY, False),
    (Phase.RCPT, 550, "5.1.1 no such user", Outcome.PERMANENT, True),
    (Phase.RCPT, 550, "5.2.1 mailbox closed", Outcome.PERMANENT, True),
    (Phase.RCPT, 550, "5.7.1 blocked by a list", Outcome.PERMANENT, False),
    (Phase.RCPT, 552, "over quota", Outcome.RETRY, False),
    (Phase.RCPT, 550, "no such user", Outcome.PERMANENT, True),
    (Phase.RCPT, 553, "name not allowed", Outcome.PERMANENT, True),
    (Phase.RCPT, 554, "refused", Outcome.PERMANENT, False),
    (Phase.RCPT, 450, "4.2.0 greylisted", Outcome.RETRY, False),
    (Phase.DATA, 552, "5.2.2 mailbox full", Outcome.RETRY, False),
    (Phase.DATA, 550, "5.1.1 no such user after all", Outcome.PERMANENT, True),
    (Phase.DATA, 554, "5.7.1 spam", Outcome.PERMANENT, False),
    (Phase.DATA, 451, "4.3.0 try again", Outcome.RETRY, False),
    (Phase.DATA, 250, "what?", Outcome.RETRY, False),
]


@pytest.mark.parametrize(("phase", "reply", "text", "outcome", "disables"), ANSWERS)
def test_every_answer_has_its_row(phase: Phase, reply: int, text: str, outcome: Outcome, disables: bool) -> None:
    attempt = refused(phase, reply, text)
    assert (attempt.outcome, attempt.disables_contact, attempt.code) == (outcome, disables, f"smtp.{reply}")
    assert text in attempt.detail


def test_every_row_has_its_answer() -> None:
    assert {row_for(phase, reply, text) for phase, reply, text, *_ in ANSWERS} == set(TABLE)


def way(ca_file: Path | None = None, deny: tuple[str, ...] = ()) -> Outbound:
    policy = EgressPolicy("private", deny=deny)
    return Outbound(Dialler(policy, SystemResolver()), policy, ca_file=ca_file)


def server(sink: MailSink, outbound: Outbound | None = None, host: str = "127.0.0.1", **account: str) -> MailServer:
    wish = {"security": "none"} | account
    return MailServer(MailAccount(host=host, port=sink.port, **wish), outbound or way())


async def send(made: MailServer, timeout_s: float = 5.0) -> Attempt:
    return await made.deliver("monitord@example.org", "ann@example.org", MESSAGE, timeout_s)


async def test_a_message_arrives_as_it_was_and_the_connection_is_kept() -> None:
    async with mail_sink() as sink:
        made = server(sink)
        attempts = [await send(made) for _ in range(3)]
        await made.close()
    assert [(each.outcome, each.code) for each in attempts] == [(Outcome.ACCEPTED, "smtp.250")] * 3
    assert sink.mails[0].content == MESSAGE
    assert (sink.mails[0].sender, sink.mails[0].recipient) == ("monitord@example.org", "ann@example.org")
    assert (len(sink.mails), sink.connections, sink.commands[-1]) == (3, 1, "QUIT")


@pytest.mark.parametrize(
    ("where", "answer", "outcome", "code"),
    [
        ("connect", "554 5.3.2 no", Outcome.RETRY, "smtp.554"),
        ("connect", CLOSE, Outcome.RETRY, "connect.failed"),
        ("connect", SILENCE, Outcome.RETRY, "timeout"),
        ("connect", "hello", Outcome.RETRY, "smtp.-1"),
        ("ehlo", CLOSE, Outcome.RETRY, "connect.lost"),
        ("mail", "421 4.3.2 closing", Outcome.RETRY, "smtp.421"),
        ("mail", CLOSE, Outcome.RETRY, "connect.lost"),
        ("mail", SILENCE, Outcome.RETRY, "timeout"),
        ("rcpt", "550 5.1.1 unknown", Outcome.PERMANENT, "smtp.550"),
        ("rcpt", "451 greylisted", Outcome.RETRY, "smtp.451"),
        ("rcpt", CLOSE, Outcome.RETRY, "connect.lost"),
        ("rcpt", SILENCE, Outcome.RETRY, "timeout"),
        ("data", "554 5.7.1 no", Outcome.PERMANENT, "smtp.554"),
        ("data", "451 later", Outcome.RETRY, "smtp.451"),
        ("dot", "554 5.7.1 spam", Outcome.PERMANENT, "smtp.554"),
        ("dot", "421 4.3.2 closing", Outcome.RETRY, "smtp.421"),
        ("dot", CLOSE, Outcome.AMBIGUOUS, "connect.lost"),
        ("dot", SILENCE, Outcome.AMBIGUOUS, "timeout"),
    ],
)
async def test_every_place_where_it_can_go_wrong(where: str, answer: str, outcome: Outcome, code: str) -> None:
    """(I4): the answer to the final dot is the only one whose loss leaves a doubt."""
    async with mail_sink(**{where: [answer]}) as sink:
        made = server(sink)
        attempt = await send(made, 0.3 if answer == SILENCE else 5.0)
        assert (attempt.outcome, attempt.code) == (outcome, code), attempt.detail
        assert (await send(made)).accepted
        await made.close()
    assert len(sink.mails) == (2 if where == "dot" else 1)


async def test_a_refused_recipient_leaves_the_connection_good_for_the_next() -> None:
    async with mail_sink(rcpt=["550 5.1.1 no"]) as sink:
        made = server(sink)
        assert (await send(made)).disables_contact
        assert (await send(made)).accepted
        await made.close()
    assert (sink.connections, "RSET" in sink.commands) == (1, True)


@pytest.mark.parametrize("end", [CLOSE, "421 4.4.2 idle too long"])
async def test_a_kept_connection_that_ended_costs_no_attempt(end: str) -> None:
    async with mail_sink() as sink:
        made = server(sink)
        assert (await send(made)).accepted
        sink.script["MAIL"] = [end]
        assert (await send(made)).accepted
        await made.close()
    assert (len(sink.mails), sink.connections) == (2, 2)


async def test_nobody_listens() -> None:
    async with mail_sink() as sink:
        pass
    attempt = await send(server(sink))
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "connect.failed")


async def test_the_policy_on_addresses_holds_for_mail_too() -> None:
    """(T1)"""
    async with mail_sink() as sink:
        attempt = await send(server(sink, way(deny=("127.0.0.0/8",))))
    assert (attempt.outcome, attempt.code, sink.connections) == (Outcome.RETRY, "policy.blocked", 0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_tls_and_signing_in(authority: Authority, security: str) -> None:
    context = authority.server("localhost")
    tls, implicit = (context, None) if security == "starttls" else (None, context)
    async with mail_sink(tls=tls, implicit_tls=implicit) as sink:
        made = server(sink, way(authority.ca_file), "localhost", security=security, username="me", password="pass word")
        attempt = await send(made)
        await made.close()
    assert attempt.accepted, attempt.detail
    assert any(command.startswith("AUTH ") for command in sink.commands)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_nobody_we_trust_gets_neither_password_nor_message(
    authority: Authority, security: str
) -> None:
    context: ssl.SSLContext = authority.server("localhost")
    tls, implicit = (context, None) if security == "starttls" else (None, context)
    async with mail_sink(tls=tls, implicit_tls=implicit) as sink:
        attempt = await send(server(sink, way(), "localhost", security=security, username="me", password="secret"))
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "tls"), attempt.detail
    assert not any("AUTH" in command or "MAIL" in command for command in sink.commands)


async def test_starttls_is_demanded(authority: Authority) -> None:
    """A server, or a man in the middle, that doesn't offer it gets no password."""
    async with mail_sink() as sink:
        sink.extensions = (*sink.extensions, "AUTH PLAIN")
        made = server(sink, way(authority.ca_file), "localhost", security="starttls", username="me", password="secret")
        attempt = await send(made)
    assert (attempt.outcome, attempt.code) == (Outcome.RETRY, "smtp.tls")
    assert [command.partition(" ")[0] for command in sink.commands] == ["EHLO"]


async def test_a_wrong_password_is_an_operators_matter(authority: Authority) -> None:
    """The address of the contact is not disabled for it."""
    async with mail_sink(tls=authority.server("localhost"), auth=["535 5.7.8 no", "535 5.7.8 no"]) as sink:
        made = server(sink, way(authority.ca_file), "localhost", security="starttls", username="me", password="secret")
        attempt = await send(made)
    assert (attempt.outcome, attempt.code, attempt.disables_contact) == (Outcome.RETRY, "smtp.535", False)
    assert "secret" not in attempt.detail
