"""The commands about the master keys: which there are, another one first, and the old ones away (T15)."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Self

import msgspec

from monitord.domain.errors import FailedPreconditionError
from monitord.identity.actor import Actor, current_actor
from monitord.identity.key_file import KEY_FILE, KeyFile, key_id, new_key, parse_keys, spelled
from monitord.identity.vault import LOOK_S, Vault
from monitord.jobs import run_job, say
from monitord.settings import Settings
from monitord.startup import pool, postgres
from monitord.storage.resealing import Resealing, Sealed, Unopened, alone

SETTING = "MONITORD_SECRET_KEY"

NOTICED_S = LOOK_S + 0.5
"""By when a monitord that runs seals with a new first key, unless its processor stands still."""

_ROUNDS = 5
"""Over all values, at most. One is enough, but for what others seal or hold meanwhile."""
_SHOWN = 5
_INTERRUPTED = 130

Census = Mapping[bytes, Sealed]


class Keys(msgspec.Struct, frozen=True):
    """The master keys, the current one first, and where they are."""

    masters: list[bytes]
    file: KeyFile | None
    """None: in the setting, which no command can change."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read them. Raises FailedPreconditionError where there are none, or they can't be used."""
        if settings.secret_key is not None:
            return cls(parse_keys(settings.secret_key.get_secret_value(), SETTING), None)
        file = KeyFile(settings.state_dir / KEY_FILE)
        try:
            return cls(file.read(), file)
        except FileNotFoundError:
            raise FailedPreconditionError(
                f"There is no {file.path}: `monitord run` makes it at its first start. If that was elsewhere, "
                f"MONITORD_STATE_DIR, or {SETTING}, has to be as it is there."
            ) from None

    @property
    def ids(self) -> list[bytes]:
        """Their ids, in order."""
        return [key_id(key) for key in self.masters]

    @property
    def place(self) -> str:
        """Where they are, in words."""
        return SETTING if self.file is None else str(self.file.path)

    def __repr__(self) -> str:
        """Show no key (T15)."""
        return f"Keys({len(self.masters)}, {self.place})"


def status(settings: Settings) -> int:
    """Say which keys there are and what each seals; return 1 if there are values whose key is missing."""
    return run_job(_status(settings))


def rotate(settings: Settings) -> int:
    """Make a new key the first one and seal everything with it, or go on with that; return the exit status."""
    try:
        return run_job(_rotate(settings))
    except KeyboardInterrupt:
        say("Interrupted. What is sealed anew stays so; `monitord keys rotate` goes on with the rest.")
        return _INTERRUPTED


def retire(settings: Settings, *, break_ping_urls: bool) -> int:
    """Drop the keys that seal nothing any more; return the exit status."""
    return run_job(_retire(settings, break_ping_urls))


async def _status(settings: Settings) -> int:
    keys = Keys.of(settings)
    async with _resealing(settings) as (_, resealing):
        census = await resealing.census()
    for number, each in enumerate(keys.ids):
        sealed = census.get(each, Sealed(0, ""))
        sys.stdout.write(f"{each.hex()}  {'older  ' if number else 'current'}  seals {_values(sealed.number)}\n")
    for each, sealed in _missing(keys, census).items():
        sys.stdout.write(f"{each.hex()}  missing  seals {_values(sealed.number)}, such as that of {sealed.example}\n")
    return int(bool(_missing(keys, census)))


async def _rotate(settings: Settings) -> int:
    Keys.of(settings)  # before a database is made that nobody has asked for
    async with _resealing(settings) as (dsn, resealing), alone(dsn):
        current_actor.set(Actor(method="monitord keys rotate"))
        keys = Keys.of(settings)
        stale = _older(keys, await resealing.census())
        if stale:
            say(f"The rotation to the key {keys.ids[0].hex()} was not finished: {_in_use(stale)}. Going on with it.")
            done, unopened = await _reseal(resealing, keys, stale)
            if done:
                return await _finish(resealing, keys, unopened)
        if keys.file is None:
            if keys.ids[1:] and not await resealing.is_noted("rotated", keys.ids[0]):
                return await _finish(resealing, keys, [])  # the operator has just put it there, as we asked
            return _ask_for_the_setting(keys)
        keys = _with_a_new_one(keys, keys.file)
        _, unopened = await _reseal(resealing, keys, _older(keys, await resealing.census()))
        return await _finish(resealing, keys, unopened)


def _with_a_new_one(keys: Keys, file: KeyFile) -> Keys:
    masters = [new_key(), *keys.masters]
    file.replace(masters, instead_of=keys.masters)
    more = Keys(masters, file)
    say(f"The new key {more.ids[0].hex()} stands first in {file.path}.")
    return more


async def _reseal(resealing: Resealing, keys: Keys, stale: Census) -> tuple[int, list[Unopened]]:
    """Seal with the first key what the others seal, until nothing is left; return how many, and what doesn't open."""
    vault, done = Vault(keys.masters), 0
    total = sum(sealed.number for sealed in stale.values())

    def told(number: int) -> None:
        nonlocal done
        done += number
        if number:
            say(f"Sealed anew: {done} of {max(total, done)}.")

    unopened = await resealing.reseal(vault, keys.ids[1:], told)
    for _ in range(_ROUNDS - 1):
        # A monitord that has not noticed the new key yet seals with the one before for a moment, after we were there.
        await asyncio.sleep(NOTICED_S)
        unopened = await resealing.reseal(vault, keys.ids[1:], told)
        if sum(sealed.number for sealed in _older(keys, await resealing.census()).values()) <= len(unopened):
            break
    return done, unopened


