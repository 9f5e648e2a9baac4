"""How plain protocols are asked to begin TLS."""

import re

from monitord.domain.check import Category
from monitord.domain.connection import Security
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial

_MAX_LINES = 100
_MAX_LDAP_BYTES = 4096

_SMTP_LINE = re.compile(rb"([2-5][0-9]{2})([ -]?)(.*)", re.DOTALL)
# LDAPMessage 1: ExtendedRequest with the OID of StartTLS, 1.3.6.1.4.1.1466.20037 (RFC 4511, 4.14.1).
_LDAP_START_TLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
# messageID 1, or 0 when nobody asked; [APPLICATION 24], whose length may have any form (Active Directory always takes
# four bytes for it); and the ENUMERATED result.
_LDAP_ANSWER = re.compile(
    rb"\x02\x01([\x00\x01])\x78(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....)\x0a\x01(.)", re.DOTALL
)
_LDAP_RESULTS = {1: "operations error", 2: "protocol error", 8: "stronger authentication required", 52: "unavailable"}
# Length 8, code 80877103 (Postgres, "SSL Session Encryption").
_POSTGRES_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


async def request(channel: Channel, security: Security, trial: Trial) -> None:
    """Ask the server to begin TLS, in its own protocol. Raises ``StepError`` when it won't, or does not speak it."""
    with trial.phase("ttfb"):
        await _REQUESTS[security](channel)
    trial.note("tls", f"{channel.peer.authority} agreed to begin TLS.")


async def _smtp(channel: Channel) -> None:
    code, lines = await _smtp_reply(channel, "a new connection")
    if code != 220:
        raise StepError(_unwilling(channel, "SMTP", f"its greeting is {code} {_joined(lines)}"))
    await channel.send(b"EHLO monitord.invalid\r\n")
    code, lines = await _smtp_reply(channel, "EHLO")
    if code != 250:
        raise StepError(_refused(channel, "SMTP", f"it answered EHLO with {code} {_joined(lines)}"))
    # The first line names the server, the others what it offers (RFC 5321, 4.1.1.1).
    if not any(line.strip().upper() == b"STARTTLS" for line in lines[1:]):
        raise StepError(_refused(channel, "SMTP", "it does not offer STARTTLS"))
    await channel.send(b"STARTTLS\r\n")
    code, lines = await _smtp_reply(channel, "STARTTLS")
    if code != 220:
        raise StepError(_refused(channel, "SMTP", f"it answered {code} {_joined(lines)}"))


def _joined(lines: list[bytes]) -> str:
    return shown(b" ".join(lines)[:320], 80)


async def _smtp_reply(channel: Channel, what: str) -> tuple[int, list[bytes]]:
    """Return the code and the lines of a reply, which may have several (RFC 5321, 4.2)."""
    lines: list[bytes] = []
    for _ in range(_MAX_LINES):
        line = await channel.line()
        match = _SMTP_LINE.fullmatch(line)
        if match is None:
            raise StepError(_not_spoken(channel, "SMTP", line))
        lines.append(match[3])
        if match[2] != b"-":
            return int(match[1]), lines
    raise StepError(_endless(channel, what))


async def _imap(channel: Channel) -> None:
    greeting = await channel.line()
    words = greeting.upper()
    if words.startswith(b"* BYE"):
        raise StepError(_unwilling(channel, "IMAP", f"it greets with {shown(greeting, 80)!r}"))
    if words.startswith(b"* PREAUTH"):
        raise StepError(_refused(channel, "IMAP", "it greets with PREAUTH, after which there is no STARTTLS"))
    if not words.startswith(b"* OK"):
        raise StepError(_not_spoken(channel, "IMAP", greeting))
    await channel.send(b"m1 STARTTLS\r\n")
    for _ in range(_MAX_LINES):
        line = await channel.line()
        words = line.upper()
        if words.startswith(b"M1 OK"):
            return
        if words.startswith((b"M1 NO", b"M1 BAD", b"* BYE")):
            raise StepError(_refused(channel, "IMAP", f"it answered {shown(line, 80)!r}"))
        if not line.startswith(b"* "):
            raise StepError(_not_spoken(channel, "IMAP", line))
    raise StepError(_endless(channel, "STARTTLS"))


