"""What a broken or hostile server could send in place of what a good one sent: the same each time, by the seed."""

import random
from collections.abc import Iterator


def mutated(good: bytes, rounds: int, seed: int) -> Iterator[list[bytes]]:
    """Yield ``good``, changed in one to four places, in the pieces in which it may arrive."""
    chance = random.Random(seed)
    for _ in range(rounds):
        data = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            _change(data, chance)
        cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.randint(0, 4)))
        pieces = [bytes(data[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        yield [piece for piece in pieces if piece]


def _change(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    what = chance.randrange(6)
    if what == 0 and at < len(data):
        data[at] ^= 1 << chance.randrange(8)
    elif what == 1 and at < len(data):
        data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    elif what == 2:
        del data[at : at + chance.randint(1, 9)]
    elif what == 3:
        data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 9)))
    elif what == 4:
        begin = chance.randint(0, len(data))
        data[at:at] = data[begin : begin + chance.randint(1, 64)]
    else:
        del data[at:]
