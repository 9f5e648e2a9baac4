"""Conditions on a JSON body.

The work is bounded: by the size of what is parsed, by paths that look at each value once (``rules.http_assertions``),
and by the number of values that are compared. What may take milliseconds is done in a thread, so that no body holds
up the checks of others (I11).
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from jsonpath_rfc9535 import JSONPathError

from monitord.domain.check import Category
from monitord.domain.kinds.http import Comparison, JsonAssertion
from monitord.domain.rules.http_assertions import compiled_path, json_value
from monitord.probes.failure import Failure
from monitord.probes.http_conditions import holds, phrase
from monitord.probes.http_response import Response
from monitord.probes.text import shown

MAX_JSON_BYTES = 256 * 1024
"""Longer bodies are not looked into: a path over 256 KiB takes about 0.1 s already."""
MAX_VALUES = 1000
"""How many values of one path are compared."""

_INLINE_BYTES = 4 * 1024
_EXCERPT = 80
_THREADS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="monitord-json")


async def judge_json(assertions: tuple[JsonAssertion, ...], response: Response) -> Failure | None:
    """Return which condition does not hold, the first of them, or why the body can't be judged."""
    if response.undecodable:
        return Failure(
            Category.BODY_DECODE, f"The JSON can't be read: it comes encoded as {response.undecodable}, unasked."
        )
    if response.capped or response.body.size > MAX_JSON_BYTES:
        return Failure(
            Category.ASSERT_JSON,
            f"The body is longer than the {MAX_JSON_BYTES // 1024} KiB of JSON that are looked into.",
        )
    content = response.body.content
    if len(content) <= _INLINE_BYTES:
        return _judge(assertions, content)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _judge, assertions, content)


def _judge(assertions: tuple[JsonAssertion, ...], content: bytes) -> Failure | None:
    try:
        document = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        return Failure(Category.ASSERT_JSON, f"The body is not JSON: {shown(str(error), _EXCERPT)}.")
    for each in assertions:
        failure = _judge_one(each, document)
        if failure is not None:
            return failure
    return None


def _judge_one(each: JsonAssertion, document: Any) -> Failure | None:
    where, demand = shown(each.path, _EXCERPT), phrase(each.comparison, each.value)
    count = 0
    try:
        for node in compiled_path(each.path).finditer(document):
            count += 1
            if each.comparison is Comparison.ABSENT:
                break
            if not _value_holds(each, node.value):
                return Failure(Category.ASSERT_JSON, f"{where} {demand}; the answer has {_spelled(node.value)}.")
            if count >= MAX_VALUES:
                break
    except (JSONPathError, RecursionError) as error:
        # Nested deeper than the path library follows.
        return Failure(Category.ASSERT_JSON, f"{where} can't be looked for: {shown(str(error), _EXCERPT)}.")
    if each.comparison is Comparison.ABSENT:
        return Failure(Category.ASSERT_JSON, f"{where} {demand}, and is.") if count else None
    return None if count else Failure(Category.ASSERT_JSON, f"{where} {demand}; the answer has nothing there.")


def _value_holds(each: JsonAssertion, found: object) -> bool:
    match each.comparison:
        case Comparison.EQUALS:
            return _equals(found, each.value)
        case Comparison.NOT_EQUALS:
            return not _equals(found, each.value)
        case Comparison.CONTAINS if isinstance(found, list):
            return any(_equals(item, each.value) for item in found)
        case Comparison.CONTAINS if isinstance(found, dict):
            return each.value in found
        case Comparison.LESS | Comparison.AT_MOST | Comparison.GREATER | Comparison.AT_LEAST:
            return _ordered(each.comparison, found, json_value(each.value))
        case _:
            return holds(each.comparison, _text(found), each.value)


def _equals(found: object, text: str) -> bool:
    if isinstance(found, str) and found == text:
        return True  # a text without quotes
    wanted = json_value(text)
    # In Python, unlike in JSON, true is 1.
    return isinstance(found, bool) is isinstance(wanted, bool) and found == wanted


def _ordered(comparison: Comparison, found: object, wanted: object) -> bool:
    if isinstance(found, bool) or not isinstance(found, int | float) or not isinstance(wanted, int | float):
        return False
    match comparison:
        case Comparison.LESS:
            return found < wanted
        case Comparison.AT_MOST:
            return found <= wanted
        case Comparison.GREATER:
            return found > wanted
        case _:
            return found >= wanted


def _text(found: object) -> str:
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


def _spelled(found: object) -> str:
    return shown(msgspec.json.encode(found)[: 4 * _EXCERPT], _EXCERPT)
