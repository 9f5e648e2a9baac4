import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from monitord.logging import configure


@pytest.fixture
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def logged(capsys, as_before):
    def read() -> list[dict[str, object]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return read


def test_own_and_foreign_lines_look_the_same(logged):
    configure("info", as_json=True)
    structlog.get_logger().info("monitor adopted", monitor_id=7)
    logging.getLogger("somewhere").warning("disk at %d %%", 93)
    structlog.get_logger().debug("not shown")
    logging.getLogger("aiohttp.access").info("not shown")
    own, foreign = logged()
    assert (own["event"], own["level"], own["monitor_id"]) == ("monitor adopted", "info", 7)
    assert (foreign["event"], foreign["level"]) == ("disk at 93 %", "warning")
    assert own["timestamp"].endswith("Z")


def test_no_secret_reaches_a_line(logged):
    """T15"""
    configure("info", as_json=True)
    log = structlog.get_logger()
    log.info("a", password="hunter2", refresh_token="hunter2", Authorization="Bearer hunter2", api_key="hunter2")
    log.info("cannot connect to postgresql://root:hunter2@db/x", headers={"x": "Bearer hunter2"})
    logging.getLogger("asyncpg").warning("lost %s", "postgres://u:hunter2@h:5432/d")
    try:
        raise OSError("https://user:hunter2@example.org refused")
    except OSError:
        log.exception("failed")
    lines = logged()
    assert len(lines) == 4
    assert "hunter2" not in json.dumps(lines)
    assert "OSError" in str(lines[3]["exception"])


def test_a_targets_text_cannot_fake_a_line_or_steer_a_terminal(capsys, as_before):
    """T19"""
    configure("info", as_json=False)
    structlog.get_logger().info("check", text="a\n2026-01-01 [info] all is well\r\x1b[2J\u202eb\x85\u2028")
    out = capsys.readouterr().err
    assert len(out.splitlines()) == 1
    assert "\x1b[2J" not in out
    assert "\u202e" not in out
    assert "all is well" in out


def test_a_traceback_keeps_its_lines(capsys, as_before):
    configure("info", as_json=False)
    try:
        raise ValueError("a\x1b[2Jb")
    except ValueError:
        structlog.get_logger().exception("failed")
    out = capsys.readouterr().err
    assert len(out.splitlines()) > 3
    assert "\x1b[2J" not in out
