"""The life of the process: start, signals, and an end that comes in any case."""

import asyncio
import os
import shutil
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from monitord import __version__
from monitord.app import App
from monitord.console.banner import Welcome, show
from monitord.console.choice import console_for
from monitord.demo import HOST as DEMO_HOST
from monitord.demo import PORT as DEMO_PORT
from monitord.demo import DemoTargets
from monitord.engine.clock import SystemClock
from monitord.identity.accounts import Accounts
from monitord.identity.passwords import Passwords
from monitord.identity.vault import Vault
from monitord.jobs import run_job, say
from monitord.services import ServiceEndedError, run_for_ever
from monitord.settings import Settings
from monitord.startup import (
    KEY_FILE,
    addresses_of,
    certificate_of,
    descriptors_for,
    first_administrator,
    make_state_dir,
    pool,
    postgres,
)
from monitord.storage.accounts import AccountStore
from monitord.storage.api_keys import ApiKeyStore
from monitord.storage.migrate import migrate
from monitord.storage.private_server import PrivateServer

_T = TypeVar("_T")

ConsoleMode = Literal["auto", "table", "lines", "none"]

_HARD_LIMIT_S = 30.0
"""Beyond the grace for checks and calls: how long the rest of a shutdown may take before the process just ends."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `monitord run` was asked for."""

    apply: Path | None = None
    demo: bool = False
    demo_port: int = DEMO_PORT
    console: ConsoleMode = "auto"


def serve(settings: Settings, options: Options) -> int:
    """Run monitord until it is told to stop; return the exit status."""
    return run_job(_serve(settings, options))


def migrate_only(settings: Settings) -> int:
    """Migrate the operator's database; return the exit status."""
    if settings.database_url is None:
        say("Set MONITORD_DATABASE_URL: the private Postgres is migrated whenever monitord starts.")
        return 2
    return run_job(_migrate(settings.database_url.get_secret_value()))


def set_password(settings: Settings, email: str, password: str) -> int:
    """Set a user's password; return the exit status."""
    return run_job(_set_password(settings, email, password))


async def _serve(settings: Settings, options: Options) -> int:
    stop = asyncio.Event()
    _obey_signals(stop)
    async with AsyncExitStack() as stack:
        started = await _unless(stop, _start(settings, options, stack))
        if started is not None:
            await _work(*started, stop, settings.shutdown_grace_s)
    return 0


async def _start(settings: Settings, options: Options, stack: AsyncExitStack) -> tuple[App, PrivateServer | None]:
    """Make everything ready and say where it is; what is to be undone at the end goes on the stack as it is done."""
    make_state_dir(settings.state_dir)
    if shortage := descriptors_for(settings.max_checks_in_flight):
        say(shortage)
    vault = Vault.open(settings.state_dir, settings.secret_key.get_secret_value() if settings.secret_key else None)
    certificate = certificate_of(settings)
    dsn, server = await stack.enter_async_context(postgres(settings, say))
    database = await stack.enter_async_context(
        pool(dsn, settings.database_pool_size, within_s=settings.database_wait_s)
    )
    console = console_for(options.console, sys.stdout, SystemClock().now)
    app = App(settings, database, vault, await addresses_of(dsn), console, certificate)
    demo_url = None
    if options.demo:
        demo = DemoTargets(port=options.demo_port)
        stack.push_async_callback(demo.stop)
        demo_url = f"http://{DEMO_HOST}:{await demo.start()}/slow"
    stack.push_async_callback(app.shut)
    first = None if options.apply is None else partial(app.first_start.read, options.apply)
    new_key = await first_administrator(settings, app.accounts, first or (lambda: None))
    if new_key is not None and first is not None:
        await app.first_start.store(new_key, first())
    bound = await app.open()
    show(_welcome(settings, bound, server, new_key, demo_url), sys.stdout)
    return app, server


async def _unless(stop: asyncio.Event, job: Coroutine[Any, Any, _T]) -> _T | None:
    """Return what a job returns; or None when told to stop first, once the job is cancelled and over."""
    tasks = (asyncio.ensure_future(job), asyncio.ensure_future(stop.wait()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _work(app: App, server: PrivateServer | None, stop: asyncio.Event, grace_s: float) -> None:
    """Run the services until told to stop, then take them down in order."""
    async with asyncio.TaskGroup() as group:
        services = app.services()
        if server is not None:
            services.append(("the private Postgres", partial(_outlive, server)))
        tasks = [group.create_task(run_for_ever(name, run), name=name) for name, run in services]
        await stop.wait()
        _end_in_any_case(grace_s + _HARD_LIMIT_S)
        await app.close(grace_s)
        for task in tasks:
            task.cancel()


async def _outlive(server: PrivateServer) -> None:
    """Wait for the end of our Postgres, which should not come before ours."""
    raise ServiceEndedError(await server.wait())


def _obey_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        if stop.is_set():
            say("Told twice: ending at once.")
            os._exit(128 + number)
        stop.set()
        say("Stopping: checks under way finish first. Once more ends at once.")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told, number)


def _end_in_any_case(limit_s: float) -> None:
    """End the process after a limit, even if the loop hangs by then."""

    def end() -> None:
        say(f"monitord: the shutdown took more than {limit_s:.0f} s: ending without the rest of it.")
        os._exit(70)

    timer = threading.Timer(limit_s, end)
    timer.daemon = True
    timer.start()


def _welcome(
    settings: Settings, bound: tuple[int, int], server: PrivateServer | None, new_key: str | None, demo_url: str | None
) -> Welcome:
    key_file = settings.state_dir / KEY_FILE
    metrics_address = f"{settings.metrics_host}:{bound[1]}"
    return Welcome(
        version=__version__,
        grpc_address=f"{settings.host}:{bound[0]}",
        metrics_address=metrics_address,
        database="private Postgres in " + str(settings.state_dir) if server else "as MONITORD_DATABASE_URL says",
        key_file=key_file if key_file.exists() else None,
        new_key=new_key,
        monitorctl=_monitorctl(),
        options=_options(settings),
        example_url=demo_url or f"http://{metrics_address}/readyz",
    )


def _monitorctl() -> str:
    """Return how to call monitorctl from here: by its name where the shell finds it, else by its path."""
    beside = Path(sys.executable).with_name("monitorctl")
    if shutil.which("monitorctl") or not beside.exists():
        return "monitorctl"
    return os.path.relpath(beside)


def _options(settings: Settings) -> str:
    """Return what monitorctl needs to be told of TLS; of files that are its user's own, that there have to be some."""
    if settings.tls_cert is None:
        return ""
    return "--tls" if settings.tls_client_ca is None else "--tls --cert FILE --cert-key FILE"


async def _migrate(dsn: str) -> int:
    say("The schema is up to date now." if await migrate(dsn, within_s=30) else "The schema was up to date.")
    return 0


async def _set_password(settings: Settings, email: str, password: str) -> int:
    make_state_dir(settings.state_dir)
    async with postgres(settings, say, join=True) as (dsn, _), pool(dsn, 2) as database:
        hasher = Passwords()
        try:
            accounts = Accounts(
                AccountStore(database), ApiKeyStore(database), hasher, now=SystemClock().now, ended=lambda _: None
            )
            await accounts.set_password(email, password)
        finally:
            hasher.close()
    say(f"The password of {email} is set; sessions that were open have ended.")
    return 0
