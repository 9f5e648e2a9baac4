"""Finding the Postgres of a monitord that runs beside us. That it is found: tests/e2e/test_keys.py."""

import os
from pathlib import Path

import pytest

from monitord.domain.errors import UnavailableError
from monitord.environment import load
from monitord.startup import postgres
from monitord.storage import private_files, running_server


async def test_one_that_does_not_come_up_is_given_up_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_server, "_READY_LIMIT_S", 0.01)
    settings = load({"MONITORD_STATE_DIR": str(tmp_path)})
    held = private_files.lock(tmp_path)
    try:
        with pytest.raises(private_files.StateInUseError):
            async with postgres(settings, lambda _: None):
                raise AssertionError
        with pytest.raises(UnavailableError, match=f"the monitord that uses {tmp_path} does not answer"):
            async with postgres(settings, lambda _: None, join=True):
                raise AssertionError
    finally:
        os.close(held)
