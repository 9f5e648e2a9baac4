import pytest
from rich.console import Console

from monitord.console.banner import Welcome, banner
from monitord.console.board import RATE_S, STRIP, Board
from monitord.console.choice import console_for
from monitord.console.lines import Lines
from monitord.console.table import LiveTable, age
from monitord.domain.check import Verdict
from monitord.domain.health import Status
from monitord.domain.instant import MINUTE, SECOND
from tests.unit.console.samples import NOW, Commit, Terminal, assignment, change, entry


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def drawn(table: LiveTable, *, encoding: str = "utf-8", height: int = 30, colour: bool = False) -> str:
    out = Terminal(encoding)
    Console(file=out, width=160, force_terminal=colour, color_system="standard" if colour else None).print(
        table.picture(height)
    )
    return out.getvalue()


def table_of(*assignments, encoding: str = "utf-8") -> tuple[LiveTable, Clock]:
    clock = Clock()
    table = LiveTable(Terminal(encoding), clock)
    for each in assignments:
        table.adopt(each)
    return table, clock


def test_a_row_tells_name_target_status_response_history_uptime_and_since_when():
    table, clock = table_of(assignment(1, "shop", Status.PENDING))
    table.committed(Commit((entry(1, Verdict.UP),), (change(1, Status.PENDING, Status.UP),)))
    clock.now += 3 * MINUTE
    table.committed(Commit((entry(1, Verdict.DOWN, at=clock.now),), (change(1, Status.UP, Status.DOWN, at=clock.now),)))
    clock.now += MINUTE
    row = next(line for line in drawn(table).splitlines() if "shop" in line)
    assert row.split("  ")[0] == "shop"
    cells = row.split()
    assert cells == ["shop", "http://127.0.0.1:80/1", "DOWN", "1,234", "ms", "■■", "75.00", "%", "60", "s"]


def test_history_is_coloured_by_verdict_and_only_the_newest_are_kept():
    table, _ = table_of(assignment(1))
    for verdict in [Verdict.DOWN, *[Verdict.UP] * (STRIP - 1), None]:
        table.committed(Commit((entry(1, verdict),)))
    text = drawn(table, colour=True)
    assert f"\x1b[32m{'■' * (STRIP - 1)}\x1b[0m\x1b[90m■\x1b[0m" in text


def test_a_terminal_without_unicode_gets_plain_ascii():
    table, _ = table_of(*(assignment(n, f"site {n}") for n in range(1, 9)), encoding="ascii")
    for verdict in (*Verdict, None):
        table.committed(Commit((entry(1, verdict),)))
    text = drawn(table, encoding="ascii", height=3)
    assert "+~x?!^." in text
    assert "and 5 more" in text


def test_with_thousands_of_monitors_the_worst_are_shown_and_the_rest_counted():
    board_size = 5_000
    table, _ = table_of(*(assignment(n, f"site {n:05}", Status.UP) for n in range(1, board_size + 1)))
    table.committed(Commit((), (change(4_321, Status.UP, Status.DOWN), change(1_234, Status.UP, Status.DEGRADED))))
    lines = drawn(table, height=10).splitlines()
    assert lines[0].startswith("5,000 monitors  1 down  1 degraded  4,998 up")
    assert "site 04321" in lines[2]
    assert "site 01234" in lines[3]
    assert "and 4,990 more" in lines[-1]


def test_forgotten_and_renamed_monitors():
    table, clock = table_of(assignment(1, "old name", Status.UP), assignment(2, "gone", Status.UP))
    clock.now += MINUTE
    table.committed(Commit((entry(1),)))
    table.adopt(assignment(1, "new name", Status.PENDING))
    table.forget(2)
    table.forget(2)
    table.committed(Commit((entry(2),), (change(2, Status.UP, Status.DOWN),)))
    text = drawn(table)
    assert "new name" in text
    assert "old name" not in text
    assert "gone" not in text
    assert "■" in text, "a change of configuration keeps the history"


def test_markup_and_controls_in_a_name_are_shown_as_text():
    """T19"""
    table, _ = table_of(assignment(1, "[bold]x[/] \x1b[2J\u202e"))
    text = drawn(table)
    assert "[bold]x[/]" in text
    assert "\x1b[2J" not in text
    assert "\u202e" not in text


def test_rate_and_lateness_of_the_last_seconds():
    board = Board()
    for second in range(100):
        checks = tuple(entry(1, at=NOW + second * SECOND + n, late=2_000 + n) for n in range(5))
        board.committed(Commit(checks))
    rate, late_ms = board.rate(NOW + 100 * SECOND)
    assert rate == 5
    assert late_ms == pytest.approx(2.004)
    assert board.rate(NOW + (100 + RATE_S + 1) * SECOND) == (0, 0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d"), (-5, "0 s")]
)
def test_age(seconds, text):
    assert age(seconds * SECOND) == text


def test_the_console_fits_what_standard_output_is(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    clock = Clock()
    assert isinstance(console_for("auto", Terminal(tty=True), clock), LiveTable)
    assert isinstance(console_for("auto", Terminal(), clock), Lines)
    assert isinstance(console_for("table", Terminal(), clock), LiveTable)
    assert isinstance(console_for("lines", Terminal(tty=True), clock), Lines)
    assert console_for("none", Terminal(tty=True), clock) is None
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(console_for("auto", Terminal(tty=True), clock), Lines)


def test_the_banner_says_where_everything_is_and_shows_the_key_only_at_the_first_start(tmp_path):
    welcome = Welcome(
        version="0.1.0",
        grpc_address="127.0.0.1:50051",
        metrics_address="127.0.0.1:9464",
        database="private Postgres in state/",
        key_file=tmp_path / "admin.key",
        new_key="mk_secret",
        monitorctl=".venv/bin/monitorctl",
        example_url="http://127.0.0.1:9465/slow",
    )
    text = banner(welcome)
    assert text.isascii()
    for part in ("127.0.0.1:50051", "http://127.0.0.1:9464/metrics", str(tmp_path / "admin.key"), "mk_secret"):
        assert part in text
    assert text.count("\n  .venv/bin/monitorctl ") == 3
    later = Welcome(
        version="0.1.0",
        grpc_address="127.0.0.1:6000",
        metrics_address="127.0.0.1:9464",
        database="db.internal",
        key_file=None,
        example_url="http://127.0.0.1:9464/readyz",
    )
    assert "monitorctl --address 127.0.0.1:6000 test http://127.0.0.1:9464/readyz" in banner(later)
    assert "mk_" not in banner(later)
    assert "monitorctl --address 127.0.0.1:6000 list" in banner(later)
