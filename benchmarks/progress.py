"""One line per step on standard error: benchmarks take minutes, and silence looks like a hang."""

import sys
import time

_STARTED = time.monotonic()


def say(text: str) -> None:
    """Print a step with the seconds since the start."""
    sys.stderr.write(f"[{time.monotonic() - _STARTED:6.1f} s] {text}\n")
    sys.stderr.flush()
