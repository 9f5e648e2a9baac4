"""What `monitorctl show` takes for a default is what the server fills in."""

import pytest

from monitord.domain.errors import Violation
from monitord.domain.rules.monitor import Limits
from monitord.rpc.convert_monitor import read_spec, spec_pb
from monitord.v1 import monitor_pb2
from monitord_client import Monitor
from monitord_client.monitorctl.kinds import field_lines
from monitord_client.monitorctl.schemes import KINDS
from monitord_client.monitorctl.targets import check_of, target_text

TARGETS = {
    "http": "https://example.com/",
    "tcp": "tcp://example.com:25",
    "tls": "tls://example.com:443",
    "icmp": "ping://example.com",
    "dns": "dns://example.com?type=MX&server=192.0.2.53",
    "grpc": "grpcs://example.com:443/shop.Orders",
    "websocket": "wss://example.com/feed",
    "postgres": "postgres://ada@example.com:5432/shop",
    "mysql": "mysql://ada@example.com:3306/shop",
    "redis": "redis://example.com:6379/2",
    "heartbeat": "heartbeat every 1m",
    "group": "group of 1 monitor",
}


def stored(monitor: Monitor) -> Monitor:
    """Return a monitor as a server would tell of it after storing it."""
    found: list[Violation] = []
    spec = read_spec(monitor_pb2.Monitor.FromString(monitor.SerializeToString()), Limits(), found)
    assert not found
    return Monitor.FromString(spec_pb(spec).SerializeToString())


@pytest.mark.parametrize("kind", KINDS)
def test_a_monitor_with_nothing_but_a_target_has_no_fields_to_show(kind: str) -> None:
    monitor = Monitor()
    if kind == "heartbeat":
        monitor.heartbeat.period.FromSeconds(60)
    elif kind == "group":
        monitor.group.monitor_ids.append(1)
    else:
        getattr(monitor, kind).CopyFrom(check_of(TARGETS[kind])[1])
    told = stored(monitor)
    assert list(field_lines(told)) == []
    assert target_text(told) == TARGETS[kind]


def test_what_differs_is_shown() -> None:
    monitor = Monitor()
    monitor.icmp.host, monitor.icmp.count, monitor.icmp.payload_bytes = "192.0.2.1", 5, 0
    monitor.icmp.max_loss_percent = 0
    assert dict(field_lines(stored(monitor))) == {"count": "5", "payload_bytes": "0", "max_loss_percent": "0"}
