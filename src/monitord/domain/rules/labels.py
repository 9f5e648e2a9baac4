"""What labels may be: of monitors, and of what chooses monitors by them."""

import re
from collections.abc import Iterator, Mapping

from monitord.domain.errors import Violation
from monitord.domain.rules.wording import VISIBLE, has_controls, quoted

MAX_LABELS = 64
MAX_LABEL_KEY_CHARS = 63
MAX_LABEL_VALUE_CHARS = 255

_LABEL_KEY = re.compile(r"[A-Za-z0-9._/-]{1,63}")


def of_labels(labels: Mapping[str, str]) -> Iterator[Violation]:
    """Yield what is wrong with labels."""
    if len(labels) > MAX_LABELS:
        # One sentence, not ten thousand.
        yield Violation("labels", f"must be at most {MAX_LABELS}, not {len(labels)}")
        return
    for key, value in labels.items():
        yield from _of_label(key, value)


def _of_label(key: str, value: str) -> Iterator[Violation]:
    if not _LABEL_KEY.fullmatch(key):
        yield Violation(
            "labels",
            f"the key {quoted(key)} must have 1 to {MAX_LABEL_KEY_CHARS} letters, digits or any of - _ . /",
        )
    elif len(value) > MAX_LABEL_VALUE_CHARS:
        yield Violation(f"labels[{key}]", f"must have at most {MAX_LABEL_VALUE_CHARS} characters, not {len(value)}")
    elif has_controls(value):
        yield Violation(f"labels[{key}]", VISIBLE)
