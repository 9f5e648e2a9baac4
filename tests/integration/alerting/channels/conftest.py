"""Channels that send through the guarded way out, to stand-ins on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitord.alerting.http_delivery import HttpDelivery
from monitord.domain.check import Category
from monitord.domain.connection import AddressFamily
from monitord.probes.deadline import Deadline
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.failure import Failure
from monitord.probes.outbound import Outbound, RefusedError
from tests.support.authority import Authority
from tests.support.notices import AT


class Names:
    """A resolver that knows every name by one address, but for ``nowhere.example``."""

    async def resolve(self, name: str, family: AddressFamily, deadline: Deadline) -> tuple[str, ...] | Failure:
        if name == "nowhere.example":
            return Failure(Category.DNS_NXDOMAIN, f"The name {name} does not exist in the DNS.")
        return ("127.0.0.2" if name == "inward.example" else "127.0.0.1",)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def delivery(authority: Authority) -> AsyncIterator[HttpDelivery]:
    policy = EgressPolicy("private", deny=("127.0.0.2",))
    outbound = Outbound(Dialler(policy, Names()), policy, ca_file=Path(authority.ca_file))
    async with outbound.session(reuse=False) as session:
        yield HttpDelivery(session, user_agent="monitord/0 (+https://op.example)", now=lambda: AT, refused=RefusedError)
