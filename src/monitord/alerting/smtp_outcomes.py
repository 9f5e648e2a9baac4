"""What follows from a mail server's answer: one table, by the phase of the dialogue, the reply and its enhanced code.

Replies are RFC 5321, 4.2.3; enhanced status codes RFC 3463, such as ``5.1.1``. What a server says of this one message
or this one address ends it; what it says of us, our connection or our sender, an operator may mend within the day.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.notice import clean


class Phase(StrEnum):
    """How far the dialogue had come."""

    CONNECT = "connect"
    GREETING = "greeting"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


class Row(NamedTuple):
    """A row of the table: the first that fits decides."""

    phases: frozenset[Phase]
    reply: str
    """A pattern for the three digits."""
    enhanced: str
    """A pattern for the enhanced code; empty: whatever it is, or if there is none."""
    outcome: Outcome
    disables: bool
    why: str


_SESSION = frozenset({Phase.CONNECT, Phase.GREETING, Phase.TLS, Phase.AUTH})
_MAIL, _RCPT, _DATA = (frozenset({phase}) for phase in (Phase.MAIL, Phase.RCPT, Phase.DATA))
_NO_SUCH = r"5\.1\.(?:1|2|3|6|10)|5\.2\.1|5\.4\.4"
_POLICY = r"5\.7\.\d+|5\.3\.2"

TABLE = (
    Row(_SESSION, "...", "", Outcome.RETRY, False, "it refuses us, or our password, and no message"),
    Row(_MAIL, "5..", r"5\.3\.4|5\.2\.3", Outcome.PERMANENT, False, "the message is too big for the server"),
    Row(_MAIL, "...", "", Outcome.RETRY, False, "it refuses our sender, whatever the message"),
    Row(_RCPT, "5..", r"5\.2\.2|5\.5\.3", Outcome.RETRY, False, "the mailbox is full, or there are too many at once"),
    Row(_RCPT, "5..", _NO_SUCH, Outcome.PERMANENT, True, "there is no such mailbox, or it is closed"),
    Row(_RCPT, "5..", _POLICY, Outcome.PERMANENT, False, "a policy refuses; the mailbox may be there"),
    Row(_RCPT, "552", "", Outcome.RETRY, False, "over quota counts as 452 (RFC 5321, 4.5.3.1.10)"),
    Row(_RCPT, "55[0136]", "", Outcome.PERMANENT, True, "there is no such mailbox here"),
    Row(_RCPT, "5..", "", Outcome.PERMANENT, False, "it refuses the recipient"),
    Row(_DATA, "5..", r"5\.2\.2", Outcome.RETRY, False, "the mailbox is full"),
    Row(_DATA, "5..", _NO_SUCH, Outcome.PERMANENT, True, "there is no such mailbox: some servers look so late"),
    Row(_DATA, "5..", "", Outcome.PERMANENT, False, "it refuses the message"),
    Row(_RCPT | _DATA, "...", "", Outcome.RETRY, False, "not now, or an answer that makes no sense"),
)

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")


def row_for(phase: Phase, reply: int, text: str) -> Row:
    """Return the row that decides on a reply of a server that is no success."""
    found = _ENHANCED.match(text)
    enhanced = found[1] if found else ""
    return next(
        row
        for row in TABLE
        if phase in row.phases
        and re.fullmatch(row.reply, f"{reply:03}")
        and (not row.enhanced or re.fullmatch(row.enhanced, enhanced))
    )


def refused(phase: Phase, reply: int, text: str) -> Attempt:
    """Return how an attempt ended that a server refused."""
    row = row_for(phase, reply, text)
    return Attempt(
        outcome=row.outcome,
        code=f"smtp.{reply}",
        detail=clean(f"{reply} {text} (at {phase.value.upper()}: {row.why})"),
        disables_contact=row.disables,
    )


def accepted(reply: int, text: str) -> Attempt:
    """Return how an attempt ended whose message a server took."""
    return Attempt(outcome=Outcome.ACCEPTED, code=f"smtp.{reply}", detail=clean(f"{reply} {text}"))


def lost(phase: Phase, code: str, reason: str) -> Attempt:
    """Return how an attempt ended without an answer.

    Once the message is on its way nobody can tell whether the server took it: the final dot may have arrived, and its
    answer been lost (I4).
    """
    if phase is Phase.DATA:
        return Attempt(
            outcome=Outcome.AMBIGUOUS, code=code, detail=clean(f"perhaps it was accepted: {reason} (at DATA)")
        )
    return Attempt(outcome=Outcome.RETRY, code=code, detail=clean(f"{reason} (at {phase.value.upper()})"))
