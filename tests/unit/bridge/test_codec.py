"""Whatever is sent as JSON is a message, or an error that says where it is wrong."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitord.bridge.codec import JsonCodec
from monitord.domain.errors import InvalidArgumentError
from monitord.v1 import monitor_service_pb2 as pb

NAMES = st.sampled_from(
    ["monitor", "requestId", "request_id", "name", "interval", "http", "url", "headers", "labels", "tcp", "@type", ""]
)
TEXTS = st.sampled_from(["", "x", "5s", "1e400", "-0s", "\ud800", "\0", "12"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3).map(lambda value: json.dumps(value).encode())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(OBJECTS | st.binary(max_size=50).map(lambda rest: b"{" + rest))
async def test_json_becomes_a_message_or_an_error(body: bytes) -> None:
    codec, raw, refused = JsonCodec(), b"", None
    try:
        raw = await codec.to_wire(pb.CreateMonitorRequest, body)
    except InvalidArgumentError as error:
        refused = error
    if refused is None:
        message: Any = pb.CreateMonitorRequest.FromString(raw)
        again = await codec.to_wire(pb.CreateMonitorRequest, await codec.from_wire(pb.CreateMonitorRequest, raw))
        assert pb.CreateMonitorRequest.FromString(again) == message
    else:
        (violation,) = refused.violations
        assert violation.description.startswith("the JSON is not this request: ")
    codec.close()
