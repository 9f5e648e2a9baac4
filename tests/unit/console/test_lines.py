import asyncio
import re
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from monitord.console.lines import MAX_WAITING, PERIOD_S, Lines
from monitord.domain.check import Category, Verdict
from monitord.domain.health import Status
from tests.unit.console.samples import NOW, Commit, Terminal, assignment, change, entry


def lines_of(*commits: Commit, encoding: str = "utf-8", colour: bool = False) -> list[str]:
    lines = Lines(Terminal(encoding), colour=colour)
    lines.adopt(assignment(1, "a page that works"))
    lines.adopt(assignment(2, "evil\x1b[2J\u202e name"))
    for commit in commits:
        lines.committed(commit)
    return lines.take().splitlines()


def test_a_check_is_one_line_that_a_person_can_read():
    (line,) = lines_of(Commit((entry(1, Verdict.UP),)))
    assert re.fullmatch(r"\d\d:\d\d:\d\d  ✓ up           a page that works               1,234 ms", line)


def test_a_failure_tells_what_and_why():
    (line,) = lines_of(
        Commit((entry(1, Verdict.DOWN, message="nothing listens there", category=Category.CONNECT_REFUSED),))
    )
    assert "✗ down" in line
    assert line.endswith("connect.refused: nothing listens there")


def test_a_gap_and_a_change_of_status_are_told_too():
    gap, news = lines_of(
        Commit(
            (entry(1, None, message="3 checks not made: monitord was not running", category=Category.ENGINE_GAP),),
            (change(1, Status.UP, Status.DOWN), change(1, Status.UP, Status.UP)._replace(transitions=())),
        )
    )
    assert gap.endswith("3 checks not made: monitord was not running")
    assert "· gap" in gap
    assert news.endswith("a page that works: UP → DOWN")


def test_a_terminal_without_unicode_gets_plain_ascii():
    every = tuple(entry(1, verdict) for verdict in (*Verdict, None))
    commit = Commit(every, (change(1, Status.UP, Status.DOWN),))
    lines = lines_of(commit, encoding="ascii")
    assert len(lines) == len(every) + 1
    assert "\n".join(lines).isascii()


def test_nobodys_text_steers_the_terminal():
    """T19"""
    (line,) = lines_of(Commit((entry(2, Verdict.DOWN, message="a\x1b[31m\u2028b\r"),)))
    assert line.isprintable()
    (painted,) = lines_of(Commit((entry(2, Verdict.DOWN),)), colour=True)
    assert painted.count("\x1b") == 2


def test_a_monitor_that_was_deleted_meanwhile_is_named_by_its_id():
    (line,) = lines_of(Commit((entry(77),)))
    assert "monitor 77" in line


def test_what_does_not_fit_is_counted_and_not_kept():
    """I16"""
    many = Commit(
        tuple(entry(1, Verdict.UP) for _ in range(MAX_WAITING + 40)), (change(1, Status.UP, Status.DOWN),) * 3
    )
    worse = Commit((entry(1, Verdict.DOWN),) * 2)
    lines = lines_of(many, worse)
    assert len(lines) == MAX_WAITING + 3 + 1
    assert lines[-1].strip() == "… and more than fits here: 40 up, 2 down"


async def run_until(lines: Lines, done: asyncio.Event) -> None:
    task = asyncio.create_task(lines.run())
    await done.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_it_writes_what_is_committed_soon(monkeypatch):
    written = asyncio.Event()
    times: list[float] = []
    out = Terminal()
    lines = Lines(out, colour=False)

    class Inline:
        """Stands in for the thread, which virtual time cannot wait for."""

        def __init__(self, name: str) -> None: ...

        async def __call__(self, function) -> None:
            function()
            times.append(asyncio.get_running_loop().time())
            written.set()

        def close(self) -> None: ...

    monkeypatch.setattr("monitord.console.lines.Offload", Inline)
    lines.committed(Commit((entry(1),)))
    await run_until(lines, written)
    assert "up" in out.getvalue()
    assert times == [PERIOD_S]


@pytest.mark.parametrize("failure", [BrokenPipeError(32, "broken pipe"), ValueError("closed file")])
async def test_when_nobody_reads_any_more_it_says_so_once_and_goes_on(failure, monkeypatch):
    class Broken:
        def __init__(self, name: str) -> None: ...

        async def __call__(self, function) -> None:
            raise failure

        def close(self) -> None: ...

    monkeypatch.setattr("monitord.console.lines.Offload", Broken)
    lines = Lines(Terminal(), colour=False)
    lines.committed(Commit((entry(1),)))
    with capture_logs() as logs:
        task = asyncio.create_task(lines.run())
        await asyncio.sleep(10)
        for _ in range(1000):
            lines.committed(Commit((entry(1, at=NOW),)))
        assert not task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [line["log_level"] for line in logs] == ["warning"]
