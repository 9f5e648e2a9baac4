"""Which event loop each kind of test runs on: virtual time for logic, uvloop for everything real."""

import gc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import uvloop
from hypothesis import settings

from tests.support.virtual_time import VirtualTimeLoop

# How long an example takes says how busy the machine is, and nothing of what is tested.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_UNIT = Path(__file__).parent / "unit"

# How long an example takes is up to whatever else the machine does.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], Any]]:
    if _UNIT in item.path.parents:
        return {"virtual": VirtualTimeLoop}
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """Move what was imported out of the collector's sight: hundreds of tests collect garbage to count what is left, and
    each looked at all of it anew, which was a sixth of the time of the whole suite."""
    gc.collect()
    gc.freeze()
