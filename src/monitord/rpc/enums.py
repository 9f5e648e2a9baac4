"""Enums whose zero means a default: from their numbers to the domain's values."""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, TypeVar

from monitord.domain.errors import Violation

E = TypeVar("E", bound=IntEnum)


def read_enum(kind: type[E], names: Any, number: int, default: E, field: str, found: list[Violation]) -> E:
    """Return the domain's value for a number; the default for 0; tell ``found`` of an unknown one.

    ``names`` is the generated enum: its values have the domain's numbers (a test holds them together).
    """
    if number == 0:
        return default
    try:
        return kind(number)
    except ValueError:
        known = ", ".join(names.Name(each.value) for each in kind if each.value)
        found.append(Violation(field, f"must be one of {known}, not {number}"))
        return default


def read_flag(when: Callable[[int], bool | None], names: Any, number: int, field: str, found: list[Violation]) -> bool:
    """Return a yes or no that the API spells as an enum; yes for an unknown one, which ``found`` is told of."""
    flag = when(number)
    if flag is None:
        known: Iterable[str] = list(names.keys())[1:]
        found.append(Violation(field, f"must be one of {', '.join(known)}, not {number}"))
        return True
    return flag
