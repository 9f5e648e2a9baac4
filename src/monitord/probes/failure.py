"""How one step of a check ended badly, before it becomes an observation."""

import msgspec

from monitord.domain.check import Category, Verdict


class Failure(msgspec.Struct, frozen=True):
    """A verdict other than UP, with its reason."""

    category: Category
    message: str
    """One sentence: what was found, where, and what would be right."""
    verdict: Verdict = Verdict.DOWN


def ours(category: Category, message: str) -> Failure:
    """Return a failure of monitord's own side: INCONCLUSIVE, never DOWN (I9)."""
    return Failure(category, message, Verdict.INCONCLUSIVE)
