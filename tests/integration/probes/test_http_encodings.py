"""Bodies that come encoded: right, cut off, spoilt, and meant to explode (T8)."""

import gzip
import tracemalloc
import zlib

import brotli
import pytest
from backports import zstd

from monitord.domain.check import Category, Verdict
from monitord.probes.http_decoding import DecodeError, decoder_for
from tests.integration.probes.conftest import MakeProber, probe
from tests.support.targets import answering, serve

TEXT = b"the quick brown fox " * 500 + b"needle"

ENCODE = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def answer(coding: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("coding", ENCODE)
async def test_a_keyword_is_found_in_what_was_encoded(make_prober: MakeProber, coding: str) -> None:
    for spelled in (coding, coding.upper()):
        async with serve(answering(answer(spelled, ENCODE[coding](TEXT)))) as server:
            seen = await probe(make_prober(), server.url(), keyword="needle", body_regex="fox needle$")
        assert (seen.verdict, seen.content_ok) == (Verdict.UP, True), seen.message


@pytest.mark.parametrize("coding", ENCODE)
async def test_a_body_that_is_cut_off_or_spoilt_is_told(make_prober: MakeProber, coding: str) -> None:
    whole = ENCODE[coding](TEXT)
    for body in (whole[: len(whole) // 2], whole[:-1], b"not encoded at all, but long enough", b"\0" * 64):
        async with serve(answering(answer(coding, body))) as server:
            seen = await probe(make_prober(), server.url(), keyword="never there")
        assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.BODY_DECODE), (body[:8], seen.message)


@pytest.mark.parametrize("coding", ENCODE)
async def test_an_empty_body_has_no_encoding(make_prober: MakeProber, coding: str) -> None:
    async with serve(answering(answer(coding, b""))) as server:
        assert (await probe(make_prober(), server.url())).verdict is Verdict.UP


def bomb(coding: str, size: int) -> bytes:
    zeros = bytes(1 << 20)
    match coding:
        case "br":
            squeeze = brotli.Compressor(quality=5, lgwin=24)
            return b"".join(squeeze.process(zeros) for _ in range(size >> 20)) + squeeze.finish()
        case "zstd":
            thick = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 23})
            return b"".join(thick.compress(zeros) for _ in range(size >> 20)) + thick.flush()
        case _:
            deflate = zlib.compressobj(9, zlib.DEFLATED, 31 if "gzip" in coding else 15)
            return b"".join(deflate.compress(zeros) for _ in range(size >> 20)) + deflate.flush()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_bomb_is_capped(make_prober: MakeProber, coding: str) -> None:
    """Case 17: and what is not found in the part read is not found."""
    prober, raw = make_prober(max_body_bytes=1 << 20), answer(coding, bomb(coding, 64 << 20))
    async with serve(answering(raw)) as server:
        tracemalloc.start()
        try:
            seen = await probe(prober, server.url(), keyword="needle")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (seen.verdict, seen.category) == (Verdict.DOWN, Category.ASSERT_KEYWORD)
    assert "in the first 1024 KiB" in seen.message
    assert peak < 8 << 20


async def test_one_layer_alone_is_undone(make_prober: MakeProber) -> None:
    twice = gzip.compress(gzip.compress(TEXT))
    async with serve(answering(answer("gzip", twice))) as server:
        assert (await probe(make_prober(), server.url(), keyword="needle")).category is Category.ASSERT_KEYWORD
    async with serve(answering(answer("gzip, br", brotli.compress(gzip.compress(TEXT))))) as server:
        assert (await probe(make_prober(), server.url(), keyword="needle")).category is Category.BODY_DECODE
        assert (await probe(make_prober(), server.url())).verdict is Verdict.UP


def test_a_window_beyond_what_http_allows_is_refused() -> None:
    """RFC 9659: 8 MB; a larger one would let a target choose how much memory a check takes."""
    wide = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    frame = wide.compress(bytes(16 << 20)) + wide.flush()
    decoder = decoder_for(b"zstd")
    assert decoder is not None
    with pytest.raises(DecodeError):
        decoder.feed(frame, 1 << 20)


@pytest.mark.parametrize("coding", ENCODE)
def test_byte_by_byte_is_the_same(coding: str) -> None:
    decoder = decoder_for(coding.encode())
    assert decoder is not None
    whole = ENCODE[coding](TEXT)
    assert b"".join(decoder.feed(whole[i : i + 1], len(TEXT) + 1) for i in range(len(whole))) == TEXT
    decoder.finish()


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_what_follows_one_another_is_read_on(coding: str) -> None:
    decoder = decoder_for(coding.encode())
    assert decoder is not None
    encode = ENCODE[coding]
    assert decoder.feed(encode(b"one ") + encode(b"two") + b"rubbish after the end", 100) == b"one two"
    decoder.finish()