async def _pop3(channel: Channel) -> None:
    greeting = await channel.line()
    if not greeting.startswith(b"+OK"):
        raise StepError(
            _unwilling(channel, "POP3", f"it greets with {shown(greeting, 80)!r}")
            if greeting.startswith(b"-ERR")
            else _not_spoken(channel, "POP3", greeting)
        )
    await channel.send(b"STLS\r\n")
    line = await channel.line()
    if line.startswith(b"-ERR"):
        raise StepError(_refused(channel, "POP3", f"it answered {shown(line, 80)!r}"))
    if not line.startswith(b"+OK"):
        raise StepError(_not_spoken(channel, "POP3", line))


async def _ldap(channel: Channel) -> None:
    """The answer is LDAPMessage { messageID, ExtendedResponse { resultCode, ... } } in BER (RFC 4511, 4.12)."""
    await channel.send(_LDAP_START_TLS)
    tag, size = await _ber_header(channel)
    if tag != 0x30 or size > _MAX_LDAP_BYTES:
        raise StepError(_not_spoken(channel, "LDAP", bytes([tag])))
    message = await channel.exactly(size)
    match = _LDAP_ANSWER.match(message)
    if match is None:
        raise StepError(_not_spoken(channel, "LDAP", message))
    number, result = match[1][0], match[2][0]
    told = f"result code {result}" + (f" ({_LDAP_RESULTS[result]})" if result in _LDAP_RESULTS else "")
    if not number:
        # Unasked, as servers say that they hang up (RFC 4511, 4.4.1).
        raise StepError(_unwilling(channel, "LDAP", f"it hangs up with {told}"))
    if result:
        raise StepError(_refused(channel, "LDAP", f"it answered with {told}"))


async def _ber_header(channel: Channel) -> tuple[int, int]:
    tag, first = await channel.exactly(2)
    if first < 0x80:
        return tag, first
    count = first & 0x7F
    if not 1 <= count <= 4:
        return tag, _MAX_LDAP_BYTES + 1
    return tag, int.from_bytes(await channel.exactly(count), "big")


async def _postgres(channel: Channel) -> None:
    await channel.send(_POSTGRES_SSL_REQUEST)
    answer = await channel.exactly(1)
    if answer == b"N":
        raise StepError(_refused(channel, "Postgres", "it does not offer TLS"))
    if answer == b"E":
        # An error message follows, for which nobody vouches (CVE-2024-10977): its text is not read. And other servers'
        # words for an error begin with the same letter.
        raise StepError(
            Failure(
                Category.PROTOCOL_INVALID,
                f"{channel.peer.authority} answers the request for TLS with an error: either it serves nobody now, or "
                "it is no Postgres.",
            )
        )
    if answer != b"S":
        raise StepError(_not_spoken(channel, "Postgres", answer))


_REQUESTS = {
    Security.STARTTLS_SMTP: _smtp,
    Security.STARTTLS_IMAP: _imap,
    Security.STARTTLS_POP3: _pop3,
    Security.STARTTLS_LDAP: _ldap,
    Security.STARTTLS_POSTGRES: _postgres,
}


def _refused(channel: Channel, protocol: str, why: str) -> Failure:
    return Failure(Category.TLS_REQUIRED, f"{channel.peer.authority} won't begin TLS over {protocol}: {why}.")


def _unwilling(channel: Channel, protocol: str, why: str) -> Failure:
    return Failure(Category.PROTOCOL_REFUSED, f"{channel.peer.authority} won't serve over {protocol}: {why}.")


def _not_spoken(channel: Channel, protocol: str, data: bytes) -> Failure:
    return Failure(
        Category.PROTOCOL_INVALID,
        f"What answers at {channel.peer.authority} does not speak {protocol}: it says {shown(data[:32])!r}.",
    )


def _endless(channel: Channel, what: str) -> Failure:
    return Failure(
        Category.PROTOCOL_INVALID, f"The answer of {channel.peer.authority} to {what} has more than {_MAX_LINES} lines."
    )
