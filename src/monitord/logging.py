"""Logs on stderr: one line per event, without secrets (T15), and with no control character of anybody's (T19).

Every package logs through structlog; what libraries log through the standard module goes the same way.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.types import Processor

_SECRET_NAME = re.compile(r"password|secret|token|authorization|cookie|api_?key|private_?key|dsn", re.IGNORECASE)
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]*@", re.IGNORECASE)
_BEARER = re.compile(r"(\bbearer\s+)\S+", re.IGNORECASE)
_HIDDEN = "<secret>"

_CONTROLS = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    # Other line breaks, and what makes text run the other way.
    **{code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}

_MANY_LINES = frozenset({"exception", "stack"})
"""Where line breaks are meant; anywhere else one could fake a line of the log."""

_QUIET = ("aiohttp", "alembic", "asyncio", "grpc")
"""Libraries whose everyday lines mean nothing to an operator; their warnings do."""


def configure(level: str, *, as_json: bool) -> None:
    """Send the logs of monitord and of its libraries to stderr, from ``level`` (debug, info, ...) up."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = _CurrentStderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values that are secret by their name, and secrets inside of texts; make control characters visible."""
    for name, value in event.items():
        if _SECRET_NAME.search(name) and not isinstance(value, bool):
            event[name] = _HIDDEN
        elif isinstance(value, str):
            lines = value.split("\n") if name in _MANY_LINES else [value]
            event[name] = "\n".join(map(_clean, lines))
        elif isinstance(value, list | tuple | dict):
            event[name] = _clean(repr(value))
    return event


def _clean(text: str) -> str:
    text = _USERINFO.sub(rf"\1{_HIDDEN}@", text)
    return _BEARER.sub(rf"\1{_HIDDEN}", text).translate(_CONTROLS)


class _CurrentStderr(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is now: a live table on the terminal puts itself there to stay below the logs."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)
