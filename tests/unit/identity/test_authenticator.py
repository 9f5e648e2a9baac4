import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import msgspec
import pytest

from monitord.domain.errors import (
    AddressNotAllowedError,
    NotFoundError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from monitord.domain.instant import DAY, MINUTE, SECOND, Instant
from monitord.domain.organisation import Role
from monitord.identity import api_keys
from monitord.identity.authenticator import ApiKeyState, Authenticator, Membership, Seat, SessionState
from monitord.identity.credential_cache import TTL_S
from monitord.identity.principal import ApiKeyCredential, Principal, Scope, SessionCredential
from monitord.identity.tokens import Tokens
from monitord.identity.vault import Vault

BEGIN = 1_800_000_000 * SECOND
QUERY_S = 0.001


class FakeDatabase:
    """Answers a query in a millisecond with what stood there when the query began."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKeyState] = {}
        self.sessions: dict[UUID, SessionState] = {}
        self.members: dict[Membership, Seat] = {Membership(7, 70): Seat(Role.OWNER)}
        self.queries = 0
        self.at_once = 0
        self.most_at_once = 0
        self.away = False
        self.slow_s = QUERY_S

    async def api_key_state(self, key_id: str) -> ApiKeyState | None:
        async with self._query():
            found = self.keys.get(key_id)
            await asyncio.sleep(self.slow_s)
            return found

    async def session_state(self, session_id: UUID) -> SessionState | None:
        async with self._query():
            found = self.sessions.get(session_id)
            await asyncio.sleep(self.slow_s)
            return found

    async def seat_of(self, member: Membership) -> Seat | None:
        async with self._query():
            found = self.members.get(member)
            await asyncio.sleep(self.slow_s)
            return found

    @asynccontextmanager
    async def _query(self) -> AsyncIterator[None]:
        if self.away:
            raise UnavailableError("away")
        self.queries += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            self.at_once -= 1


class World:
    """One authenticator on the virtual clock, its database, and what it was told."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.database = FakeDatabase()
        self.used: list[str] = []
        self.tokens = Tokens(Vault([bytes(32)]).derive, now=self.now)
        self.authenticator = Authenticator(
            self.database, self.tokens, now=self.now, on_use=self.used.append, clock=loop.time
        )

    def now(self) -> Instant:
        return BEGIN + round(asyncio.get_running_loop().time() * SECOND)

    def add_key(
        self, scope: Scope = Scope.WRITE, expires_at: Instant | None = None, role: Role = Role.OWNER
    ) -> tuple[str, str]:
        key_id, text = api_keys.generate()
        self.database.keys[key_id] = ApiKeyState(
            key_id=key_id,
            user_id=7,
            org_id=70,
            scope=scope,
            seat=Seat(role),
            digest=api_keys.digest(text),
            expires_at=expires_at,
        )
        return key_id, f"Bearer {text}"

    def add_session(self) -> tuple[SessionCredential, str]:
        credential = SessionCredential(uuid4(), 3)
        self.database.sessions[credential.session_id] = SessionState(
            session_id=credential.session_id, user_id=7, org_id=70, session_version=3, expires_at=BEGIN + DAY
        )
        return credential, f"Bearer {self.tokens.issue_access(7, credential)[0]}"


@pytest.fixture
async def world() -> World:
    return World()


async def refused(call: Awaitable[Principal]) -> str:
    with pytest.raises(UnauthenticatedError) as error:
        await call
    return error.value.message


async def test_a_key_proves_its_owner_and_scope(world: World) -> None:
    key_id, header = world.add_key(Scope.READ)

    principal = await world.authenticator.authenticate(header)

    assert principal == Principal(7, 70, Scope.READ, ApiKeyCredential(key_id))
    assert world.used == [key_id]


async def test_a_session_proves_its_user_who_may_do_everything_of_theirs(world: World) -> None:
    credential, header = world.add_session()

    assert await world.authenticator.authenticate(header) == Principal(7, 70, Scope.ADMIN, credential)


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer   "])
async def test_the_schemes_case_does_not_matter(world: World, scheme: str) -> None:
    _, header = world.add_key()

    await world.authenticator.authenticate(scheme + header.removeprefix("Bearer "))


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer " + "x" * 5000])
async def test_no_usable_credential_is_told_what_would_be_right(world: World, header: str | None) -> None:
    assert "authorization: Bearer" in await refused(world.authenticator.authenticate(header))
    assert world.database.queries == 0


async def test_a_mistyped_key_and_a_forged_token_cost_no_query(world: World) -> None:
    _, header = world.add_key()

    await refused(world.authenticator.authenticate(header[:-1]))
    await refused(world.authenticator.authenticate("Bearer a.b.c"))

    assert world.database.queries == 0


async def test_the_answer_does_not_tell_an_unknown_key_from_a_revoked_expired_or_guessed_one(world: World) -> None:
    _, unknown = api_keys.generate()
    revoked_id, revoked = world.add_key()
    del world.database.keys[revoked_id]
    _, expired = world.add_key(expires_at=BEGIN)
    guessed_id, _ = world.add_key()
    body = f"mk_{guessed_id}_{'0' * 43}"
    guessed = body + api_keys._checksum(body)

    answers = {
        await refused(world.authenticator.authenticate(header))
        for header in (f"Bearer {unknown}", revoked, expired, f"Bearer {guessed}")
    }

    assert len(answers) == 1
    assert world.used == []


async def test_a_credential_in_use_costs_a_query_in_ten_seconds(world: World) -> None:
    # A session has its user's place in the organisation asked for, too.
    for (_, header), each_time in ((world.add_key(), 1), (world.add_session(), 2)):
        world.database.queries = 0
        begun = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - begun < 3 * TTL_S - 0.5:
            await world.authenticator.authenticate(header)
            await asyncio.sleep(0.1)
        assert world.database.queries == 3 * each_time


async def test_calls_at_the_same_time_share_one_query(world: World) -> None:
    _, header = world.add_key()

    await asyncio.gather(*(world.authenticator.authenticate(header) for _ in range(500)))

    assert world.database.queries == 1


async def test_a_key_ends_at_its_exact_expiry_although_it_is_remembered(world: World) -> None:
    _, header = world.add_key(expires_at=BEGIN + 5 * SECOND)
    principal = await world.authenticator.authenticate(header)

    loop = asyncio.get_running_loop()
    await asyncio.sleep(4.999_999 - loop.time())
    assert world.now() == BEGIN + 5 * SECOND - 1
    assert await world.authenticator.authenticate(header) == principal
    await asyncio.sleep(5 - loop.time())
    assert world.now() == BEGIN + 5 * SECOND

    await refused(world.authenticator.authenticate(header))
    assert not await world.authenticator.still_valid(principal)


async def test_what_is_ended_here_is_over_at_once(world: World) -> None:
    """T12."""
    key_id, key_header = world.add_key()
    session, session_header = world.add_session()
    ends: list[tuple[str, Callable[[], object]]] = [
        (key_header, lambda: world.database.keys.pop(key_id)),
        (session_header, lambda: world.database.sessions.pop(session.session_id)),
    ]
    for header, end in ends:
        principal = await world.authenticator.authenticate(header)
        end()
        assert await world.authenticator.still_valid(principal), "the database's own change is not seen for a while"
        world.authenticator.forget(principal.credential)

        await refused(world.authenticator.authenticate(header))
        assert not await world.authenticator.still_valid(principal)


async def test_what_another_process_ends_is_over_within_ten_seconds(world: World) -> None:
    key_id, header = world.add_key()
    await world.authenticator.authenticate(header)
    del world.database.keys[key_id]

    await asyncio.sleep(TTL_S)

    await refused(world.authenticator.authenticate(header))


async def test_a_lookup_that_began_before_a_revocation_is_not_remembered(world: World) -> None:
    """T12."""
    key_id, header = world.add_key()
    early = asyncio.create_task(world.authenticator.authenticate(header))
    await asyncio.sleep(QUERY_S / 2)
    del world.database.keys[key_id]
    world.authenticator.forget(ApiKeyCredential(key_id))
    late = asyncio.create_task(world.authenticator.authenticate(header))

    assert (await early).credential == ApiKeyCredential(key_id), "it began before"
    await refused(late)
    await refused(world.authenticator.authenticate(header))


async def test_a_new_password_ends_tokens_signed_before_it(world: World) -> None:
    """T12."""
    credential, header = world.add_session()
    principal = await world.authenticator.authenticate(header)
    stored = world.database.sessions[credential.session_id]
    world.database.sessions[credential.session_id] = msgspec.structs.replace(stored, session_version=4)
    world.authenticator.forget(credential)

    assert "Login" in await refused(world.authenticator.authenticate(header))
    assert not await world.authenticator.still_valid(principal)


async def test_a_token_does_not_open_another_users_session(world: World) -> None:
    credential, _ = world.add_session()
    token, _ = world.tokens.issue_access(8, credential)

    await refused(world.authenticator.authenticate(f"Bearer {token}"))


async def test_an_open_stream_outlives_its_access_token_but_not_its_session(world: World) -> None:
    credential, header = world.add_session()
    principal = await world.authenticator.authenticate(header)

    await asyncio.sleep(16 * 60)
    assert "Refresh" in await refused(world.authenticator.authenticate(header))
    assert await world.authenticator.still_valid(principal)

    await asyncio.sleep(86_400)
    assert not await world.authenticator.still_valid(principal), "the session itself has expired"
    assert credential.session_id in world.database.sessions


async def test_waiting_ends_at_the_moment_of_a_revocation_here(world: World) -> None:
    loop = asyncio.get_running_loop()
    key_id, header = world.add_key()
    principal = await world.authenticator.authenticate(header)
    waiting = asyncio.create_task(world.authenticator.wait_until_invalid(principal))
    await asyncio.sleep(1000)
    other_id, _ = world.add_key()
    world.authenticator.forget(ApiKeyCredential(other_id))
    await asyncio.sleep(1)
    assert not waiting.done()

    del world.database.keys[key_id]
    world.authenticator.forget(principal.credential)
    moment = loop.time()
    await waiting

    assert loop.time() - moment <= QUERY_S


async def test_waiting_ends_at_the_exact_expiry_and_within_ten_seconds_of_a_foreign_revocation(world: World) -> None:
    loop = asyncio.get_running_loop()
    _, header = world.add_key(expires_at=BEGIN + 100 * SECOND)
    await world.authenticator.wait_until_invalid(await world.authenticator.authenticate(header))
    assert loop.time() == pytest.approx(100, abs=0.01)

    key_id, header = world.add_key()
    principal = await world.authenticator.authenticate(header)
    waiting = asyncio.create_task(world.authenticator.wait_until_invalid(principal))
    await asyncio.sleep(33)
    del world.database.keys[key_id]
    moment = loop.time()
    await waiting
    assert loop.time() - moment <= TTL_S + QUERY_S


async def test_while_the_database_is_away_calls_are_told_so_and_streams_stay(world: World) -> None:
    key_id, header = world.add_key(expires_at=BEGIN + 60 * MINUTE)
    principal = await world.authenticator.authenticate(header)
    world.database.away = True
    await asyncio.sleep(TTL_S)

    with pytest.raises(UnavailableError):
        await world.authenticator.authenticate(header)
    assert await world.authenticator.still_valid(principal)

    await asyncio.sleep(60 * 60)
    assert not await world.authenticator.still_valid(principal), "expiry needs no database"
    stranger = Principal(7, 70, Scope.READ, ApiKeyCredential("never seen"))
    assert not await world.authenticator.still_valid(stranger)
    assert key_id in world.database.keys


async def test_a_flood_of_invented_keys_neither_fills_the_pool_nor_hinders_those_who_are_known(world: World) -> None:
    _, header = world.add_key()
    await world.authenticator.authenticate(header)
    world.database.most_at_once = 0
    world.database.slow_s = 1.0
    flood = [
        asyncio.create_task(world.authenticator.authenticate(f"Bearer {api_keys.generate()[1]}")) for _ in range(1_000)
    ]
    await asyncio.sleep(TTL_S)
    loop = asyncio.get_running_loop()
    moment = loop.time()

    await world.authenticator.authenticate(header)

    assert loop.time() - moment <= 1.0, "the known key was looked up again beside the flood"
    assert world.database.most_at_once <= 3
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {UnauthenticatedError, ResourceExhaustedError}


async def test_a_cancelled_lookup_leaves_the_others_their_answer(world: World) -> None:
    _, header = world.add_key()
    first, second = (asyncio.create_task(world.authenticator.authenticate(header)) for _ in range(2))
    await asyncio.sleep(QUERY_S / 2)
    first.cancel()

    assert (await second).user_id == 7
    assert first.cancelled()


def test_no_digest_is_in_the_representation() -> None:
    state = ApiKeyState(
        key_id="k", user_id=1, org_id=1, scope=Scope.READ, seat=Seat(Role.OWNER), digest=b"swordfish", expires_at=None
    )

    assert "swordfish" not in repr(state)


async def test_a_user_acts_in_their_own_organisation_unless_they_say_otherwise(world: World) -> None:
    _, header = world.add_session()
    world.database.members[Membership(7, 71)] = Seat(Role.VIEWER)

    own = await world.authenticator.authenticate(header)
    there = await world.authenticator.authenticate(header, 71)

    assert (own.org_id, own.role) == (70, Role.OWNER)
    assert (there.org_id, there.role, there.user_id, there.credential) == (71, Role.VIEWER, 7, own.credential)
    assert await world.authenticator.authenticate(header, 70) == own


async def test_nobody_acts_where_they_are_no_member(world: World) -> None:
    """T9, T10: what a call asks for gives nobody anything."""
    _, session = world.add_session()
    _, key = world.add_key()
    world.database.members[Membership(8, 72)] = Seat(Role.OWNER)
    world.database.members[Membership(7, 71)] = Seat(Role.OWNER)

    for header, org_id in ((session, 72), (session, 99), (key, 71), (key, 72)):
        with pytest.raises(NotFoundError):
            await world.authenticator.authenticate(header, org_id)
    assert (await world.authenticator.authenticate(key, 70)).org_id == 70


async def test_a_key_has_its_owners_role(world: World) -> None:
    _, key = world.add_key(Scope.ADMIN, role=Role.VIEWER)

    assert (await world.authenticator.authenticate(key)).role is Role.VIEWER


async def test_a_changed_membership_counts_at_once_and_ends_streams(world: World) -> None:
    """T12: here at once; what another process changed, within the time that roles are remembered."""
    key_id, key = world.add_key()
    _, session = world.add_session()
    world.database.members[Membership(7, 71)] = Seat(Role.EDITOR)
    by_key = await world.authenticator.authenticate(key)
    there = await world.authenticator.authenticate(session, 71)
    streams = [asyncio.create_task(world.authenticator.wait_until_invalid(each)) for each in (by_key, there)]
    await asyncio.sleep(1)

    del world.database.members[Membership(7, 71)], world.database.keys[key_id]
    world.authenticator.forget_member(7, 71)
    world.authenticator.forget_member(7, 70)

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*streams)
    assert asyncio.get_running_loop().time() - began < 0.1
    with pytest.raises(NotFoundError):
        await world.authenticator.authenticate(session, 71)
    await refused(world.authenticator.authenticate(key))


