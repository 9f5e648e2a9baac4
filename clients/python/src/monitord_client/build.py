"""Shorthand for messages whose fields are messages themselves."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from google.protobuf.message import Message

from monitord_client.times import duration
from monitord_client.v1.connection_pb2 import HttpHeader
from monitord_client.v1.http_check_pb2 import HttpCheck
from monitord_client.v1.monitor_pb2 import Monitor

Length = timedelta | float
"""A timedelta, or a number of seconds."""


def monitor_of(
    name: str,
    check: Message,
    *,
    interval: Length | None = None,
    timeout: Length | None = None,
    labels: Mapping[str, str] | None = None,
) -> Monitor:
    """Return a monitor with a check of any kind: ``monitor_of("router", IcmpCheck(host="192.0.2.1"))``.

    Raises TypeError for a message that is no check.
    """
    monitor = Monitor(name=name, labels=labels, interval=duration(interval), timeout=duration(timeout))
    for field in Monitor.DESCRIPTOR.oneofs_by_name["kind"].fields:
        if field.message_type is check.DESCRIPTOR:
            getattr(monitor, field.name).CopyFrom(check)
            return monitor
    raise TypeError(f"{check.DESCRIPTOR.name} is no kind of check")


def http_monitor(
    name: str,
    url: str,
    *,
    interval: Length | None = None,
    timeout: Length | None = None,
    labels: Mapping[str, str] | None = None,
    method: str = "",
    headers: Mapping[str, str] | None = None,
    secret_headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    accepted_status_codes: Iterable[str] = (),
    keyword: str = "",
    expected_latency: Length | None = None,
) -> Monitor:
    """Return a monitor of a URL, for ``create_monitor`` and ``apply_monitors``. What isn't given takes its default.

    Set further fields on the result: ``monitor.http.max_redirects = 3``.
    """
    fields = [HttpHeader(name=key, value=value) for key, value in (headers or {}).items()]
    fields += [HttpHeader(name=key, value=value, secret=True) for key, value in (secret_headers or {}).items()]
    check = HttpCheck(
        url=url,
        method=method,
        headers=fields,
        body=body,
        accepted_status_codes=accepted_status_codes,
        keyword=keyword,
        expected_latency=duration(expected_latency),
    )
    return monitor_of(name, check, interval=interval, timeout=timeout, labels=labels)
