"""A service of PagerDuty."""

from collections.abc import Hashable, Iterator
from enum import IntEnum

import msgspec

from monitord.domain.connection import Place
from monitord.domain.secrets import Secret


class PagerDutyRegion(IntEnum):
    """Where the account lives. The numbers are stored and sent: never reuse one."""

    US = 1
    EU = 2


class PagerDutyContact(msgspec.Struct, frozen=True, tag="pagerduty", kw_only=True):
    """Trigger and resolve events (https://developer.pagerduty.com/docs/events-api-v2-overview)."""

    routing_key: Secret = Secret()
    """The integration key of an Events API v2 integration: 32 characters."""
    region: PagerDutyRegion = PagerDutyRegion.US

    @property
    def shown(self) -> str:
        """Return where it leads."""
        return f"PagerDuty ({self.region.name})"

    def origins(self) -> tuple[Hashable, ...]:
        """Return where its secrets are sent: to PagerDuty's events host of the region."""
        return ("pagerduty", self.region)

    def places(self) -> Iterator[Place]:
        """Yield what it will dial: PagerDuty's own host, which is no choice of the user's."""
        return iter(())
