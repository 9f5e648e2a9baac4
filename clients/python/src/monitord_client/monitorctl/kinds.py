"""How checks of each kind are shown: their fields that differ from the defaults, and what they measured."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from monitord_client.monitorctl.export import mapping_of_fields
from monitord_client.monitorctl.fields import DURATION, OUTPUT_ONLY
from monitord_client.monitorctl.scalars import shown_value
from monitord_client.monitorctl.spans import milliseconds
from monitord_client.v1 import check_log_pb2 as logs
from monitord_client.v1.connection_pb2 import (
    ADDRESS_FAMILY_ANY,
    SECURITY_PLAIN,
    SECURITY_TLS,
    TLS_VERIFICATION_FULL,
    HttpHeader,
)
from monitord_client.v1.database_check_pb2 import MysqlCheck, PostgresCheck, RedisCheck
from monitord_client.v1.dns_check_pb2 import DNS_MATCH_ALL, DNS_RECORD_TYPE_A, DNS_TRANSPORT_UDP, DnsCheck
from monitord_client.v1.group_check_pb2 import GroupCheck
from monitord_client.v1.grpc_check_pb2 import GrpcCheck
from monitord_client.v1.heartbeat_check_pb2 import HeartbeatCheck
from monitord_client.v1.http_check_pb2 import (
    HTTP_VERSION_HTTP1,
    REDIRECT_POLICY_FOLLOW,
    TLS_REQUIREMENT_NONE,
    HttpCheck,
)
from monitord_client.v1.icmp_check_pb2 import IcmpCheck
from monitord_client.v1.monitor_pb2 import Monitor
from monitord_client.v1.tcp_check_pb2 import TcpCheck
from monitord_client.v1.tls_check_pb2 import TlsCheck
from monitord_client.v1.websocket_check_pb2 import WebsocketCheck

_ANY: dict[str, Any] = {"address_family": ADDRESS_FAMILY_ANY}
_VERIFIED: dict[str, Any] = _ANY | {"tls_verification": TLS_VERIFICATION_FULL}
_PLAIN: dict[str, Any] = _VERIFIED | {"security": SECURITY_PLAIN}
_TLS: dict[str, Any] = _VERIFIED | {"security": SECURITY_TLS}

_DEFAULTS: dict[str, Any] = {
    "http": HttpCheck(
        method="GET",
        accepted_status_codes=["200-399"],
        redirect_policy=REDIRECT_POLICY_FOLLOW,
        max_redirects=10,
        tls_requirement=TLS_REQUIREMENT_NONE,
        http_version=HTTP_VERSION_HTTP1,
        **_VERIFIED,
    ),
    "tcp": TcpCheck(**_PLAIN),
    "tls": TlsCheck(min_certificate_days=14, **_TLS),
    "icmp": IcmpCheck(count=3, payload_bytes=56, max_loss_percent=99, **_ANY),
    "dns": DnsCheck(
        record_type=DNS_RECORD_TYPE_A,
        transport=DNS_TRANSPORT_UDP,
        match=DNS_MATCH_ALL,
        accepted_rcodes=["NOERROR"],
        **_VERIFIED,
    ),
    "grpc": GrpcCheck(**_TLS),
    "websocket": WebsocketCheck(**_VERIFIED),
    "heartbeat": HeartbeatCheck(),
    "postgres": PostgresCheck(**_PLAIN),
    "mysql": MysqlCheck(**_PLAIN),
    "redis": RedisCheck(command="PING", **_PLAIN),
    "group": GroupCheck(),
}
_DEFAULTS["icmp"].packet_interval.FromMilliseconds(200)
_DEFAULTS["heartbeat"].grace.FromSeconds(60)
"""What a server fills in where a field is not given; a test holds this against the server's own."""

_IN_TARGET = {
    "http": {"url"},
    "websocket": {"url"},
    "icmp": {"host"},
    "dns": {"name", "record_type", "server"},
    "grpc": {"host", "port", "security", "service"},
    "redis": {"host", "port", "security", "user", "database"},
    "heartbeat": {"period", "cron"},
    "group": {"monitor_ids", "labels", "min_up"},
}
_OF_SERVICE = {"host", "port"}
_SIGN_IN = _OF_SERVICE | {"user", "database"}
_MOST_CHARS = 200
_BARE = re.compile(r"^[a-z]+\.(?!ms$)|[._]ms$|_ratio$")
"""What a measurement's name has around the word that people would use: the kind before it, the unit after it."""


def field_lines(monitor: Monitor) -> Iterator[tuple[str, str]]:
    """Yield the check's fields that are neither its target nor as they would be anyway, as ``--set`` takes them."""
    kind = monitor.WhichOneof("kind")
    if kind is not None:
        shown = _IN_TARGET.get(kind, _SIGN_IN if kind in ("postgres", "mysql") else _OF_SERVICE)
        yield from _lines(getattr(monitor, kind), _DEFAULTS.get(kind), "", shown)


def _lines(message: Message, default: Any, prefix: str, skip: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    for fd, value in message.ListFields():
        if (
            fd.name in skip
            or fd.full_name in OUTPUT_ONLY
            or (default is not None and value == getattr(default, fd.name))
        ):
            continue
        if fd.is_repeated:
            yield from ((f"{prefix}{fd.name}", _item(fd, item)) for item in value)
        elif fd.message_type is None or fd.message_type.full_name == DURATION:
            yield f"{prefix}{fd.name}", _short(shown_value(fd, value))
        else:
            inner = list(_lines(value, None, f"{prefix}{fd.name}."))
            if not inner and fd.containing_oneof is not None:
                inner = [(f"{prefix}{fd.name}", "(secret)")]  # it was chosen, and all it says is never told
            yield from inner


def _item(fd: FieldDescriptor, item: Any) -> str:
    if isinstance(item, HttpHeader):
        return f"{item.name}: {'(secret)' if item.secret else item.value}"
    if isinstance(item, Message):
        return _short(", ".join(f"{name}: {value}" for name, value in mapping_of_fields(item).items()))
    return _short(shown_value(fd, item))


def _short(text: str) -> str:
    """Return a text that fits into a line or two: certificates are counted, others are cut."""
    if count := text.count("-----BEGIN CERTIFICATE-----"):
        return f"{count} certificate{'s' if count > 1 else ''}"
    text = text.encode("unicode_escape").decode() if not text.isprintable() and text.isascii() else text
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}… ({len(text):,} characters)"


def measured(row: logs.CheckLog) -> list[tuple[str, str]]:
    """Return what a check measured, by name, to read."""
    return [(name, _figure(name, value)) for name, value in sorted(row.measurements.items())]


def measured_words(row: logs.CheckLog) -> str:
    """Return what a check measured that is worth a place on a line among others: ``loss 0 %, jitter 0.1 ms``."""
    told = [(name, value) for name, value in sorted(row.measurements.items()) if _is_news(name, value)]
    return ", ".join(f"{_BARE.sub('', name)} {_figure(name, value)}" for name, value in told)


def _is_news(name: str, value: float) -> bool:
    """Tell figures that explain something from those that repeat the response time, or say that there is nothing."""
    if name.startswith("icmp."):
        return name in ("icmp.loss_ratio", "icmp.jitter_ms")
    return value != 0


def _figure(name: str, value: float) -> str:
    if name.endswith(("_ms", ".ms")):
        return milliseconds(value) if value >= 1 else f"{value:.2g} ms"
    if name.endswith("_ratio"):
        return f"{value * 100:.3g} %"
    return f"{value:,.0f}" if value.is_integer() else f"{value:g}"
