"""Puts the probers together: all of them dial through one dialler, and so through one policy (T1)."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from monitord.domain.instant import Instant
from monitord.domain.kinds import HttpCheck, MysqlCheck, PostgresCheck, RedisCheck, TcpCheck
from monitord.probes.dial import Dialler, Policy
from monitord.probes.http import HttpProber
from monitord.probes.mysql import MysqlProber
from monitord.probes.postgres import PostgresProber
from monitord.probes.redis import RedisProber
from monitord.probes.resolver import SystemResolver
from monitord.probes.service import ServiceChecks
from monitord.probes.table import Probes
from monitord.probes.tcp import TcpProber
from monitord.probes.tls import Tls


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about probers."""

    tls_engine: str = "auto"
    ca_file: Path | None = None
    max_body_bytes: int = 1024 * 1024
    operator_url: str = "about:blank"


def assemble(policy: Policy, options: Options, *, now: Callable[[], Instant]) -> Probes:
    """Return probers for every kind that this machine can check.

    Raises:
        OSError, ValueError: see ``tls.Tls``.
    """
    tls = Tls(options.tls_engine, options.ca_file)
    dialler = Dialler(policy, SystemResolver())
    services = ServiceChecks(dialler, tls, now=now)
    return Probes(
        {
            HttpCheck: HttpProber(
                dialler, tls, max_body_bytes=options.max_body_bytes, operator_url=options.operator_url
            ),
            MysqlCheck: MysqlProber(services),
            PostgresCheck: PostgresProber(services),
            RedisCheck: RedisProber(services),
            TcpCheck: TcpProber(services),
        },
        unsupported={},
    )
