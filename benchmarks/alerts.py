"""How long an alert takes from the change that it tells of to the mail server's acceptance, and how many fit."""

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.daemon import Daemon, daemon
from benchmarks.processes import script
from benchmarks.progress import say
from benchmarks.report import Figure
from monitord_client import http_monitor

INTERVAL_S = 15
"""Each check is a change: four a minute for each contact, which has one monitor, and none becomes a digest."""
_DAY_S = 86_400
_WITHIN_S = 120.0

_CONTACTS = """
WITH made AS (
    INSERT INTO alert_contacts (org_id, name, type, config, verified_at)
    SELECT org_id, 'bench ' || id, 'email', jsonb_build_object('type', 'email', 'address', 'c' || id || '@example.org'),
           now()
    FROM monitors ORDER BY id RETURNING org_id, id, name
)
INSERT INTO monitor_alert_configs (org_id, monitor_id, contact_id)
SELECT c.org_id, m.id, c.id FROM made AS c JOIN monitors AS m ON c.name = 'bench ' || m.id
"""
_BACKLOG = """
INSERT INTO alerts (org_id, monitor_id, contact_id, kind, at) SELECT org_id, monitor_id, contact_id, 'down', now()
FROM monitor_alert_configs
"""
_PENDING = "SELECT count(*) FROM alerts WHERE state = 'pending'"
_RATE = """
SELECT count(*) / extract(epoch FROM max(settled_at) - min(t.began_at))
FROM alerts AS a JOIN alert_attempts AS t ON t.org_id = a.org_id AND t.alert_id = a.id WHERE a.at >= $1
"""
_DWELL = """
SELECT count(*) AS alerts, count(*) FILTER (WHERE a.state = 'sent') AS sent, count(a.leader_id) AS in_digests,
       percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (ORDER BY extract(epoch FROM a.settled_at - t.at)) AS dwell_s
FROM alerts AS a JOIN monitor_transitions AS t ON t.org_id = a.org_id AND t.id = a.transition_id
WHERE t.at >= $1 AND t.at < $2
"""


async def alerts(rate: int, windows: int, seconds: float) -> list[Figure]:
    """Let ``rate`` monitors change each second, each told to a contact of its own, by mail to a server on loopback."""
    name = f"mail, {rate} changes/s"
    with (
        tempfile.TemporaryDirectory(prefix="monitord-bench-alerts-") as folder,
        script("benchmarks.mail_sink") as mail,
        script("benchmarks.mail_sink", "--flipping") as target,
    ):
        Path(folder).chmod(0o755)  # as root, Postgres runs as another user and must get through
        settings = {
            "MONITORD_SMTP_EMAIL": "monitord@example.org",
            "MONITORD_SMTP_HOST": "127.0.0.1",
            "MONITORD_SMTP_PORT": str(mail),
            "MONITORD_SMTP_SECURITY": "none",
            "MONITORD_SCREENSHOTS": "false",
        }
        async with daemon(Path(folder), settings) as running:
            say(f"{name}: creating")
            await _monitors(running, rate * INTERVAL_S, _DAY_S, target)
            await running.database.execute(_CONTACTS)
            say(f"{name}: a backlog")
            rates = [await _backlog(running) for _ in range(windows)]
            await asyncio.sleep(60)  # what a contact got is forgotten by then: no digests
            await _monitors(running, rate * INTERVAL_S, INTERVAL_S, target)
            await asyncio.sleep(INTERVAL_S + 5)
            measured = []
            for number in range(windows):
                say(f"{name}: window {number + 1} of {windows}")
                measured.append(await _window(running, seconds))
    return [
        Figure(name, "messages accepted, from a backlog", "1/s", rates),
        *(Figure(name, what, unit, [w[key] for w in measured], asked) for key, what, unit, asked in _COLUMNS),
    ]


_COLUMNS = (
    ("rate", "changes told", "1/s", ""),
    ("p50", "dwell p50", "s", ""),
    ("p99", "dwell p99", "s", "< 2"),
    ("max", "dwell max", "s", ""),
    ("unsent", "not sent when the window was over", "", "0"),
    ("digests", "told in digests", "", "0"),
    ("cpu", "CPU per message, monitord with its checks", "ms", ""),
)


async def _monitors(running: Daemon, count: int, interval_s: int, port: int) -> None:
    wanted = []
    for number in range(count):
        monitor = http_monitor(f"bench {number:06}", f"http://127.0.0.1:{port}/{number}", interval=interval_s)
        monitor.failure_threshold = 1
        wanted.append(monitor)
    for start in range(0, count, 1000):
        await running.client.apply_monitors(wanted[start : start + 1000], timeout_s=120)


async def _backlog(running: Daemon) -> float:
    """Leave each contact one message, and return how many a second are accepted."""
    began = datetime.now(UTC)
    await running.database.execute(_BACKLOG)
    async with asyncio.timeout(_WITHIN_S):
        while await running.database.fetchval(_PENDING):
            await asyncio.sleep(0.2)
    return float(await running.database.fetchval(_RATE, began))


async def _window(running: Daemon, seconds: float) -> dict[str, float]:
    start, used = datetime.now(UTC), running.monitord()
    await asyncio.sleep(seconds)
    end, used = datetime.now(UTC), running.monitord() - used
    await asyncio.sleep(3)  # until the last are told
    row = await running.database.fetchrow(_DWELL, start, end)
    assert row is not None
    if row["dwell_s"] is None:
        raise RuntimeError("no alert was sent: see monitord.log in the scenario's folder")
    p50, p99, worst = row["dwell_s"]
    return {
        "rate": row["alerts"] / (end - start).total_seconds(),
        "p50": p50,
        "p99": p99,
        "max": worst,
        "unsent": float(row["alerts"] - row["sent"]),
        "digests": float(row["in_digests"]),
        "cpu": used.cpu_s * 1000 / row["alerts"],
    }
