"""Bytes that are nearly right, again and again: the same ones in each run, or for a while new ones (``make fuzz``)."""

import itertools
import os
import random
import time
from collections.abc import Iterator, Sequence

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
"""How long each test goes on with ever new bytes; 0: a fixed number of rounds, the same in each run."""

SEED = os.environ.get("FUZZ_SEED") or (str(time.time_ns()) if SECONDS else "monitord")
"""A failure tells it: the same seed gives the same bytes."""

_MAX_BYTES = 200_000
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)


def rounds(name: str, count: int) -> Iterator[tuple[str, random.Random]]:
    """Yield a label to tell on failure, and a source of chance, ``count`` times or for ``FUZZ_SECONDS``."""
    until = time.monotonic() + SECONDS
    for number in itertools.count():
        if number >= count and time.monotonic() >= until:
            return
        label = f"FUZZ_SEED={SEED} {name} round {number}"
        yield label, random.Random(label)


def mutated(data: bytes, chance: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """Return bytes with a few things wrong; now and then something else entirely."""
    if chance.random() < 0.03:
        return chance.randbytes(chance.randrange(300))
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        _mutate(made, chance, words)
    return bytes(made[:_MAX_BYTES])


def _mutate(made: bytearray, chance: random.Random, words: Sequence[bytes]) -> None:
    at = chance.randrange(len(made) + 1)
    length = chance.choice((1, 1, 2, 4, 16, 64))
    match chance.randrange(8):
        case 0 if at < len(made):
            made[at] ^= 1 << chance.randrange(8)
        case 1:
            del made[at : at + length]
        case 2:
            made[at:at] = chance.randbytes(length)
        case 3:
            made[at:at] = made[at : at + length] * chance.choice((1, 2, 50))
        case 4:
            del made[at:]
        case 5 if words:
            made[at:at] = chance.choice(words)
        case 6:
            made[at : at + 2] = chance.choice(_NUMBERS).to_bytes(8, "big")[-chance.choice((1, 2, 4, 8)) :]
        case _:
            other = chance.randrange(len(made) + 1)
            made[at : at + length] = made[other : other + length]


def pieces(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield the bytes as a network would bring them: in pieces of any size."""
    most = chance.choice((1, 7, 100, 70_000))
    if most == 1 and len(data) > 2_000:
        most = 100
    position = 0
    while position < len(data):
        size = chance.randrange(1, most + 1)
        yield data[position : position + size]
        position += size
