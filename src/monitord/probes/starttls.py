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
# Length 8, code 80877103 (Postgres, "SSL Session Encryption").
_POSTGRES_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


async def request(channel: Channel, security: Security, trial: Trial) -> None:
    """Ask the server to begin TLS, in its own protocol. Raises ``StepError`` when it won't, or does not speak it."""
    with trial.phase("ttfb"):
        await _REQUESTS[security](channel)
    trial.note("tls", f"{channel.peer.authority} agreed to begin TLS.")


async def _smtp(channel: Channel) -> None:
    code, _ = await _smtp_reply(channel, "its greeting")
    if code != 220:
        raise StepError(_refused(channel, "SMTP", f"its greeting has code {code}"))
    await channel.send(b"EHLO monitord.invalid\r\n")
    code, lines = await _smtp_reply(channel, "EHLO")
    if code != 250 or not any(line.strip().upper() == b"STARTTLS" for line in lines):
        raise StepError(_refused(channel, "SMTP", "it does not offer STARTTLS"))
    await channel.send(b"STARTTLS\r\n")
    code, lines = await _smtp_reply(channel, "STARTTLS")
    if code != 220:
        raise StepError(_refused(channel, "SMTP", f"it answered {code} {shown(b' '.join(lines), 80)}"))


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
    if not greeting.upper().startswith(b"* OK"):
        raise StepError(
            _refused(channel, "IMAP", f"it greets with {shown(greeting, 80)!r}")
            if greeting.startswith(b"* ")
            else _not_spoken(channel, "IMAP", greeting)
        )
    await channel.send(b"m1 STARTTLS\r\n")
    for _ in range(_MAX_LINES):
        line = await channel.line()
        if line.upper().startswith(b"M1 OK"):
            return
        if not line.startswith(b"* "):
            raise StepError(_refused(channel, "IMAP", f"it answered {shown(line, 80)!r}"))
    raise StepError(_endless(channel, "STARTTLS"))


async def _pop3(channel: Channel) -> None:
    greeting = await channel.line()
    if not greeting.startswith(b"+OK"):
        raise StepError(
            _refused(channel, "POP3", f"it greets with {shown(greeting, 80)!r}")
            if greeting.startswith(b"-ERR")
            else _not_spoken(channel, "POP3", greeting)
        )
    await channel.send(b"STLS\r\n")
    line = await channel.line()
    if not line.startswith(b"+OK"):
        raise StepError(_refused(channel, "POP3", f"it answered {shown(line, 80)!r}"))


async def _ldap(channel: Channel) -> None:
    """The answer is LDAPMessage { messageID, ExtendedResponse { resultCode, ... } } in BER (RFC 4511, 4.12)."""
    await channel.send(_LDAP_START_TLS)
    tag, size = await _ber_header(channel)
    if tag != 0x30 or size > _MAX_LDAP_BYTES:
        raise StepError(_not_spoken(channel, "LDAP", bytes([tag])))
    message = await channel.exactly(size)
    # messageID 1, [APPLICATION 24], whose length may have any form, and the ENUMERATED result.
    match = re.match(rb"\x02\x01\x01\x78(?:[\x00-\x7f]|\x81.|\x82..)\x0a\x01(.)", message, re.DOTALL)
    if match is None:
        raise StepError(_not_spoken(channel, "LDAP", message))
    if match[1] != b"\0":
        raise StepError(_refused(channel, "LDAP", f"it answered with result code {match[1][0]}"))


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


def _not_spoken(channel: Channel, protocol: str, data: bytes) -> Failure:
    return Failure(
        Category.PROTOCOL_INVALID,
        f"What answers at {channel.peer.authority} does not speak {protocol}: it says {shown(data[:32])!r}.",
    )


def _endless(channel: Channel, what: str) -> Failure:
    return Failure(
        Category.PROTOCOL_INVALID, f"The answer of {channel.peer.authority} to {what} has more than {_MAX_LINES} lines."
    )
