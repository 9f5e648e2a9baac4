"""The kinds of check: one file each, with what a user decides about it."""

from typing import TypeAlias

from monitord.domain.kinds.dns import DnsCheck
from monitord.domain.kinds.group import GroupCheck
from monitord.domain.kinds.grpc import GrpcCheck
from monitord.domain.kinds.heartbeat import HeartbeatCheck
from monitord.domain.kinds.http import HttpCheck
from monitord.domain.kinds.icmp import IcmpCheck
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.domain.kinds.redis import RedisCheck
from monitord.domain.kinds.tcp import TcpCheck
from monitord.domain.kinds.tls import TlsCheck
from monitord.domain.kinds.websocket import WebsocketCheck

__all__ = [
    "Check",
    "DnsCheck",
    "GroupCheck",
    "GrpcCheck",
    "HeartbeatCheck",
    "HttpCheck",
    "IcmpCheck",
    "MysqlCheck",
    "PostgresCheck",
    "RedisCheck",
    "TcpCheck",
    "TlsCheck",
    "WebsocketCheck",
    "kind_of",
]

Check: TypeAlias = (
    HttpCheck
    | TcpCheck
    | TlsCheck
    | IcmpCheck
    | DnsCheck
    | GrpcCheck
    | WebsocketCheck
    | HeartbeatCheck
    | PostgresCheck
    | MysqlCheck
    | RedisCheck
    | GroupCheck
)
"""Every kind of check. Each has these beside its fields:

* ``peer``: the host whose checks in flight are counted together;
* ``shown``: the target as people read it, without secrets;
* ``origins()``: where its secrets are sent, which decides whether stored ones may be kept;
* ``places()``: what it will dial, for the policy on addresses to judge when a monitor is created.
"""


def kind_of(check: Check) -> str:
    """Return what the database, the metrics and the API call the kind, such as ``http``."""
    return str(check.__struct_config__.tag)