async def _finish(resealing: Resealing, keys: Keys, unopened: Collection[Unopened]) -> int:
    """Write the rotation into the audit log, and say how it went."""
    census = await resealing.census()
    await resealing.note("rotated", keys.ids[0], values=census.get(keys.ids[0], Sealed(0, "")).number)
    stale, missing = _older(keys, census), _missing(keys, census)
    for value in list(unopened)[:_SHOWN]:
        say(f"The secrets of {value.place} could not be opened: {value.reason}. Set them anew, or delete it.")
    if len(unopened) > _SHOWN:
        say(f"So it is with {len(unopened) - _SHOWN} more.")
    for each, sealed in missing.items():
        say(
            f"The key {each.hex()} seals {_values(sealed.number)}, such as that of {sealed.example}, and is not in "
            f"{keys.place}: put it behind the others there, and run this again."
        )
    if stale:
        say(f"Still in use besides the first key: {_in_use(stale)}. Run this again to go on.")
    if stale or missing:
        return 1
    say(f"The key {keys.ids[0].hex()} seals everything, and whatever comes.")
    if keys.file is not None:
        say("A monitord that runs has noticed it by itself.")
    if kept := keys.ids[1:]:
        say(
            f"Kept for sessions, links and heartbeat URLs that were made with them: {_listed(kept)}. `monitord keys "
            "retire` drops them."
        )
    return 0


def _ask_for_the_setting(keys: Keys) -> int:
    say(
        f"The keys stand in {SETTING}, which only you can change. Nothing has changed yet. Put this there for every "
        "monitord of this database, restart them, and then run `monitord keys rotate` again, with the same setting:"
    )
    sys.stdout.write(f"{SETTING}={spelled([new_key(), *keys.masters], ',')}\n")
    return 0


async def _retire(settings: Settings, break_ping_urls: bool) -> int:
    Keys.of(settings)
    async with _resealing(settings) as (dsn, resealing), alone(dsn):
        current_actor.set(Actor(method="monitord keys retire"))
        keys = Keys.of(settings)
        old = keys.ids[1:]
        if not old:
            say(f"There is one key in {keys.place}, {keys.ids[0].hex()}: nothing to retire.")
            return 0
        _refuse_keys_in_use(keys, await resealing.census())
        if not break_ping_urls:
            await _refuse_to_break_ping_urls(resealing)
        # Every monitord that runs has noticed by then that another key is the first one, should that be new.
        await asyncio.sleep(NOTICED_S)
        async with resealing.standstill() as tx:
            _refuse_keys_in_use(keys, await resealing.census(within=tx))
            for each in old:
                await resealing.note("retired", each, within=tx)
            if keys.file is not None:
                keys.file.replace(keys.masters[:1], instead_of=keys.masters)
    if keys.file is None:
        say(
            f"Nothing is sealed with {_listed(old)}. Leave in {SETTING} only what stands before the first comma, for "
            "every monitord of this database, and restart them."
        )
    else:
        say(f"Retired: {_listed(old)}. In {keys.place} there is {keys.ids[0].hex()} alone.")
    say("Sessions that have not been renewed since the rotation end, and links of mails that were sent before it.")
    return 0


def _refuse_keys_in_use(keys: Keys, census: Census) -> None:
    if stale := _older(keys, census):
        raise FailedPreconditionError(
            f"Still in use: {_in_use(stale)}. Run `monitord keys rotate` first, which goes on with what is left."
        )


async def _refuse_to_break_ping_urls(resealing: Resealing) -> None:
    found = await resealing.heartbeats(_SHOWN)
    if found.number:
        more = f" and {found.number - len(found.names)} more" if found.number > len(found.names) else ""
        raise FailedPreconditionError(
            f"There are heartbeats: {', '.join(found.names)}{more}. The jobs of those that were made before the "
            "rotation have a ping_url that is signed with a key to be retired: it would be answered with 404, and they "
            "would be DOWN. Give them the URL that `monitorctl show` prints now; the log of monitord names each "
            "monitor whose job has not got it yet (ping_url_of_an_older_key, once a start). Then add "
            "--break-ping-urls. Until then the old keys do no harm."
        )


@asynccontextmanager
async def _resealing(settings: Settings) -> AsyncIterator[tuple[str, Resealing]]:
    """Yield the connection string of the database, and what works on its secrets; also beside a monitord that runs."""
    async with postgres(settings, say, join=True) as (dsn, _), pool(dsn, 2) as database:
        yield dsn, Resealing(database)


def _older(keys: Keys, census: Census) -> Census:
    """Return what the keys behind the first one still seal."""
    return {each: census[each] for each in keys.ids[1:] if each in census}


def _missing(keys: Keys, census: Census) -> Census:
    """Return what keys seal that are not here."""
    return {each: sealed for each, sealed in census.items() if each not in keys.ids}


def _values(number: int) -> str:
    return "1 value" if number == 1 else f"{number} values"


def _in_use(census: Census) -> str:
    return ", ".join(f"{each.hex()} seals {_values(sealed.number)}" for each, sealed in census.items())


def _listed(ids: Collection[bytes]) -> str:
    return ", ".join(each.hex() for each in ids)
