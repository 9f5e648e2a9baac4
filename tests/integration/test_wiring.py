"""Who uses which pool: what serves calls is behind the second wall, and the engine is not (T9)."""

import inspect
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from monitord.app import App
from monitord.engine.heartbeats import Heartbeats
from monitord.environment import load
from monitord.identity.account_deletion import AccountDeletion
from monitord.identity.authenticator import Authenticator
from monitord.identity.registration import Registration
from monitord.identity.sessions import Sessions
from monitord.identity.vault import Vault
from monitord.notification import Notification
from monitord.rpc.account_export import AccountFile
from monitord.rpc.engine import Engine
from monitord.storage.database import Database
from monitord.storage.tenancy import Pools, TenantDatabase
from monitord.storage.wall import Wall

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
NOT_BEHIND = (AccountDeletion, AccountFile, Authenticator, Engine, Heartbeats, Registration, Sessions)
"""What handlers ask that is not behind the wall: see the list in ``storage.tenancy``."""


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """All of monitord, put together and not started."""
    settings = load({"MONITORD_STATE_DIR": str(tmp_path)})
    pools = Pools(Database(NOWHERE), TenantDatabase(NOWHERE, Wall(None)))
    built = App(settings, pools, Vault([bytes(32)]), [], None, None)
    yield built
    await built.shut()


def attributes(thing: object) -> Iterator[object]:
    """Yield what a thing of ours has, and what is in its collections; of what it only calls, the stores."""
    if inspect.ismethod(thing):
        if type(thing.__self__).__module__.startswith("monitord.storage."):
            yield thing.__self__
    elif isinstance(thing, Mapping):
        yield from thing.values()
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from thing
    elif type(thing).__module__.startswith("monitord."):
        yield from getattr(thing, "__dict__", {}).values()
        for each in type(thing).__mro__:
            yield from (getattr(thing, name, None) for name in getattr(each, "__slots__", ()))


def databases_of(thing: object, not_through: tuple[type, ...] = ()) -> set[Database]:
    """Return every pool that is reached from a thing."""
    found: set[Database] = set()
    seen, left = {id(thing)}, [thing]
    while left:
        one = left.pop()
        if isinstance(one, Database):
            found.add(one)
            continue
        for each in attributes(one):
            if id(each) not in seen and not isinstance(each, not_through):
                seen.add(id(each))
                left.append(each)
    return found


async def test_what_serves_calls_is_behind_the_wall(app: App) -> None:
    services = app._rpc._services
    for name in services.__slots__:
        found = databases_of(getattr(services, name), NOT_BEHIND)
        behind = app._pools.engine if name == "organisations" else app._pools.tenants
        assert found == {behind}, name


async def test_what_is_not_behind_it_and_what_runs_by_itself_is_on_the_engines_pool(app: App) -> None:
    """There nobody is calling: on the other pool it would fail at once."""
    services = app._rpc._services
    for thing in (services.auth._sessions, services.accounts._registration, services.check_logs._sessions):  # type: ignore[attr-defined]
        assert databases_of(thing) == {app._database}
    on_some = set()
    for name, run in app.services():
        runner = getattr(run, "__self__", None)
        found = databases_of(app._notification.dispatcher if isinstance(runner, Notification) else runner)
        assert app._pools.tenants not in found, name
        if found:
            on_some.add(name)
    assert on_some >= {"the writer of the check log", "the reconciler", "the dispatcher of alerts", "the janitor"}
