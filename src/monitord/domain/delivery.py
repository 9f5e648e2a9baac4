"""How an attempt to deliver a notice ended, in the words that decide what is done next (I3)."""

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """What follows from an attempt. Stored with it."""

    ACCEPTED = "accepted"
    """The other side took it: the delivery is ``sent``."""
    RETRY = "retry"
    """Not now: tried again later with full jitter, until the delivery is a day old."""
    PERMANENT = "permanent"
    """Never as it is: the delivery is ``dead`` at once."""
    AMBIGUOUS = "ambiguous"
    """It was sent whole and the answer was lost: perhaps it was accepted. Tried again under the same identity (I4)."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as its channel sorted it by the table of that channel."""

    outcome: Outcome
    code: str
    """What happened, for filters and metrics: ``smtp.550``, ``http.429``, ``connect.refused``, ``timeout``."""
    detail: str = ""
    """The same for people: what the other side said, capped, cleaned (T19), and free of secrets (T15)."""
    retry_after_s: float | None = None
    """How long the other side asked us to wait before the next attempt; None: it did not say."""
    disables_contact: bool = False
    """Whether the address itself is refused for good (a hard bounce, a webhook that is gone): it is used no more."""

    @property
    def accepted(self) -> bool:
        """Whether nothing is left to do."""
        return self.outcome is Outcome.ACCEPTED
