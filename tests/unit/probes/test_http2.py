"""Our side of HTTP/2 without a network: what real servers sent, as it was and mutated."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from monitord.domain.check import Category, Verdict
from monitord.domain.target import Endpoint, parse_target
from monitord.probes.failure import Failure
from monitord.probes.grpc_message import framed_request
from monitord.probes.http2 import Categories, Data, End, Event, Headers, Http2Call
from monitord.probes.http2_fields import checked, from_http1
from monitord.probes.http2_frames import MAX_CONTROL_FRAMES, FrameError, Frames
from monitord.probes.trial import StepError
from tests.support.http2_server import DATA, GOAWAY, PING, SETTINGS, frame, goaway
from tests.support.mutations import mutated

GRPC = Categories(
    invalid=Category.PROTOCOL_INVALID,
    headers_too_large=Category.PROTOCOL_INVALID,
    truncated=Category.PROTOCOL_INVALID,
)
CLOSED = Failure(Category.PROTOCOL_CLOSED, "closed.")

# What grpcio 1.85.1 sent to a health check, and what it sent when the service was unknown to it (Trailers-Only).
SERVING = bytes.fromhex(
    "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f000100000004010000000000"
    "00040800000000000000000500000806000000000019d1650515c2b5d100004e01040000000188400c636f6e74656e742d74797065106170"
    "706c69636174696f6e2f677270634014677270632d6163636570742d656e636f64696e67176964656e746974792c206465666c6174652c20"
    "677a69700000070000000000010000000002080100001e010500000001400b677270632d7374617475730130000c677270632d6d65737361"
    "676500"
)
NOT_FOUND = bytes.fromhex(
    "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f000100000004010000000000"
    "00040800000000000000000d000008060000000000970e9288bbbdd5f700003e01050000000188400c636f6e74656e742d74797065106170"
    "706c69636174696f6e2f67727063400b677270632d7374617475730135000c677270632d6d65737361676500"
)


class Fed:
    """A channel on which all that the server says is there already; then it closes."""

    peer = Endpoint(host="server.example", port=443)

    def __init__(self, pieces: list[bytes]) -> None:
        self.sent = b""
        self.pauses = 0
        self._pieces = list(pieces)

    async def send(self, data: bytes) -> None:
        self.sent += data

    async def receive(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    async def pause(self) -> None:
        self.pauses += 1

    def closed(self) -> Failure:
        return CLOSED


async def call(pieces: list[bytes], window: int = 4096, body: bytes | None = None) -> tuple[list[Event], Fed]:
    fed = Fed(pieces)
    made = Http2Call(fed, GRPC, window=window)  # type: ignore[arg-type]
    pseudo = ((b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/"))
    await made.request(pseudo, ((b"te", b"trailers"),), framed_request("") if body is None else body)
    seen: list[Event] = []
    for _ in range(1000):
        seen.append(await made.next())
        if isinstance(seen[-1], End):
            return seen, fed
    raise AssertionError("it never ends")


@pytest.mark.parametrize("good", [SERVING, NOT_FOUND], ids=["serving", "trailers only"])
async def test_what_a_real_server_sent_is_read_in_any_pieces(good: bytes) -> None:
    whole, _ = await call([good])
    single, _ = await call([bytes([byte]) for byte in good])
    assert whole == single
    assert isinstance(whole[0], Headers)
    assert whole[0].fields[0] == (b":status", b"200")
    if good is SERVING:
        assert whole[1] == Data(b"\0\0\0\0\2\x08\1")
        assert whole[2] == Headers(((b"grpc-status", b"0"), (b"grpc-message", b"")), is_trailing=True)


@pytest.mark.parametrize("good", [SERVING, NOT_FOUND], ids=["serving", "trailers only"])
async def test_nothing_that_a_server_can_send_makes_it_fail_otherwise(good: bytes) -> None:
    outcomes = [await outcome(pieces) for pieces in mutated(good, rounds=3000, seed=20_261_127)]
    failures = [each for each in outcomes if each is not None]
    assert not [each for each in failures if each.verdict is not Verdict.DOWN or not each.message.isprintable()]
    # Both happen often: neither is everything refused, nor everything let through.
    assert 100 < len(failures) < len(outcomes) - 100


async def outcome(pieces: list[bytes]) -> Failure | None:
    try:
        await call(pieces)
    except StepError as error:
        return error.failure
    return None


async def test_the_window_is_what_is_wanted(server: H2Connection) -> None:
    fed = Fed([])
    made = Http2Call(fed, GRPC, window=1_000_000)  # type: ignore[arg-type]
    await made.request(((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/")), ())
    events = server.receive_data(fed.sent)
    assert [each for each in events if isinstance(each, RequestReceived)]
    assert server.local_flow_control_window(1) == 1_000_000
    assert server.remote_settings.enable_push == 0
    fed.sent = b""
    await made.allow(1_000_000)
    assert not fed.sent
    await made.allow(1_000_010)
    server.receive_data(fed.sent)
    assert server.local_flow_control_window(1) == 1_000_010


async def test_secret_fields_are_never_indexed_and_never_logged(
    server: H2Connection, caplog: pytest.LogCaptureFixture
) -> None:
    fed = Fed([])
    made = Http2Call(fed, GRPC, window=10)  # type: ignore[arg-type]
    pseudo = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/"))
    with caplog.at_level("DEBUG"):
        await made.request(pseudo, ((b"x-key", b"hush-hush"),))
    (asked,) = [each for each in server.receive_data(fed.sent) if isinstance(each, RequestReceived)]
    (key,) = [each for each in asked.headers or () if each[0] == b"x-key"]
    assert not key.indexable  # type: ignore[union-attr]
    assert "hush" not in caplog.text


@pytest.fixture
def server() -> H2Connection:
    made = H2Connection(H2Configuration(client_side=False, header_encoding=None))
    made.initiate_connection()
    return made


async def test_a_body_waits_for_the_servers_window() -> None:
    window = frame(SETTINGS, payload=b"\0\4" + (10).to_bytes(4, "big"))
    opened = frame(8, stream=1, payload=(70_000).to_bytes(4, "big")) + frame(8, payload=(70_000).to_bytes(4, "big"))
    done = frame(1, 5, 1, b"\x88")
    seen, fed = await call([window, opened, done], body=b"b" * 70_000)
    assert fed.sent.count(b"b") >= 70_000
    assert isinstance(seen[-1], End)


async def test_an_early_answer_ends_the_sending() -> None:
    window = frame(SETTINGS, payload=b"\0\4" + (10).to_bytes(4, "big"))
    seen, fed = await call([window, frame(1, 5, 1, b"\x88")], body=b"b" * 70_000)
    assert fed.sent.count(b"b") < 70_000
    assert isinstance(seen[-1], End)


async def test_others_have_their_turn_while_much_is_taken_apart() -> None:
    tiny = frame(DATA, 0, 1, b"x") * 2000
    _, fed = await call([frame(SETTINGS) + frame(1, 4, 1, b"\x88") + tiny[: 10 * 900] + frame(DATA, 1, 1)])
    assert fed.pauses >= 900 // 32


def test_frames_are_cut_and_counted() -> None:
    frames = Frames()
    frames.feed(frame(SETTINGS)[:5])
    assert frames.next() is None
    frames.feed(frame(SETTINGS)[5:] + goaway(last=1) + frame(PING, 0, 0, bytes(8)))
    assert frames.next() == frame(SETTINGS)
    assert frames.next() == frame(PING, 0, 0, bytes(8))
    assert frames.next() is None
    frames.feed(frame(GOAWAY, payload=bytes(8)))
    with pytest.raises(FrameError, match="shutting down"):
        frames.next()


def test_the_budget_of_control_frames_is_exact() -> None:
    frames = Frames()
    frames.feed(frame(SETTINGS) + frame(PING, 0, 0, bytes(8)) * (MAX_CONTROL_FRAMES - 1))
    for _ in range(MAX_CONTROL_FRAMES):
        assert frames.next() is not None
    frames.feed(frame(PING, 0, 0, bytes(8)))
    with pytest.raises(FrameError, match="flooded"):
        frames.next()


def test_a_request_is_translated() -> None:
    target = parse_target("https://example.com:8443/a?b=c")
    wire = (
        b"POST /a?b=c HTTP/1.1\r\nHost: other.example\r\nX-Key:  v: 1 \r\nConnection: close\r\nContent-Length: 4\r\n"
        b"\r\na\r\n\r"
    )
    pseudo, fields, body = from_http1(wire, target, "POST")
    assert pseudo == (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"other.example"),
        (b":path", b"/a?b=c"),
    )
    assert fields == ((b"x-key", b"v: 1"), (b"content-length", b"4"))
    assert body == b"a\r\n\r"


def test_fields_that_mislead_are_refused_and_sloppy_ones_are_not() -> None:
    assert checked([(b":status", b"200"), (b"server", b" odd ")], is_trailing=False)[1] == (b"server", b"odd")
    for fields in (
        [(b":status", b"200"), (b":status", b"204")],
        [(b"a", b"b"), (b":status", b"200")],
        [(b":status", b"99")],
        [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
        [(b":status", b"200"), (b"a b", b"c")],
        [(b":status", b"200"), (b"", b"c")],
        [(b":status", b"200"), (b"a", b"b\nc: d")],
        [],
    ):
        with pytest.raises(ValueError):
            checked(fields, is_trailing=False)
    with pytest.raises(ValueError):
        checked([(b":status", b"200")], is_trailing=True)