async def test_a_stream_elsewhere_stands_while_the_database_is_away(world: World) -> None:
    _, session = world.add_session()
    world.database.members[Membership(7, 71)] = Seat(Role.EDITOR)
    there = await world.authenticator.authenticate(session, 71)
    own = await world.authenticator.authenticate(session)
    world.database.away = True
    await asyncio.sleep(2 * TTL_S)

    assert await world.authenticator.still_valid(there)
    assert await world.authenticator.still_valid(own)


OFFICE = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"])
async def test_an_allow_list_lets_its_networks_in(world: World, address: str) -> None:
    key_id, key = world.add_key()
    _, session = world.add_session()
    world.database.members[Membership(7, 70)] = Seat(Role.OWNER, OFFICE)
    world.database.keys[key_id] = msgspec.structs.replace(world.database.keys[key_id], networks=OFFICE)

    for header in (key, session):
        assert (await world.authenticator.authenticate(header, None, address)).address == address


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db9::1", "unix", "", "192.0.2"])
async def test_an_allow_list_lets_nobody_else_in(world: World, address: str) -> None:
    """Whoever has no address is nowhere: not everywhere."""
    own_id, own = world.add_key()
    _, elsewhere = world.add_session()
    world.database.keys[own_id] = msgspec.structs.replace(world.database.keys[own_id], networks=OFFICE)
    theirs_id, theirs = world.add_key()
    world.database.keys[theirs_id] = msgspec.structs.replace(
        world.database.keys[theirs_id], seat=Seat(Role.OWNER, OFFICE)
    )
    world.database.members[Membership(7, 70)] = Seat(Role.OWNER, OFFICE)

    for header in (own, theirs, elsewhere):
        with pytest.raises(AddressNotAllowedError):
            await world.authenticator.authenticate(header, None, address)


async def test_a_new_allow_list_ends_streams_from_elsewhere(world: World) -> None:
    key_id, key = world.add_key()
    _, session = world.add_session()
    inside = await world.authenticator.authenticate(session, None, "192.0.2.7")
    outside = await world.authenticator.authenticate(session, None, "198.51.100.1")
    by_key = await world.authenticator.authenticate(key, None, "198.51.100.1")

    world.database.members[Membership(7, 70)] = Seat(Role.OWNER, OFFICE)
    world.database.keys[key_id] = msgspec.structs.replace(world.database.keys[key_id], seat=Seat(Role.OWNER, OFFICE))
    world.authenticator.forget_organisation(70)

    assert await world.authenticator.still_valid(inside)
    assert not await world.authenticator.still_valid(outside)
    assert not await world.authenticator.still_valid(by_key)
