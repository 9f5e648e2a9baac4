import asyncio
from uuid import uuid4

import bcrypt
import jwt
import pytest
from structlog.testing import capture_logs

from monitord.domain.errors import (
    InvalidArgumentError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from monitord.domain.instant import DAY, MINUTE, SECOND
from monitord.identity.principal import Scope, SessionCredential
from monitord.identity.sessions import IDLE_LIFETIME_US, LONGEST_LIFETIME_US
from monitord.identity.throttle import FREE_FAILURES
from tests.integration.identity.conftest import ADMIN, PASSWORD, Identity

PEER = "192.0.2.1"


async def test_signing_in_gives_tokens_that_prove_the_user(identity: Identity) -> None:
    admin = await identity.admin()

    signed_in = await identity.sessions.login("  Admin@LOCALHOST ", PASSWORD, PEER)

    assert (signed_in.user.id, signed_in.user.email, signed_in.user.org_id) == (admin.user_id, ADMIN, admin.org_id)
    assert signed_in.tokens.refresh_expires_at == identity.clock.now() + IDLE_LIFETIME_US
    principal = await identity.authenticator.authenticate(f"Bearer {signed_in.tokens.access_token}")
    assert (principal.user_id, principal.org_id, principal.scope) == (admin.user_id, admin.org_id, Scope.ADMIN)
    assert isinstance(principal.credential, SessionCredential)


async def test_the_answer_does_not_tell_which_accounts_exist(identity: Identity) -> None:
    """T14: an unknown account, one without a password and a wrong password look the same."""
    await identity.admin()
    await identity.add_user("other@example.org")
    async with identity.database.connection() as connection:
        await connection.execute("UPDATE users SET password_hash = NULL WHERE email = 'other@example.org'")
    answers = set()
    waits = set()
    for email in (ADMIN, "other@example.org", "nobody@example.org"):
        with pytest.raises(UnauthenticatedError) as refused:
            await identity.sessions.login(email, "wrong password", PEER)
        answers.add((refused.value.message, refused.value.reason, *refused.value.metadata))
        delays = []
        for _ in range(FREE_FAILURES):
            try:
                await identity.sessions.login(email, "wrong password", "192.0.2.2")
            except ResourceExhaustedError as limited:
                delays.append(limited.retry_after_s)
            except UnauthenticatedError:
                continue
        waits.add(tuple(delays))

    assert len(answers) == 1
    assert waits == {(1.0,)}


async def test_guessing_is_limited_even_with_the_right_password_among_the_guesses(identity: Identity) -> None:
    await identity.admin()
    for _ in range(FREE_FAILURES):
        with pytest.raises(UnauthenticatedError):
            await identity.sessions.login(ADMIN, "wrong password", PEER)

    with pytest.raises(ResourceExhaustedError) as limited:
        await identity.sessions.login(ADMIN, PASSWORD, PEER)
    identity.clock.advance(round((limited.value.retry_after_s or 0) * SECOND))
    assert await identity.sessions.login(ADMIN, PASSWORD, PEER)


async def test_what_is_wrong_with_the_request_itself_is_no_attempt(identity: Identity) -> None:
    await identity.admin()
    for email, password in [("nonsense", PASSWORD), (ADMIN, ""), (ADMIN, "x" * 73)] * 5:
        with pytest.raises(InvalidArgumentError):
            await identity.sessions.login(email, password, PEER)

    assert await identity.sessions.login(ADMIN, PASSWORD, PEER)


async def test_an_outage_uses_up_no_attempts(identity: Identity) -> None:
    await identity.admin()
    await identity.database.close()
    for _ in range(2 * FREE_FAILURES):
        with pytest.raises(UnavailableError):
            await identity.sessions.login(ADMIN, PASSWORD, PEER)
    await identity.database.open()

    assert await identity.sessions.login(ADMIN, PASSWORD, PEER)


async def test_a_refresh_token_works_once_and_using_it_again_ends_the_session(identity: Identity) -> None:
    """T12."""
    await identity.admin()
    first = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    second = await identity.sessions.refresh(first.refresh_token)
    principal = await identity.authenticator.authenticate(f"Bearer {second.access_token}")
    assert second.refresh_token != first.refresh_token

    with capture_logs() as logs, pytest.raises(UnauthenticatedError, match="Login"):
        await identity.sessions.refresh(first.refresh_token)

    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert first.refresh_token not in str(logs)
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.refresh(second.refresh_token)
    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {second.access_token}")
    assert not await identity.authenticator.still_valid(principal)


async def test_of_two_refreshes_at_the_same_time_one_wins_and_the_copy_ends_the_session(identity: Identity) -> None:
    """T12: strict; which of the two is the thief can't be told."""
    await identity.admin()
    pair = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens

    outcomes = await asyncio.gather(
        *(identity.sessions.refresh(pair.refresh_token) for _ in range(4)), return_exceptions=True
    )

    winners = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(winners) == 1
    assert sum(isinstance(outcome, UnauthenticatedError) for outcome in outcomes) == 3
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.refresh(winners[0].refresh_token)


async def test_a_forged_refresh_token_ends_no_session(identity: Identity) -> None:
    await identity.admin()
    pair = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    session_id = jwt.decode(pair.access_token, options={"verify_signature": False})["sid"]
    last = pair.refresh_token[-2]
    forged = pair.refresh_token[:-2] + ("A" if last != "A" else "B") + pair.refresh_token[-1]

    for token in (forged, f"mr_{session_id}", pair.access_token):
        for call in (identity.sessions.refresh, identity.sessions.logout):
            with pytest.raises(UnauthenticatedError):
                await call(token)

    assert await identity.sessions.refresh(pair.refresh_token)


async def test_logout_ends_the_session_also_with_an_older_token_and_twice(identity: Identity) -> None:
    """T12."""
    await identity.admin()
    first = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    other = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    second = await identity.sessions.refresh(first.refresh_token)
    await identity.authenticator.authenticate(f"Bearer {second.access_token}")

    await identity.sessions.logout(first.refresh_token)
    await identity.sessions.logout(second.refresh_token)

    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {second.access_token}")
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.refresh(second.refresh_token)
    assert await identity.authenticator.authenticate(f"Bearer {other.access_token}"), "another session of the same user"


async def test_a_session_is_over_after_30_idle_days_and_after_90_days_in_any_case(identity: Identity) -> None:
    await identity.admin()
    idle = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    busy = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    for _ in range(4):
        identity.clock.advance(20 * DAY)
        busy = await identity.sessions.refresh(busy.refresh_token)
    assert busy.refresh_expires_at == identity.clock.now() + LONGEST_LIFETIME_US - 80 * DAY

    with pytest.raises(UnauthenticatedError):
        await identity.sessions.refresh(idle.refresh_token)
    identity.clock.advance(10 * DAY)
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.refresh(busy.refresh_token)


async def test_a_new_password_ends_all_sessions_and_their_streams(identity: Identity) -> None:
    """T12."""
    await identity.admin()
    pairs = [(await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens for _ in range(2)]
    principals = [await identity.authenticator.authenticate(f"Bearer {pair.access_token}") for pair in pairs]
    streams = [asyncio.create_task(identity.authenticator.wait_until_invalid(one)) for one in principals]
    await asyncio.sleep(0)

    await identity.accounts.set_password(ADMIN.upper(), "another fine password")

    async with asyncio.timeout(5):
        await asyncio.gather(*streams)
    for pair in pairs:
        with pytest.raises(UnauthenticatedError):
            await identity.authenticator.authenticate(f"Bearer {pair.access_token}")
        with pytest.raises(UnauthenticatedError):
            await identity.sessions.refresh(pair.refresh_token)
    with pytest.raises(UnauthenticatedError):
        await identity.sessions.login(ADMIN, PASSWORD, PEER)
    assert await identity.sessions.login(ADMIN, "another fine password", PEER)


async def test_a_token_of_a_session_from_before_the_new_password_is_refused_by_its_version(identity: Identity) -> None:
    """T12: the second wall, should a session have been left open."""
    await identity.admin()
    pair = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    async with identity.database.connection() as connection:
        await connection.execute("UPDATE users SET session_version = session_version + 1")

    with pytest.raises(UnauthenticatedError):
        await identity.authenticator.authenticate(f"Bearer {pair.access_token}")


async def test_a_login_that_verified_the_old_password_begins_no_session_after_the_new_one(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T12: the new password is stored between the verification and the session."""
    await identity.admin()
    real = identity.hasher.verify

    async def change_meanwhile(password: str, hashed: str | None) -> bool:
        right = await real(password, hashed)
        await identity.accounts.set_password(ADMIN, "another fine password")
        return right

    monkeypatch.setattr(identity.hasher, "verify", change_meanwhile)

    with pytest.raises(UnauthenticatedError):
        await identity.sessions.login(ADMIN, PASSWORD, PEER)
    async with identity.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM sessions WHERE ended_at IS NULL") == 0


async def test_a_login_beside_an_uncommitted_new_password_waits_for_it(identity: Identity) -> None:
    """T12: the two in one database at once."""
    await identity.admin()
    account = await identity.store.account(ADMIN)
    assert account is not None
    now = identity.clock.now()
    async with identity.database.transaction() as tx:
        await tx.execute("UPDATE users SET session_version = session_version + 1")
        creating = asyncio.create_task(
            identity.store.create_session(
                uuid4(), account, b"x" * 32, created_at=now, expires_at=now + MINUTE, address=""
            )
        )
        async with identity.database.connection() as connection:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%sessions%'"
            async with asyncio.timeout(5):
                while not await connection.fetchval(waiting):
                    continue
    assert await creating is False


async def test_what_is_stored_of_a_session_is_of_no_use_to_a_thief(identity: Identity) -> None:
    """T15."""
    await identity.admin()
    pair = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    async with identity.database.connection() as connection:
        rows = await connection.fetch("SELECT s::text FROM sessions s UNION ALL SELECT u::text FROM users u")
        stored = await connection.fetchval("SELECT password_hash FROM users")
    dump = str(rows)

    for secret in (pair.refresh_token, pair.refresh_token[3:40], pair.access_token, PASSWORD):
        assert secret not in dump
    assert bcrypt.checkpw(PASSWORD.encode(), stored.encode())


async def test_only_sessions_long_over_are_purged(identity: Identity) -> None:
    await identity.admin()
    ended = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    await identity.sessions.logout(ended.refresh_token)
    await identity.sessions.login(ADMIN, PASSWORD, PEER)
    identity.clock.advance(25 * DAY)
    alive = (await identity.sessions.login(ADMIN, PASSWORD, PEER)).tokens
    now = identity.clock.now()

    assert await identity.credentials.purge_sessions(now - 25 * DAY) == 0
    assert await identity.credentials.purge_sessions(now) == 1
    assert await identity.credentials.purge_sessions(now + 10 * DAY) == 1
    assert await identity.sessions.refresh(alive.refresh_token)
