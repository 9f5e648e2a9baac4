"""Streams by the Connect protocol, against the real gRPC server."""

import asyncio
import json

import pytest

from monitord.bridge import doors
from monitord.domain.errors import InvalidArgumentError, UnavailableError, Violation
from monitord.domain.tail import TailHeartbeat, TailRow
from monitord.v1 import check_log_service_pb2 as pb
from tests.support.connect import TAIL, Web, bridged, envelope
from tests.support.rpc_server import Api, log_entry

PROTO = {"Content_Type": "application/connect+proto"}


async def log_row(web: Web, cursor: str) -> TailRow:
    made = await web.api.create()
    view = await web.api.store.get(web.api.ann.principal.org_id, made.id)
    return TailRow(cursor, log_entry(view.monitor))


async def test_a_tail_in_json_to_its_end(web: Web) -> None:
    body = envelope(json.dumps({"last": 5}).encode())
    async with web.stream(body=body, Connect_Protocol_Version="1") as stream:
        web.api.feed.events.put_nowait(await log_row(web, "c1"))
        first = await stream.next()
        assert (first["cursor"], first["checkLog"]["verdict"]) == ("c1", "VERDICT_UP")
        web.api.feed.events.put_nowait(TailHeartbeat("c2"))
        assert set(await stream.next()) == {"cursor", "heartbeat"}
        web.api.feed.events.put_nowait(None)
        assert (await stream.next())["end"]["reason"] == "TAIL_END_REASON_SHUTDOWN"
        assert await stream.end() == {}
    assert (await web.api.meter.told(2))[-1] == (TAIL, "OK")


async def test_a_tail_in_protobuf_is_the_same_bytes_as_over_grpc(web: Web) -> None:
    event = await log_row(web, "c1")
    request = pb.TailCheckLogsRequest(last=5).SerializeToString()
    async with web.stream(body=envelope(request), **PROTO) as stream:
        web.api.feed.events.put_nowait(event)
        message = await stream.next(pb.TailCheckLogsResponse)
    await asyncio.wait_for(web.api.feed.closed.wait(), 5)
    tail = web.api.check_logs.TailCheckLogs(pb.TailCheckLogsRequest(last=5), metadata=web.api.ann.metadata)
    web.api.feed.events.put_nowait(event)
    assert await tail.read() == message
    tail.cancel()


async def test_a_stream_is_open_before_there_is_news(web: Web) -> None:
    async with web.stream() as stream:  # the answer's headers are here
        await web.api.feed.opened.acquire()
        assert stream.response.headers["X-Accel-Buffering"] == "no"
        assert "Content-Length" not in stream.response.headers


async def test_a_reader_who_leaves_ends_the_stream(web: Web) -> None:
    async with web.stream():
        await web.api.feed.opened.acquire()
    # With no message to send there is no failing write that would tell.
    await asyncio.wait_for(web.api.feed.closed.wait(), 5)
    assert (await web.api.meter.told())[-1] == (TAIL, "CANCELLED")


async def test_the_end_of_the_server_is_told_with_a_cursor_to_come_back_with(web: Web) -> None:
    async with web.stream() as stream:
        web.api.feed.events.put_nowait(TailHeartbeat("c7"))
        assert (await stream.next())["cursor"] == "c7"
        web.api.server.begin_shutdown()
        end = await stream.next()
        assert (end["cursor"], end["end"]["reason"]) == ("c7", "TAIL_END_REASON_SHUTDOWN")
        assert await stream.end() == {}


async def test_a_stream_that_the_server_cuts_off_ends_as_unavailable(web: Web) -> None:
    async with web.stream() as stream:
        await web.api.feed.opened.acquire()
        await web.api.server._server.stop(0)
        error = (await stream.end())["error"]
        assert error["code"] == "unavailable"
        assert "unix" not in error["message"]


