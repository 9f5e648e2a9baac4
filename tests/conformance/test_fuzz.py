"""Looks for the input that gets INTERNAL: any message, to any method, against the real server and a real database."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.test_contract import OURS, methods, path_of
from tests.support.rpc_server import Api, refusal_of

_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "\0",
            "a\0b",
            "%",
            "_",
            "\\",
            "'; --",
            "\u2028",
            "\ud7ff",
            "\U0010ffff",
            "admin@localhost",
            "name",
            "interval",
            "http.url",
            "*",
            "labels.a",
            "https://example.org/",
            "http://[::1]:0/",
            "http://0x7f.1/",
            "GET",
            "POST",
            "200-299",
            "6f1d3a5e-8a1c-4a53-9d5b-0c1a2b3c4d5e",
            "v1",
            "AAAAAAAAAAAAAAAA",
            "k" * 10_000,
            "mk_" + "a" * 60,
        ]
    ),
    st.text(max_size=20),
)
_BYTES = st.one_of(st.sampled_from([b"", b"\0", b"\xff" * 70_000]), st.binary(max_size=10))


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.cpp_type in _NUMBERS:
        low, high = _NUMBERS[field.cpp_type]
        edges = [0, 1, 2, -1, 5, 60, 1000, 1001, 253_402_300_799, -62_135_596_800, 10**9, low, high]
        return st.one_of(st.sampled_from([edge for edge in edges if low <= edge <= high]), st.integers(low, high))
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return st.one_of(st.integers(0, 9), st.sampled_from([-(2**31), 2**31 - 1]))
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _BYTES if field.type == FieldDescriptor.TYPE_BYTES else _TEXTS
    return st.floats(width=64)


def values(field: Any, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is None:
        one = scalars(field)
    elif field.message_type.GetOptions().map_entry:
        parts = field.message_type.fields_by_name
        return st.dictionaries(scalars(parts["key"]), scalars(parts["value"]), max_size=3)
    else:
        one = messages(field.message_type, depth - 1)
    return st.lists(one, max_size=3) if field.is_repeated else one


def messages(descriptor: Descriptor, depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Any message of a type, as keyword arguments."""
    fields = [field for field in descriptor.fields if depth > 0 or field.message_type is None]
    return st.fixed_dictionaries({}, optional={field.name: values(field, depth) for field in fields})


GOOD: dict[str, dict[str, Any]] = {
    "CreateMonitor": {"monitor": {"name": "n", "http": {"url": "https://example.org/"}}},
    "UpdateMonitor": {"monitor": {"id": 1, "name": "n"}},
    "TestMonitor": {"monitor": {"http": {"url": "https://example.org/"}}},
    "ApplyMonitors": {"monitors": [{"name": "n", "http": {"url": "https://example.org/"}}], "dry_run": True},
    "GetCheckLog": {"monitor_id": 1, "sequence": 1},
    "ListCheckLogs": {"monitor_id": 1},
    "GetMonitor": {"id": 1},
    "DeleteMonitor": {"id": 1, "etag": "v999"},
    "PauseMonitor": {"id": 1},
    "ResumeMonitor": {"id": 1},
    "CheckNow": {"id": 1},
    "GetMonitorMetrics": {"id": 1},
    "CreateMaintenanceWindow": {
        "window": {
            "name": "w",
            "recurring": {"cron": {"expression": "0 4 * * *"}, "duration": {"seconds": 3600}},
        }
    },
    "UpdateMaintenanceWindow": {"window": {"id": 1, "name": "w"}},
    "GetMaintenanceWindow": {"id": 1},
    "DeleteMaintenanceWindow": {"id": 1, "etag": "v999"},
    "Login": {"email": "admin@localhost", "password": "wrong"},
    "CreateApiKey": {"display_name": "k", "scope": 1},
}


def merged(good: dict[str, Any], odd: dict[str, Any]) -> dict[str, Any]:
    """A good request with odd parts: deeper than what is odd everywhere ever gets."""
    both = dict(good)
    for key, value in odd.items():
        inner = good.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


def requests(method: MethodDescriptor) -> st.SearchStrategy[dict[str, Any]]:
    good = GOOD.get(method.name, {})
    odd = messages(method.input_type)
    return st.one_of(odd, odd.map(lambda parts: merged(good, parts)))


METHODS = methods(OURS)
CALLS = st.sampled_from(METHODS).flatmap(lambda method: st.tuples(st.just(method), requests(method)))

bounded = settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


