"""The canary of T15: what is secret stands nowhere that anyone looks."""

from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest
from google.protobuf.message import Message

from monitord.storage.database import Database
from monitord_client import (
    Client,
    Contact,
    InvalidArgumentError,
    Monitor,
    Scope,
    UnauthenticatedError,
    WebhookContact,
    http_monitor,
)
from tests.e2e.conftest import FAST
from tests.e2e.target import Target
from tests.e2e.watching import DOWN, becomes
from tests.support.process import Monitorctl, Monitord, monitord

CANARY = "canary-7c1e0d9f"
TABLES = (
    "monitors", "monitor_logs", "check_evidence", "request_ids", "api_keys", "sessions", "users", "alert_contacts",
    "alerts", "alert_attempts", "audit_events", "contact_confirmations", "address_proofs",
)  # fmt: skip


async def answers_of(client: Client, up: Target) -> list[Message]:
    """Make every kind of call that has to do with a monitor that has a secret, and return the answers."""
    secret = {"X-Token": CANARY}
    wanted, once = http_monitor("guarded", up.url("/down"), interval=1, secret_headers=secret), str(uuid4())
    monitor = await client.create_monitor(wanted, request_id=once)
    again = await client.create_monitor(wanted, request_id=once)
    answers: list[Message] = [monitor, again, await becomes(client, monitor.id, DOWN)]
    answers += [each async for each in client.list_monitors()]
    answers += [await client.check_now(monitor.id)]
    answers += [await client.test_monitor(http_monitor("", up.url("/down"), secret_headers=secret))]
    answers += [row async for row in client.list_check_logs(monitor.id)]
    answers += [await client.get_check_log(monitor.id, 1)]
    answers += [await client.get_monitor_metrics(monitor.id)]
    answers += await client.apply_monitors([http_monitor("guarded", up.url("/down"), secret_headers=secret)])
    answers += [await client.update_monitor(Monitor(id=monitor.id, name="still guarded"), fields=["name"])]
    answers += [await client.pause_monitor(monitor.id), await client.resume_monitor(monitor.id)]
    async with aclosing(client.tail(last=1)) as events:
        answers += [(await anext(events)).check_log]  # type: ignore[union-attr]
    hook = WebhookContact(url=up.url("/hook"), signing_key=CANARY)
    hook.headers.add(name="X-Hook", value=CANARY, secret=True)
    contact = await client.create_contact(Contact(name="hook", webhook=hook))
    answers += [contact, await client.test_contact(contact.id), *[each async for each in client.list_contacts()]]
    answers += [await client.get_user(), *[key async for key in client.list_api_keys()]]
    return answers


async def refusals_of(process: Monitord, client: Client, up: Target) -> list[str]:
    """Make calls that are refused while they carry the secret, and return what is said."""
    told = []
    for value in (f"{CANARY}\n", CANARY * 1000):
        with pytest.raises(InvalidArgumentError) as caught:
            await client.create_monitor(http_monitor("bad", up.url(), secret_headers={"X-Token": value}))
        told.append(f"{caught.value} {caught.value.violations}")
    async with process.client(key=f"mk_{CANARY}_{CANARY}") as stranger:
        with pytest.raises(UnauthenticatedError) as refused:
            await stranger.get_user()
        told.append(f"{refused.value} {refused.value.metadata}")
    return told


async def test_no_secret_shows_anywhere(database_url: str, database: Database, up: Target, tmp_path: Path) -> None:
    settings = {
        **FAST,
        "MONITORD_DATABASE_URL": database_url,
        "MONITORD_LOG_LEVEL": "debug",
        "MONITORD_CONSOLE": "lines",
        "MONITORD_ADMIN_PASSWORD": f"{CANARY}-password",
        "MONITORD_HEARTBEAT_URL": up.url(f"/beat?{CANARY}"),
    }
    up.fail("/down")
    async with monitord(tmp_path, settings=settings) as process:
        key = process.key
        async with process.client() as client:
            answers = await answers_of(client, up)
            told = await refusals_of(process, client, up)
            made = await client.create_api_key("other", Scope.SCOPE_READ)
            _, metrics = await process.get("/metrics")
        ctl = Monitorctl(tmp_path, process.address, key)
        printed = await ctl.ok("show", "still guarded") + await ctl.ok("export") + await ctl.ok("logs", "still guarded")
    assert up.count(f"/beat?{CANARY}") == 1, "heard as soon as monitord is ready (I19), and not before a minute again"
    assert any(f"X-Token: {CANARY}" in request.head for request in up.requests), "the target itself does get it"

    for secret in (CANARY, key, made.secret):
        assert not any(secret.encode() in answer.SerializeToString() for answer in answers)
        assert secret not in " ".join(told)
        assert secret not in metrics
        assert secret not in printed
        assert secret not in process.stderr
        assert secret not in process.stdout.replace(key, "", 1), "the banner of the first start shows the key, once"
    assert process.stdout.count(key) == 1
    for secret in (CANARY, key.split("_", 2)[2], made.secret.split("_", 2)[2]):
        assert await stored(database, secret) == [], "in the database it is sealed, or hashed"


async def stored(database: Database, secret: str) -> list[str]:
    """Return the tables that hold a text, as such or as bytes."""
    encoded = secret.encode().hex()
    found = []
    async with database.connection() as connection:
        for table in TABLES:
            query = f"SELECT count(*) FROM {table} AS t WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0"
            if await connection.fetchval(query, secret, encoded):
                found.append(table)
    return found
