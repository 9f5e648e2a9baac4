"""Many alerts for one contact at once become one digest: fifty mails tell nobody more than one does."""

from collections import deque
from collections.abc import Collection

import msgspec

from monitord.domain.instant import SECOND, Instant, Micros

FEW = 5
"""So many messages a contact gets one by one, within ``WITHIN``."""
WITHIN: Micros = 60 * SECOND
LOOK: Micros = 10 * SECOND
"""How long more are waited for; again, while more come."""
LONGEST: Micros = 60 * SECOND
"""But no longer than this."""

Contact = tuple[int, int]
"""By (organisation, id)."""


class _Hold(msgspec.Struct):
    since: Instant
    until: Instant
    ready: int


class Bursts:
    """Decides for each contact whether its messages go one by one, or wait to become one.

    In memory: after a restart a burst under way is sent as it stands.
    """

    def __init__(self, apart: Collection[str] = ()) -> None:
        """Take the kinds of channel whose messages always go one by one, because machines read them."""
        self._apart = apart
        self._sent: dict[Contact, deque[Instant]] = {}
        self._holds: dict[Contact, _Hold] = {}

    def held(self, now: Instant) -> list[Contact]:
        """Return the contacts that are to be left alone at a moment; forget those that have been quiet."""
        for contact, times in list(self._sent.items()):
            while times and times[0] <= now - WITHIN:
                times.popleft()
            if not times:
                del self._sent[contact]
        for contact, hold in list(self._holds.items()):
            if hold.until <= now - LONGEST:  # whatever it waited for is gone
                del self._holds[contact]
        return [contact for contact, hold in self._holds.items() if hold.until > now]

    def gather(self, contact: Contact, channel: str, ready: int, now: Instant) -> bool | None:
        """Return whether to send so many as one; None: not yet. What is returned otherwise is counted as sent."""
        if channel in self._apart:
            return False
        hold = self._holds.get(contact)
        sent = self._sent.setdefault(contact, deque())
        if hold is None and len(sent) + ready <= FEW:
            sent.extend([now] * ready)
            return False
        if hold is None:
            self._holds[contact] = _Hold(now, now + LOOK, ready)
            return None
        if ready > hold.ready and now - hold.since < LONGEST:
            hold.until, hold.ready = min(now + LOOK, hold.since + LONGEST), ready
            return None
        del self._holds[contact]
        sent.append(now)
        return True
