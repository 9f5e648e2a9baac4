"""The messages of the health check, against protobuf itself."""

import pytest
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from hypothesis import given
from hypothesis import strategies as st

from monitord.probes.grpc_message import MAX_MESSAGE_BYTES, MessageError, framed_request, serving_status, unframed
from monitord.probes.grpc_status import status_of


@given(st.text(max_size=300).filter(lambda text: text.isprintable()))
def test_a_request_is_what_protobuf_would_send(service: str) -> None:
    framed = framed_request(service)
    message = unframed(framed)
    assert message == health_pb2.HealthCheckRequest(service=service).SerializeToString()
    assert health_pb2.HealthCheckRequest.FromString(message).service == service


@given(st.binary(max_size=64))
def test_a_response_is_read_as_protobuf_reads_it(data: bytes) -> None:
    try:
        theirs: int | None = health_pb2.HealthCheckResponse.FromString(data).status
    except DecodeError:
        theirs = None
    try:
        ours: int | None = serving_status(data)
    except MessageError:
        ours = None
    # Groups, and a status that is no number, are unknown fields to protobuf, and an answer gone wrong to us.
    assert ours is None or ours == theirs


@given(st.integers(-(2**31), 2**31 - 1))
def test_each_status_survives(status: int) -> None:
    response = health_pb2.HealthCheckResponse(status=status)  # type: ignore[arg-type]
    assert serving_status(response.SerializeToString()) == status


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_a_message_comes_whole_however_it_is_cut(message: bytes, cuts: list[int]) -> None:
    framed = b"\0" + len(message).to_bytes(4, "big") + message
    seen = [unframed(framed[:cut]) for cut in cuts if cut < len(framed)]
    assert not [each for each in seen if each is not None]
    assert unframed(framed) == message


@pytest.mark.parametrize(
    "data",
    [b"\1", b"\2\0\0\0\0", b"\0" + (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"), b"\0\0\0\0\1xy", b"\0\xff\xff\xff\xff"],
)
def test_what_is_not_one_message_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        unframed(data)


@given(st.dictionaries(st.sampled_from([b"grpc-status", b"grpc-message"]), st.binary(max_size=64)))
def test_no_status_that_a_server_can_send_makes_it_fail(fields: dict[bytes, bytes]) -> None:
    status = status_of(fields)
    if status is not None:
        assert status.code == int(fields[b"grpc-status"])
        assert status.message.isprintable()
        assert status.name
