from hypothesis import given
from hypothesis import strategies as st

from monitord.probes.icmp_packets import Reply, checksum, payload, read, request

VERSIONS = st.sampled_from([4, 6])


def replied(version: int, wire: bytes) -> bytes:
    """What a host makes of a request."""
    blank = bytes([0 if version == 4 else 129, 0, 0, 0]) + wire[4:]
    total = checksum(blank)
    return blank[:2] + total.to_bytes(2, "big") + blank[4:]


@given(VERSIONS, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=1400))
def test_a_reply_brings_back_what_was_sent(version: int, identifier: int, sequence: int, data: bytes) -> None:
    wire = request(version, identifier, sequence, data)
    assert read(version, wire, None) is None, "our own request, as a raw socket on loopback sees it"
    assert read(version, replied(version, wire), 7) == Reply(sequence, data, 7)


@given(st.binary(max_size=1400))
def test_the_checksum_of_a_right_packet_is_zero(data: bytes) -> None:
    """RFC 1071: summed over all with the checksum in it, nothing is left."""
    assert checksum(request(4, 1, 2, data)) == 0


def test_the_checksum_of_a_known_packet() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D, "the example of RFC 1071, 3"


@given(VERSIONS, st.binary(max_size=100))
def test_no_bytes_break_the_reader(version: int, data: bytes) -> None:
    reply = read(version, data, None)
    assert reply is None or 0 <= reply.sequence <= 0xFFFF


@given(st.binary(min_size=8, max_size=100), st.integers(20, 60).filter(lambda n: n % 4 == 0))
def test_an_ipv4_header_is_skipped_whatever_its_options(data: bytes, size: int) -> None:
    header = bytes([0x40 | size // 4]) + bytes(7) + b"\x33" + bytes(size - 9)
    reply = replied(4, request(4, 1, 5, data))
    assert read(4, header + reply, None) == Reply(5, data, 0x33)
    assert read(4, header[: size - 1], None) is None


@given(st.integers(0, 1400))
def test_a_payload_has_its_size_and_begins_with_the_token(size: int) -> None:
    made = payload(b"token678", size)
    assert len(made) == size
    assert made.startswith(b"token678"[:size])
