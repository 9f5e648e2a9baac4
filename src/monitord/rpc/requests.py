"""What the handlers ask of many a request: an id, a UUID for idempotency, a known enum value, no NUL."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.rules.wording import quoted

T = TypeVar("T")

_UUID = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class RequestLedger(Protocol):
    """Remembers the answers to calls with a request_id for 24 hours (I14)."""

    async def once(
        self, org_id: int, method: str, request_id: str, request: bytes, act: Callable[[Any], Awaitable[bytes]]
    ) -> bytes:
        """Return what ``act`` answered, running it in a transaction unless it was run for this request_id before.

        Raises RequestIdReusedError when the request_id was used for a different request.
        """
        ...


def require_id(value: int, field: str = "id", what: str = "monitor") -> int:
    """Return an id that may exist. Raises InvalidArgumentError for 0, which is what is not set, and below."""
    if value < 1:
        raise InvalidArgumentError([Violation(field, f"must be the id of a {what}, which is 1 or more, not {value}")])
    return value


def require_request_id(value: str) -> str:
    """Return a request_id, or the empty one. Raises InvalidArgumentError unless it is a UUID."""
    if value and not _UUID.fullmatch(value):
        raise InvalidArgumentError(
            [Violation("request_id", "must be a UUID such as 6f1d3a5e-8a1c-4a53-9d5b-0c1a2b3c4d5e, or empty")]
        )
    return value


def read_enums(
    table: Mapping[int, T], kind: Any, numbers: Iterable[int], field: str, found: list[Violation]
) -> list[T]:
    """Return the domain's values for the numbers of a repeated enum, each once; tell ``found`` of unknown ones."""
    values: dict[T, None] = {}
    for index, number in enumerate(numbers):
        value = table.get(number)
        if value is None:
            names = ", ".join(kind.Name(known) for known in table)
            found.append(Violation(f"{field}[{index}]", f"must be one of {names}, not {number}"))
        else:
            values[value] = None
    return list(values)


def refuse_nul(text: str, field: str, found: list[Violation]) -> None:
    """Tell ``found`` of a text that can't be looked for: no stored text has a NUL."""
    if "\0" in text:
        found.append(Violation(field, f"must contain no NUL, as {quoted(text)} does"))
