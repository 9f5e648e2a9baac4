"""Maintenance windows: the client's calls, and monitorctl."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from grpc import StatusCode

from monitord_client import Client, EtagMismatchError, MaintenanceWindow, NotFoundError, OneTime
from monitord_client.times import moment_of
from tests.client.conftest import Ctl
from tests.client.fake_monitord import FakeMonitord, Fault


def once(name: str, *, hours: float = 1) -> MaintenanceWindow:
    now = datetime.now(UTC)
    window = MaintenanceWindow(name=name, once=OneTime())
    window.once.start_time.FromDatetime(now)
    window.once.end_time.FromDatetime(now + timedelta(hours=hours))
    return window


async def test_a_lost_answer_makes_no_second_window(server: FakeMonitord, client: Client) -> None:
    server.faults["CreateMaintenanceWindow"].append(Fault(StatusCode.UNAVAILABLE, after_acting=True))
    made = await client.create_maintenance_window(once("upgrade"))
    assert (len(server.calls), len(server.windows)) == (2, 1)
    assert (await client.get_maintenance_window(made.id)).name == "upgrade"


async def test_all_pages_are_listed(server: FakeMonitord, client: Client) -> None:
    server.page_size = 2
    for number in range(5):
        server.open_window(once(f"w{number}"))
    assert [window.name async for window in client.list_maintenance_windows()] == ["w0", "w1", "w2", "w3", "w4"]


async def test_a_change_says_what_and_minds_the_etag(server: FakeMonitord, client: Client) -> None:
    stored = server.open_window(once("upgrade"))
    wish = MaintenanceWindow(id=stored.id, etag=stored.etag, name="move", active=False)
    assert (await client.update_maintenance_window(wish, fields=["active"])).name == "upgrade"
    with pytest.raises(EtagMismatchError):
        await client.update_maintenance_window(wish, fields=["name"])


async def test_a_deletion_whose_answer_was_lost_is_no_error(server: FakeMonitord, client: Client) -> None:
    stored = server.open_window(once("upgrade"))
    server.faults["DeleteMaintenanceWindow"].append(Fault(StatusCode.UNAVAILABLE, after_acting=True))
    await client.delete_maintenance_window(stored.id)
    with pytest.raises(NotFoundError):
        await client.delete_maintenance_window(stored.id)


async def test_one_that_begins_now(server: FakeMonitord, ctl: Ctl) -> None:
    await ctl("add", "shop", "https://shop.example/")
    made = await ctl("maintenance", "add", "upgrade", "--for", "2h", "-m", "shop", "-l", "team=web")
    assert made.stdout == "+ upgrade (id 1)\n"
    window = server.windows[1]
    length = moment_of(window.once.end_time) - moment_of(window.once.start_time)
    assert (list(window.monitor_ids), dict(window.labels), length) == ([1], {"team": "web"}, timedelta(hours=2))
    assert abs(moment_of(window.once.start_time) - datetime.now(UTC)) < timedelta(seconds=30)


async def test_moments_of_a_zone_and_from_now(server: FakeMonitord, ctl: Ctl) -> None:
    await ctl("maintenance", "add", "a", "--start", "2026-12-24T22:00+01:00", "--end", "2026-12-25T06:00+01:00")
    await ctl("maintenance", "add", "b", "--start", "+2h", "--for", "30m")
    assert moment_of(server.windows[1].once.start_time) == datetime(2026, 12, 24, 21, tzinfo=UTC)
    assert moment_of(server.windows[1].once.end_time) == datetime(2026, 12, 25, 5, tzinfo=UTC)
    assert moment_of(server.windows[2].once.start_time) - datetime.now(UTC) > timedelta(minutes=119)


async def test_again_and_again(server: FakeMonitord, ctl: Ctl) -> None:
    await ctl("maintenance", "add", "weekly", "--cron", "0 3 * * 0", "--time-zone", "Europe/Berlin", "--for", "1h")
    recurring = server.windows[1].recurring
    assert (recurring.cron.expression, recurring.cron.time_zone) == ("0 3 * * 0", "Europe/Berlin")
    assert recurring.duration.seconds == 3600


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "say when it ends: --for 2h, or --end 2026-12-25T06:00"),
        (["--for", "1h", "--end", "2h"], "not both"),
        (["--for", "1"], "'1' has no unit"),
        (["--start", "soon", "--for", "1h"], "--start: 'soon' is not a moment: write how long from now"),
        (["--cron", "0 3 * * 0"], "say how long it is open each time: --for 2h"),
        (["--cron", "0 3 * * 0", "--for", "1h", "--start", "1h"], "leave out --start and --end"),
        (["--for", "1h", "--time-zone", "UTC"], "--time-zone is for --cron"),
        (["--for", "1h", "-m", "nobody"], "no monitor has the name or id 'nobody'"),
    ],
)
async def test_what_is_wrong_is_said(server: FakeMonitord, ctl: Ctl, options: list[str], sentence: str) -> None:
    refused = await ctl("maintenance", "add", "x", *options)
    assert refused.exit_code in (2, 3)
    assert sentence in " ".join(refused.stderr.split())
    assert not server.windows


async def test_the_list_tells_what_is_open(server: FakeMonitord, ctl: Ctl) -> None:
    server.open_window(once("upgrade")).open = True
    server.open_window(once("old", hours=-1))
    off = server.open_window(once("off"))
    off.active = False
    weekly = MaintenanceWindow(name="weekly", monitor_ids=[7])
    weekly.recurring.cron.expression, weekly.recurring.duration.seconds = "0 3 * * 0", 5400
    server.open_window(weekly)
    lines = (await ctl("maintenance", "list")).stdout.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["OPEN", "OVER", "OFF", "WAITING"]
    assert "0 3 * * 0 (UTC), 1h30m" in lines[4]
    assert "monitor 7" in lines[4]
    assert "all monitors" in lines[1]
    told = json.loads((await ctl("maintenance", "list", "-o", "json")).stdout)
    assert [window["name"] for window in told["windows"]] == ["upgrade", "old", "off", "weekly"]


async def test_end_closes_what_is_open_and_switches_off_what_recurs(server: FakeMonitord, ctl: Ctl) -> None:
    server.open_window(once("upgrade")).open = True
    weekly = MaintenanceWindow(name="weekly")
    weekly.recurring.cron.expression, weekly.recurring.duration.seconds = "0 3 * * 0", 5400
    server.open_window(weekly)
    assert (await ctl("maintenance", "end", "upgrade", "2")).exit_code == 0
    assert moment_of(server.windows[1].once.end_time) <= datetime.now(UTC)
    assert not server.windows[2].active


async def test_rm_wants_a_name_that_is_clear(server: FakeMonitord, ctl: Ctl) -> None:
    server.open_window(once("twin"))
    server.open_window(once("twin"))
    unclear = await ctl("maintenance", "rm", "twin")
    assert "several windows are called 'twin': choose by id, one of 1, 2" in unclear.stderr
    assert (await ctl("maintenance", "rm", "2")).exit_code == 0
    assert list(server.windows) == [1]
    assert (await ctl("maintenance", "rm", "nobody")).exit_code == 3