async def test_an_error_comes_in_the_stream_with_its_details(web: Web) -> None:
    web.api.feed.events.put_nowait(InvalidArgumentError([Violation("cursor", "is damaged")], "INVALID_CURSOR"))
    async with web.stream() as stream:
        error = (await stream.end())["error"]
        assert error["code"] == "invalid_argument"
        debug = {detail["type"]: detail["debug"] for detail in error["details"]}
        assert debug["google.rpc.ErrorInfo"]["reason"] == "INVALID_CURSOR"
        assert debug["google.rpc.BadRequest"]["fieldViolations"] == [{"field": "cursor", "description": "is damaged"}]
    web.api.feed.events.put_nowait(UnavailableError("away"))
    async with web.stream() as stream:
        assert (await stream.end())["error"]["code"] == "unavailable"
    async with web.stream(user=None) as stream:
        assert (await stream.end())["error"]["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "one message in an envelope"),
        (b"\0\0\0", "one message in an envelope"),
        (b"{}", "one message in an envelope"),
        (envelope(b"{}") + envelope(b"{}"), "whose length is the message's"),
        (envelope(b"{}") + b"x", "whose length is the message's"),
        (b"\0\xff\xff\xff\xff{}", "whose length is the message's"),
        (envelope(b"{}", 1), "compressed"),
        (envelope(b"{}", 2), "0x02"),
        (envelope(b"{}", 0x80), "0x80"),
        (envelope(b"["), "an object"),
        (envelope(b'{"nope": 1}'), "nope"),
    ],
)
async def test_what_is_no_envelope_with_the_request_in_it(web: Web, body: bytes, says: str) -> None:
    async with web.stream(body=body) as stream:
        error = (await stream.end())["error"]
        assert error["code"] == "invalid_argument"
        assert says in error["message"]
    assert web.api.feed.asked == []


@pytest.mark.parametrize("header", ["Connect_Content_Encoding", "Content_Encoding"])
async def test_compression_is_refused(web: Web, header: str) -> None:
    async with web.stream(body=envelope(b"x", 1), **{header: "gzip"}) as stream:
        error = (await stream.end())["error"]
        assert error["code"] == "unimplemented"
        assert "supported: identity" in error["message"]


async def test_the_other_headers_are_judged_too(web: Web) -> None:
    for header in ({"Connect_Protocol_Version": "2"}, {"Connect_Timeout_Ms": "soon"}):
        async with web.stream(**header) as stream:
            assert (await stream.end())["error"]["code"] == "invalid_argument"


async def test_a_deadline_ends_a_stream(web: Web) -> None:
    async with web.stream(Connect_Timeout_Ms="100") as stream:
        assert (await stream.end())["error"]["code"] == "deadline_exceeded"
    await asyncio.wait_for(web.api.feed.closed.wait(), 5)


async def test_an_address_has_a_bound_on_its_streams(api: Api) -> None:
    """(T18)"""
    async with bridged(api, per_caller=1) as web, web.stream():
        async with web.stream() as second:
            assert (await second.end())["error"]["code"] == "resource_exhausted"
        assert await web.call("/monitord.v1.MonitorService/ListMonitors") == {}, "calls are counted apart"


async def test_a_reader_who_does_not_read_holds_back_the_feed(web: Web) -> None:
    """(I16)"""
    event = await log_row(web, "c" * 3000)
    waiting = 20_000  # 60 MB: more than sockets and gRPC hold between them
    for _ in range(waiting):
        web.api.feed.events.put_nowait(event)
    async with web.stream(body=envelope(b""), **PROTO) as stream:
        await stream.next(pb.TailCheckLogsResponse)
        left, before = web.api.feed.events.qsize(), waiting
        async with asyncio.timeout(30):
            while left != before:
                before = left
                for _ in range(50):
                    await web.call("/monitord.v1.MonitorService/ListMonitors")
                left = web.api.feed.events.qsize()
        assert waiting / 2 < left < waiting


async def test_new_streams_move_to_a_fresh_connection_and_old_ones_stay(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends a connection after half an hour: no stream is to begin on one that is nearly over."""
    opened = web.bridge._doors._lanes
    async with web.stream() as old:
        await web.api.feed.opened.acquire()
        assert len(opened) == 1
        monkeypatch.setattr(doors, "_FRESH_S", -1.0)
        async with web.stream() as new:
            await web.api.feed.opened.acquire()
            assert len(opened) == 2
            web.api.server.begin_shutdown()
            for stream in (old, new):
                assert (await stream.next())["end"]["reason"] == "TAIL_END_REASON_SHUTDOWN"
                assert await stream.end() == {}
    assert len(opened) == 1
