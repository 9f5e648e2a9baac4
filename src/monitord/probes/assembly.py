"""Puts the probers together: all of them dial through one dialler, and so through one policy (T1)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from monitord.domain.instant import Instant
from monitord.domain.kinds import (
    DnsCheck,
    GroupCheck,
    GrpcCheck,
    HeartbeatCheck,
    HttpCheck,
    IcmpCheck,
    MysqlCheck,
    PostgresCheck,
    RedisCheck,
    TcpCheck,
    TlsCheck,
    WebsocketCheck,
)
from monitord.probes.connect import PING_RIGHTS, may_ping
from monitord.probes.dial import Dialler
from monitord.probes.dns import DnsProber
from monitord.probes.dns_client import DnsClient
from monitord.probes.dns_resolver import ServerResolvers
from monitord.probes.dns_system import SystemServers
from monitord.probes.grpc import GrpcProber
from monitord.probes.http import HttpProber
from monitord.probes.icmp import IcmpProber
from monitord.probes.mysql import MysqlProber
from monitord.probes.postgres import PostgresProber
from monitord.probes.redis import RedisProber
from monitord.probes.service import ServiceChecks
from monitord.probes.table import Prober, Probes
from monitord.probes.tcp import TcpProber
from monitord.probes.tls import Tls
from monitord.probes.tls_check import TlsProber
from monitord.probes.undialled import UndialledProber
from monitord.probes.websocket import WebsocketProber


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about probers."""

    tls_engine: str = "auto"
    ca_file: Path | None = None
    max_body_bytes: int = 1024 * 1024
    operator_url: str = "about:blank"


def assemble(dialler: Dialler, options: Options, *, now: Callable[[], Instant]) -> Probes:
    """Return probers for every kind that this machine can check.

    Raises:
        OSError, ValueError: see ``tls.Tls``.
    """
    tls = Tls(options.tls_engine, options.ca_file)
    dns = DnsClient(dialler, tls)
    resolvers = ServerResolvers(dns)
    services = ServiceChecks(dialler, tls, resolvers, now=now)
    probers: dict[type[Any], Prober[Any]] = {
        HttpCheck: HttpProber(
            dialler,
            tls,
            resolvers=resolvers,
            now=now,
            max_body_bytes=options.max_body_bytes,
            operator_url=options.operator_url,
        ),
        TcpCheck: TcpProber(services),
        TlsCheck: TlsProber(services, now=now),
        DnsCheck: DnsProber(dns, SystemServers()),
        HeartbeatCheck: UndialledProber(),
        GroupCheck: UndialledProber(),
        GrpcCheck: GrpcProber(services, operator_url=options.operator_url),
        WebsocketCheck: WebsocketProber(services, operator_url=options.operator_url),
        PostgresCheck: PostgresProber(services),
        MysqlCheck: MysqlProber(services),
        RedisCheck: RedisProber(services),
    }
    unsupported: dict[type[Any], str] = {}
    if may_ping():
        probers[IcmpCheck] = IcmpProber(dialler, resolvers)
    else:
        unsupported[IcmpCheck] = PING_RIGHTS
    return Probes(probers, unsupported)
