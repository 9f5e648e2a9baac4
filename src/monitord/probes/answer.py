"""What a server answered to the question of a check, and whether it is what was expected."""

import contextlib
from collections.abc import Iterator

import msgspec

from monitord.domain.check import Category
from monitord.domain.rules.patterns import compiled
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial

MAX_ANSWER_BYTES = 64 * 1024
"""Regular expressions of users see no more than this of an answer."""

_EXCERPT = 1024
_SMALL = 4096
_HIDDEN = b"<password>"


class Answer(msgspec.Struct, frozen=True):
    """One value, as text."""

    value: bytes = b""
    what: str = "the answer"
    """What it is, for a sentence: ``the answer``, ``the first column``."""
    absent: str = ""
    """Why there is no value, in words that follow "there is": ``no row``, ``no value: it is NULL``."""
    is_cut: bool = False
    """There was more, which was not read."""

    def judge(self, expect: str, trial: Trial) -> Failure | None:
        """Return that ``expect`` does not match, if it is set and does not; and tell what was seen."""
        where = f"the first {MAX_ANSWER_BYTES // 1024} KiB of {self.what}" if self.is_cut else self.what
        said = f"there is {self.absent}" if self.absent else f"{where} is {shown(self.value[:320], 80)!r}"
        if not expect:
            trial.note("transfer", f"{said[0].upper()}{said[1:]}.")
            return None
        if not self.absent and compiled(expect).search(self.value) is not None:
            trial.content_ok = True
            trial.note("transfer", f"{shown(expect, 80)!r} matches {where}.")
            return None
        trial.content_ok = False
        if self.absent:
            return Failure(Category.ASSERT_REGEX, f"{shown(expect, 80)!r} cannot match: {said}.")
        return Failure(
            Category.ASSERT_REGEX, f"{shown(expect, 80)!r} does not match {where}: {shown(self.value[:320], 80)!r}."
        )

    @property
    def excerpt(self) -> bytes:
        """What is kept of it as evidence."""
        return self.value[:_EXCERPT]


@contextlib.contextmanager
def unrecorded(trial: Trial) -> Iterator[None]:
    """Keep nothing of what is received as evidence.

    What servers send while one signs in, together with the password, lets whoever sees it guess passwords at home; and
    some servers quote what they were sent (T15).
    """
    trial.excerpt = bytes(_EXCERPT)
    try:
        yield
    finally:
        trial.excerpt = b""


async def whole(channel: Channel, count: int) -> bytes:
    """Return the next ``count`` bytes, which may be many: they are not put together anew for each piece that comes."""
    if count <= _SMALL:
        return await channel.exactly(count) if count else b""
    data = bytearray()
    while len(data) < count:
        # After the end of the connection ``exactly`` says what is wrong with that.
        data += await channel.receive(count - len(data)) or await channel.exactly(1)
    return bytes(data)


def cut(value: bytes) -> tuple[bytes, bool]:
    """Return what is looked at of a value, and whether there is more."""
    return value[:MAX_ANSWER_BYTES], len(value) > MAX_ANSWER_BYTES


def without(text: bytes, secret: str) -> bytes:
    """Return a server's text without the password, should it quote it (T15)."""
    return text.replace(secret.encode(), _HIDDEN) if secret else text


def fail(category: Category, message: str) -> StepError:
    """Return the error that ends a conversation with a failure of the target's."""
    return StepError(Failure(category, message))
