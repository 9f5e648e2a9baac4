import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from monitord.domain.check import Observation
from monitord.domain.connection import AddressFamily
from monitord.domain.kinds import HttpCheck
from monitord.probes.deadline import Deadline
from monitord.probes.dial import Dialler, Policy
from monitord.probes.dns_client import DnsClient
from monitord.probes.dns_resolver import ServerResolvers
from monitord.probes.egress import EgressPolicy
from monitord.probes.failure import Failure
from monitord.probes.http import HttpProber
from monitord.probes.resolver import Resolver, SystemResolver
from monitord.probes.service import ServiceChecks
from monitord.probes.tls import Tls
from tests.support.authority import Authority

Answers = tuple[str, ...] | Failure


class ScriptedResolver:
    """Answers each lookup with the next of its answers; the last one stays."""

    def __init__(self, *answers: Answers) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, name: str, family: AddressFamily, deadline: Deadline) -> Answers:
        self.asked.append(name)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def open_sockets() -> int:
    """How many sockets this process has open; 0 where the system does not tell."""
    here = Path("/proc/self/fd")
    count = 0
    for each in here.iterdir() if here.exists() else ():
        with contextlib.suppress(OSError):  # the descriptor of this very listing is gone by now
            count += str(each.readlink()).startswith("socket:")
    return count


@pytest.fixture(autouse=True)
def no_socket_is_left_behind() -> Iterator[None]:
    """Descriptors come back, whatever a target does: each test of this folder ends with as many sockets as before."""
    before = open_sockets()
    yield
    assert open_sockets() <= before


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def tls(authority: Authority) -> Tls:
    return Tls("auto", ca_file=authority.ca_file)


@pytest.fixture(scope="session")
def tls_openssl(authority: Authority) -> Tls:
    return Tls("openssl", ca_file=authority.ca_file)


MakeProber = Callable[..., HttpProber]


@pytest.fixture
def make_prober(tls: Tls) -> MakeProber:
    def make(
        resolver: Resolver | None = None,
        policy: Policy | None = None,
        sessions: Tls | None = None,
        max_body_bytes: int = 1024 * 1024,
    ) -> HttpProber:
        dialler = Dialler(policy or EgressPolicy("private"), resolver or SystemResolver(2))
        return HttpProber(
            dialler,
            sessions or tls,
            resolvers=ServerResolvers(DnsClient(dialler, sessions or tls)),
            now=lambda: time.time_ns() // 1000,
            max_body_bytes=max_body_bytes,
            operator_url="https://op.example",
        )

    return make


@pytest.fixture
def services(tls: Tls) -> ServiceChecks:
    """What runs the checks of services, with our own authority among the trusted ones."""
    return make_services(tls)


def make_services(tls: Tls, resolver: Resolver | None = None) -> ServiceChecks:
    dialler = Dialler(EgressPolicy("private"), resolver or SystemResolver(2))
    resolvers = ServerResolvers(DnsClient(dialler, tls))
    return ServiceChecks(dialler, tls, resolvers, now=lambda: time.time_ns() // 1000)


@pytest.fixture
def prober(make_prober: MakeProber) -> HttpProber:
    return make_prober()


async def probe(prober: HttpProber, url: str, timeout_s: float = 2.0, **fields: object) -> Observation:
    return await prober(HttpCheck(url=url, **fields), timeout_s)  # type: ignore[arg-type]


__all__ = ["Authority", "MakeProber", "Path", "ScriptedResolver", "make_services", "probe"]
