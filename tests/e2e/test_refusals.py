"""Starts that can't be: each ends soon, with a status that is not 0 and a sentence that says what to change (T20)."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitord.storage.database import connect, disconnect
from tests.support.process import Answer, Monitord, run_monitord
from tests.support.targets import unused_port


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def only_sentence(answer: Answer) -> str:
    """Return what monitord says at its end: one line, and no banner."""
    assert answer.status == 1, answer
    assert answer.stdout == ""
    (sentence,) = [line for line in answer.stderr.splitlines() if line.startswith("monitord: ")]
    assert "Traceback" not in answer.stderr
    return sentence


@pytest.mark.parametrize("name", ["MONITORD_PORT", "MONITORD_METRICS_PORT", "MONITORD_PING_PORT"])
async def test_a_port_in_use_is_named(name: str, taken: int, database_url: str, tmp_path: Path) -> None:
    settings = {"MONITORD_STATE_DIR": str(tmp_path / "state"), "MONITORD_DATABASE_URL": database_url}
    settings |= {"MONITORD_PORT": "0", "MONITORD_METRICS_PORT": "0", "MONITORD_PING_PORT": "0", name: str(taken)}
    sentence = only_sentence(await run_monitord(tmp_path, "run", settings=settings))
    assert str(taken) in sentence
    assert name in sentence


async def test_every_bad_setting_is_named_at_once(tmp_path: Path) -> None:
    settings = {
        "MONITORD_PROT": "50051",
        "MONITORD_METRICS_PORT": "99999",
        "MONITORD_ADMIN_PASSWORD": "hunter2",
        "MONITORD_TLS_CERT": str(tmp_path / "cert.pem"),
        "DATABASE_URL": "mysql://me:hunter2@db/monitord",
    }
    answer = await run_monitord(tmp_path, "run", settings=settings, real=True)
    assert answer.status == 2
    assert answer.stdout == ""
    assert "MONITORD_PROT is not a setting; did you mean MONITORD_PORT?" in answer.stderr
    for name in ("MONITORD_METRICS_PORT=99999", "MONITORD_ADMIN_PASSWORD", "DATABASE_URL"):
        assert name in answer.stderr
    assert "hunter2" not in answer.stderr


async def test_settings_that_contradict_each_other_are_both_named(tmp_path: Path) -> None:
    answer = await run_monitord(tmp_path, "run", settings={"MONITORD_TLS_CERT": str(tmp_path / "cert.pem")})
    assert answer.status == 2
    assert "MONITORD_TLS_CERT and MONITORD_TLS_KEY" in answer.stderr


async def test_a_database_that_stays_away_ends_the_start_after_the_wait_that_was_announced(tmp_path: Path) -> None:
    port = unused_port()
    url = f"postgresql://monitord:hunter2@127.0.0.1:{port}/monitord"
    settings = {"MONITORD_STATE_DIR": str(tmp_path), "MONITORD_DATABASE_URL": url, "MONITORD_DATABASE_WAIT_S": "1"}
    begun = time.monotonic()
    answer = await run_monitord(tmp_path, "run", settings=settings)
    assert 1 <= time.monotonic() - begun < 15
    assert re.match(r"The database is not available: .*\. Trying for up to 1 s\.\n", answer.stderr)
    assert "refused" in only_sentence(answer)
    assert f"Postgres at 127.0.0.1:{port}, or correct MONITORD_DATABASE_URL" in only_sentence(answer)
    assert "hunter2" not in answer.stderr


async def test_told_to_stop_it_waits_for_no_database(tmp_path: Path) -> None:
    url = f"postgresql://monitord@127.0.0.1:{unused_port()}/monitord"
    process = Monitord(tmp_path, settings={"MONITORD_DATABASE_URL": url, "MONITORD_DATABASE_WAIT_S": "600"})
    try:
        await process.said("Trying for up to 600 s.")
        assert await process.stop() == 0
        process.assert_no_bug_shows()
    finally:
        process.process.kill()
        process.process.wait()


async def test_a_database_that_refuses_us_is_not_waited_for(database_url: str, tmp_path: Path) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    wrong = database_url.replace(f"/{name}?", "/nowhere?")
    assert wrong != database_url
    settings = {"MONITORD_STATE_DIR": str(tmp_path / "state"), "MONITORD_DATABASE_URL": wrong}
    assert "nowhere" in only_sentence(await run_monitord(tmp_path, "run", settings=settings))


async def test_monitors_that_cannot_be_are_refused_with_the_field(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "monitors:\n  - name: x\n    interval: 1s\n    http: {url: 'ftp://127.0.0.1/'}\n"
    )
    settings = {"MONITORD_STATE_DIR": str(tmp_path / "state"), "MONITORD_DATABASE_URL": database_url}
    sentence = only_sentence(await run_monitord(tmp_path, "run", "--apply", "bad.yaml", settings=settings))
    assert "interval" in sentence
    assert "http.url" in sentence


async def test_a_state_folder_that_cannot_be_made_is_named(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = {"MONITORD_STATE_DIR": str(tmp_path / "file" / "state"), "MONITORD_DATABASE_URL": database_url}
    sentence = only_sentence(await run_monitord(tmp_path, "run", settings=settings))
    assert str(tmp_path / "file" / "state") in sentence
    assert "MONITORD_STATE_DIR" in sentence


async def test_a_plan_that_there_is_not_stops_the_start_and_those_there_are_can_be_given(
    database_url: str, tmp_path: Path
) -> None:
    settings = {"MONITORD_STATE_DIR": str(tmp_path / "state"), "MONITORD_DATABASE_URL": database_url}
    wrong = settings | {"MONITORD_DEFAULT_PLAN": "gold"}
    sentence = only_sentence(await run_monitord(tmp_path, "run", settings=wrong))
    assert "There is no plan GOLD: there are FREE, PRO, TEAM. MONITORD_DEFAULT_PLAN=GOLD" in sentence
    connection = await connect(database_url)
    try:
        org_id = await connection.fetchval("INSERT INTO organisations (name) VALUES ('shop') RETURNING id")
    finally:
        await disconnect(connection)
    given = await run_monitord(tmp_path, "set-plan", str(org_id), "team", settings=settings)
    assert (given.status, given.stdout) == (0, f"The organisation {org_id} (shop) has the plan TEAM now.\n")
    refused = await run_monitord(tmp_path, "set-plan", str(org_id), "gold", settings=settings)
    assert "There is no plan GOLD" in only_sentence(refused)
    listed = await run_monitord(tmp_path, "plans", settings=settings)
    assert re.search(r"^TEAM .* 1$", listed.stdout, re.MULTILINE)
