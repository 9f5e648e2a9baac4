"""Conditions of lists: from messages to queries."""

from collections.abc import Sequence

import msgspec

from monitord.domain.check import Verdict
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.health import Status
from monitord.domain.log import LogEntry
from monitord.domain.queries import LogQuery, MonitorOrder, MonitorQuery, MonitorView
from monitord.domain.rules.labels import MAX_LABELS
from monitord.rpc.convert_check import TYPES
from monitord.rpc.convert_time import bound_of
from monitord.rpc.paging import KeyNumber, KeyText, decode_page_token, encode_page_token, fingerprint, page_size
from monitord.rpc.requests import read_enums, refuse_nul, require_id
from monitord.v1 import check_log_pb2, check_log_service_pb2, monitor_pb2, monitor_service_pb2

MAX_NAMES = 1000

_STATUSES: dict[int, Status] = {status.value: status for status in Status}
_VERDICTS: dict[int, Verdict] = {verdict.value: verdict for verdict in Verdict}
_ORDERS: dict[int, MonitorOrder] = {0: MonitorOrder.ID} | {order.value: order for order in MonitorOrder}
_BY_NAME = (MonitorOrder.NAME, MonitorOrder.NAME_DESC)


class _IdKey(msgspec.Struct, frozen=True, array_like=True):
    id: KeyNumber


class _NameKey(msgspec.Struct, frozen=True, array_like=True):
    name: KeyText


class _SequenceKey(msgspec.Struct, frozen=True, array_like=True):
    sequence: KeyNumber


class Page(msgspec.Struct, frozen=True):
    """Which page of which query: what a token of the next one is made of."""

    size: int
    fingerprint: bytes


def read_monitor_query(request: monitor_service_pb2.ListMonitorsRequest, org_id: int) -> tuple[MonitorQuery, Page]:
    """Return what to ask the store for: one row more than the page has. Raises InvalidArgumentError."""
    page = Page(page_size(request.page_size), fingerprint(org_id, request))
    found: list[Violation] = []
    order = _ORDERS.get(request.order)
    if order is None:
        known = ", ".join(monitor_service_pb2.MonitorOrder.keys()[1:])
        found.append(Violation("order", f"must be one of {known}, not {request.order}"))
        order = MonitorOrder.ID
    _judge_texts(request, found)
    statuses = read_enums(_STATUSES, monitor_pb2.MonitorStatus, request.statuses, "statuses", found)
    types = read_enums(TYPES, monitor_pb2.MonitorType, request.types, "types", found)
    if found:
        raise InvalidArgumentError(found)
    query = MonitorQuery(
        limit=page.size + 1,
        order=order,
        after=_after(request.page_token, page, order),
        statuses=tuple(statuses),
        types=tuple(types),
        active=request.active if request.HasField("active") else None,
        labels=dict(request.labels),
        names=tuple(request.names),
    )
    return query, page


def monitors_token(page: Page, order: MonitorOrder, views: Sequence[MonitorView], taken: int) -> str:
    """Return the token of the page after the first ``taken`` of ``views``; empty when those are all."""
    if taken == len(views):
        return ""
    monitor = views[taken - 1].monitor
    return encode_page_token(page.fingerprint, _NameKey(monitor.spec.name) if order in _BY_NAME else _IdKey(monitor.id))


def read_log_query(request: check_log_service_pb2.ListCheckLogsRequest, org_id: int) -> tuple[LogQuery, Page]:
    """Return what to ask the store for: one row more than the page has. Raises InvalidArgumentError."""
    require_id(request.monitor_id, "monitor_id")
    page = Page(page_size(request.page_size), fingerprint(org_id, request))
    found: list[Violation] = []
    verdicts = read_enums(_VERDICTS, check_log_pb2.Verdict, request.verdicts, "verdicts", found)
    start = bound_of(request.start_time, "start_time", found) if request.HasField("start_time") else None
    end = bound_of(request.end_time, "end_time", found) if request.HasField("end_time") else None
    if not found and start is not None and end is not None and start >= end:
        found.append(Violation("end_time", "must be later than start_time"))
    if found:
        raise InvalidArgumentError(found)
    before = None
    if request.page_token:
        before = decode_page_token(page.fingerprint, request.page_token, _SequenceKey).sequence
    query = LogQuery(
        monitor_id=request.monitor_id,
        limit=page.size + 1,
        before_seq=before,
        start=start,
        end=end,
        verdicts=tuple(verdicts),
    )
    return query, page


def logs_token(page: Page, entries: Sequence[LogEntry], taken: int) -> str:
    """Return the token of the page after the first ``taken`` of ``entries``; empty when those are all."""
    return "" if taken == len(entries) else encode_page_token(page.fingerprint, _SequenceKey(entries[taken - 1].seq))


def _after(token: str, page: Page, order: MonitorOrder) -> int | str | None:
    if not token:
        return None
    if order in _BY_NAME:
        return decode_page_token(page.fingerprint, token, _NameKey).name
    return decode_page_token(page.fingerprint, token, _IdKey).id


def _judge_texts(request: monitor_service_pb2.ListMonitorsRequest, found: list[Violation]) -> None:
    if len(request.labels) > MAX_LABELS:
        found.append(Violation("labels", f"must be at most {MAX_LABELS}, not {len(request.labels)}"))
    if len(request.names) > MAX_NAMES:
        found.append(Violation("names", f"must be at most {MAX_NAMES}, not {len(request.names)}"))
    for key, value in request.labels.items():
        refuse_nul(key + value, "labels", found)
    for index, name in enumerate(request.names):
        refuse_nul(name, f"names[{index}]", found)
