"""Checks of every kind: from the oneof of a monitor to the domain and back. A new kind is one file in ``kinds``, and
one row here."""

from collections.abc import Callable
from typing import Any

import msgspec

from monitord.domain.errors import Violation
from monitord.domain.kinds import Check, kind_of
from monitord.domain.kinds.http import HttpCheck
from monitord.rpc.kinds import database, dns, group, grpc, heartbeat, http, icmp, tcp, tls, websocket
from monitord.v1 import monitor_pb2 as pb

_NO_CHECK = HttpCheck(url="http://localhost/")
"""Stands in for the kind that is missing, so that the rest can be judged too."""


class _Converter(msgspec.Struct, frozen=True):
    read: Callable[[Any, list[Violation]], Check]
    write: Callable[[Any], Any]


_CONVERTERS = {
    "http": _Converter(http.read_http, http.http_pb),
    "tcp": _Converter(tcp.read_tcp, tcp.tcp_pb),
    "tls": _Converter(tls.read_tls_check, tls.tls_check_pb),
    "icmp": _Converter(icmp.read_icmp, icmp.icmp_pb),
    "dns": _Converter(dns.read_dns, dns.dns_pb),
    "grpc": _Converter(grpc.read_grpc, grpc.grpc_pb),
    "websocket": _Converter(websocket.read_websocket, websocket.websocket_pb),
    "heartbeat": _Converter(heartbeat.read_heartbeat, heartbeat.heartbeat_pb),
    "postgres": _Converter(database.read_postgres, database.postgres_pb),
    "mysql": _Converter(database.read_mysql, database.mysql_pb),
    "redis": _Converter(database.read_redis, database.redis_pb),
    "group": _Converter(group.read_group, group.group_pb),
}

TYPES: dict[int, str] = {
    number: kind for kind in _CONVERTERS if (number := pb.MonitorType.Value(f"MONITOR_TYPE_{kind.upper()}"))
}
"""The kinds by their numbers in the API."""


def read_check(message: pb.Monitor, found: list[Violation]) -> Check:
    """Return what a monitor shall check; what can't be read is told to ``found`` and replaced by a default."""
    kind = message.WhichOneof("kind")
    if kind is None:
        kinds = ", ".join(_CONVERTERS)
        found.append(
            Violation(
                "http",
                f"must be set, or another kind of check ({kinds}): it is what is checked, such as "
                "{url: 'https://example.org/'}",
            )
        )
        return _NO_CHECK
    return _CONVERTERS[kind].read(getattr(message, kind), found)


def write_check(message: pb.Monitor, check: Check) -> None:
    """Set what a monitor checks, without its secrets (T15)."""
    kind = kind_of(check)
    getattr(message, kind).CopyFrom(_CONVERTERS[kind].write(check))
