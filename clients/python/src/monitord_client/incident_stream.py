"""Where a reader of incidents stands: everything told once, also when the connection breaks at the very beginning."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from monitord_client.resuming import Disconnected, Gap, Heartbeat, Reconnected
from monitord_client.times import moment_of
from monitord_client.v1 import incident_service_pb2 as pb
from monitord_client.v1.incident_pb2 import Incident

_REMEMBERED = 10_000
"""How many events are remembered to drop those that come twice."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An incident was opened, or went on when the stream began."""

    incident: Incident
    cursor: str
    """Where to go on after this event; so in every kind of event. Empty: only from the beginning."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Somebody takes care of an incident."""

    incident: Incident
    cursor: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """An incident is over."""

    incident: Incident
    cursor: str


News = Opened | Acknowledged | Resolved
IncidentEvent = News | Gap | Disconnected | Reconnected | Heartbeat

_KINDS: dict[str, type[Opened] | type[Acknowledged] | type[Resolved]] = {
    "opened": Opened,
    "acknowledged": Acknowledged,
    "resolved": Resolved,
}


class IncidentPlace:
    """Where a reader of incidents stands, and what it has already passed on.

    A stream without a cursor begins with the incidents that go on, all of them at one and the same cursor. They are
    held back until the last is there (something else follows): were they passed on at once, and did the connection
    break among them, that cursor would skip the rest, and beginning anew would not tell what ended in between.
    """

    def __init__(self, cursor: str = "") -> None:
        self.cursor = cursor
        """Where the next connection begins; empty: at the beginning."""
        self.begun = False
        """Whether the server has said anything yet."""
        self._held: list[Incident] | None = None if cursor else []
        self._told: OrderedDict[tuple[str, int], None] = OrderedDict()

    def request(self) -> pb.WatchIncidentsRequest:
        """Return what to ask for on the next connection."""
        if self._held is not None:
            self._held = []
        return pb.WatchIncidentsRequest(cursor=self.cursor)

    def take(self, message: pb.WatchIncidentsResponse) -> Iterator[News | Heartbeat]:
        """Move past a message and yield what it tells."""
        self.begun = True
        kind = message.WhichOneof("event")
        if kind == "end" and self._held is not None:
            return  # what came so far may not be all: the next connection begins anew
        if self._held is not None:
            if kind == "opened":
                self._held.append(message.opened)
                return
            yield from self._release(message.cursor)
        self.cursor = message.cursor or self.cursor
        if kind == "heartbeat":
            yield Heartbeat(moment_of(message.heartbeat.time), self.cursor)
        elif kind in _KINDS:
            yield from self._news(kind, getattr(message, kind), self.cursor)

    def forget(self) -> None:
        """Begin anew, with the incidents that go on: nothing is known any more of what the server will send."""
        self.cursor = ""
        self._held = []
        self._told.clear()

    def _release(self, cursor: str) -> Iterator[News]:
        """Pass on the incidents of the beginning; only the last one's cursor leaves none of them out."""
        held, self._held = self._held or [], None
        for number, incident in enumerate(held, 1):
            yield from self._news("opened", incident, cursor if number == len(held) else "")

    def _news(self, kind: str, incident: Incident, cursor: str) -> Iterator[News]:
        key = (kind, incident.id)
        if key in self._told:
            return
        self._told[key] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        yield _KINDS[kind](incident, cursor)