async def outcome(api: Api, method: MethodDescriptor, raw: bytes) -> None:
    """Call a method; fail on an answer that no caller should ever get."""
    answers = GetMessageClass(method.output_type)
    path = path_of(method)
    try:
        if method.server_streaming:
            stream: Any = api.channel.unary_stream(path, None, answers.FromString)
            call = stream(raw, metadata=api.ann.metadata, timeout=10)
            await anext(aiter(call), None)
            call.cancel()
        else:
            unary: Any = api.channel.unary_unary(path, None, answers.FromString)
            await unary(raw, metadata=api.ann.metadata, timeout=10)
    except grpc.aio.AioRpcError as error:
        refused = refusal_of(error)
        assert refused.code not in (StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.DEADLINE_EXCEEDED), refused
        assert refused.code is not StatusCode.UNAVAILABLE, refused
        assert refused.reason != "none", refused
        if refused.code is StatusCode.INVALID_ARGUMENT:
            assert refused.violations or refused.reason == "REQUEST_ID_REUSED", refused
            assert all(refused.violations.values()), refused


@pytest.fixture
async def stocked(api: Api) -> Api:
    """Monitor 1 exists, so that what names it gets further."""
    made = await api.create()
    assert made.id == 1
    return api


@bounded
@given(call=CALLS)
async def test_no_message_gets_internal(stocked: Api, call: tuple[MethodDescriptor, dict[str, Any]]) -> None:
    method, fields = call
    try:
        raw = GetMessageClass(method.input_type)(**fields).SerializeToString()
    except (ValueError, UnicodeEncodeError):
        return  # what can't be a message can't be sent
    await outcome(stocked, method, raw)


@settings(bounded, max_examples=50)
@given(method=st.sampled_from(METHODS), raw=st.binary(max_size=40))
async def test_no_bytes_get_internal(stocked: Api, method: MethodDescriptor, raw: bytes) -> None:
    await outcome(stocked, method, raw)


def leaves(descriptor: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path to something that is no message itself."""
    for field in descriptor.fields:
        path = (*above, field.name)
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            yield path
        else:
            yield from leaves(field.message_type, path)


def odd_values(field: Any) -> list[Any]:
    if field.message_type is not None:
        if field.message_type.fields_by_name["value"].cpp_type != FieldDescriptor.CPPTYPE_STRING:
            return [{odd: 1.0} for odd in _ODD_TEXTS] + [{"k": odd} for odd in (math.nan, math.inf)]
        return (
            [{odd: "v"} for odd in _ODD_TEXTS] + [{"k": odd} for odd in _ODD_TEXTS] + [{str(i): "" for i in range(70)}]
        )
    if field.type == FieldDescriptor.TYPE_BYTES:
        return [b"\0\xff", bytes(70_000)]
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _ODD_TEXTS
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return [-1, 0, 1, 99, 2**31 - 1]
    if field.cpp_type in _NUMBERS:
        low, high = _NUMBERS[field.cpp_type]
        return [odd for odd in [low, -1, 0, 1, 10**9, *_EDGES_OF_TIME, high] if low <= odd <= high]
    return [True, False] if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else [math.nan, math.inf]


_ODD_TEXTS = ["", "\0", "\u2028", "\r\n", "\U0010ffff", "\u202e", "x" * 5000, "1" * 400]
_SHARES = 4
"""Ten thousand requests: so that several processors can share them."""
_EDGES_OF_TIME = [-62_135_596_801, -62_135_596_800, 253_402_300_799, 253_402_300_800, 315_576_000_000]


def put(message: Any, path: tuple[str, ...], value: Any) -> None:
    name, *rest = path
    field, inner = message.DESCRIPTOR.fields_by_name[name], getattr(message, name)
    if rest:
        put((inner[0] if len(inner) else inner.add()) if field.is_repeated else inner, tuple(rest), value)
    elif field.message_type is not None:
        inner.update(value)
    elif field.is_repeated:
        inner.append(value)
    else:
        setattr(message, name, value)


def odd_requests() -> Iterator[tuple[MethodDescriptor, bytes]]:
    names = itertools.count()
    for method in METHODS:
        for path in leaves(method.input_type):
            descriptor: Any = method.input_type
            for name in path[:-1]:
                descriptor = descriptor.fields_by_name[name].message_type
            for value in odd_values(descriptor.fields_by_name[path[-1]]):
                if path == ("etag",) and not value:
                    continue  # would delete what the others name
                request: Any = GetMessageClass(method.input_type)(**GOOD.get(method.name, {}))
                if method.name == "CreateMonitor":
                    request.monitor.name = f"n{next(names)}"
                put(request, path, value)
                yield method, request.SerializeToString()


@pytest.mark.parametrize("share", range(_SHARES))
async def test_no_single_odd_value_in_a_good_request_gets_internal(stocked: Api, share: int) -> None:
    """Every field with every odd value, so that chance has nothing to find there."""
    for method, raw in itertools.islice(odd_requests(), share, None, _SHARES):
        await outcome(stocked, method, raw)
    # Otherwise all that names it would have got NOT_FOUND, and shown nothing.
    assert (await stocked.store.get(stocked.ann.principal.org_id, 1)).monitor.id == 1
