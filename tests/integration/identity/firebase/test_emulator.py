"""Signing in against Firebase's own emulator: each way in, and each way of losing it (T13)."""

import asyncio

import pytest
from grpc import StatusCode

from monitord.domain.instant import HOUR, MINUTE, SECOND
from monitord.v1 import auth_pb2
from monitord.v1 import auth_service_pb2 as pb
from tests.integration.identity.firebase.conftest import World
from tests.support.firebase_emulator import Emulator
from tests.support.rpc_server import refusal


async def test_a_google_user_is_made_at_the_first_time_and_found_at_the_second(
    emulated: World, emulator: Emulator
) -> None:
    ann = emulator.by_provider("google.com", "g-ann", "Ann@Gmail.test", name="Ann Example")

    first = await emulated.login(ann.id_token)
    second = await emulated.login(ann.id_token)

    assert first.is_new_user
    assert not second.is_new_user
    assert second.user == first.user == await emulated.user(first.tokens.access_token)
    assert (first.user.email, first.user.full_name) == ("ann@gmail.test", "Ann Example")
    assert first.user.provider == auth_pb2.IDENTITY_PROVIDER_GOOGLE
    assert first.user.profile_status == auth_pb2.PROFILE_STATUS_PENDING
    async with emulated.database.connection() as held:
        row = await held.fetchrow("SELECT u.*, p.bio FROM users u JOIN user_profile p ON p.user_id = u.id")
    assert (row["provider"], row["role"], row["firebase_uid"]) == ("google", "USER", ann.uid)
    assert row["password_hash"] is None


async def test_an_apple_user_is_made(emulated: World, emulator: Emulator) -> None:
    signed_in = await emulated.login(emulator.by_provider("apple.com", "a-bob", "x1@privaterelay.test").id_token)

    assert signed_in.user.provider == auth_pb2.IDENTITY_PROVIDER_APPLE
    assert (signed_in.user.email, signed_in.user.full_name) == ("x1@privaterelay.test", "")


async def test_a_user_with_a_password_gets_the_address_once_it_is_proven(emulated: World, emulator: Emulator) -> None:
    eve = emulator.by_password("eve@firebase.test", name="Eve")

    first = await emulated.login(eve.id_token)

    assert first.user.provider == auth_pb2.IDENTITY_PROVIDER_FIREBASE_PASSWORD
    assert (first.user.email, first.user.full_name) == ("eve@firebase.test", "Eve")
    async with emulated.database.connection() as held:
        assert (await held.fetchval("SELECT email FROM users")).endswith("@firebase.invalid"), "it is not proven"
    emulator.update(eve.uid, emailVerified=True)
    again = await emulated.login(emulator.again_by_password("eve@firebase.test").id_token)
    assert again.user == first.user
    async with emulated.database.connection() as held:
        assert await held.fetchval("SELECT email FROM users") == "eve@firebase.test"


async def test_first_sign_ins_at_the_same_time_make_one_account(emulated: World, emulator: Emulator) -> None:
    ann = emulator.by_provider("google.com", "g-many", "many@gmail.test")

    answers = await asyncio.gather(*(emulated.login(ann.id_token) for _ in range(5)))

    assert sum(answer.is_new_user for answer in answers) == 1
    assert len({answer.user.id for answer in answers}) == 1


async def test_an_id_token_is_a_bearer_once_its_user_has_an_account(emulated: World, emulator: Emulator) -> None:
    ann = emulator.by_provider("google.com", "g-bearer", "bearer@gmail.test")

    refused = await refusal(emulated.user(ann.id_token))
    assert refused.code is StatusCode.UNAUTHENTICATED
    assert "LoginWithIdToken" in refused.message
    signed_in = await emulated.login(ann.id_token)

    assert await emulated.user(ann.id_token) == signed_in.user


async def test_a_disabled_user_is_refused_at_once_at_the_door_and_within_a_minute_inside(
    emulated: World, emulator: Emulator
) -> None:
    ann = emulator.by_provider("google.com", "g-disabled", "disabled@gmail.test")
    await emulated.login(ann.id_token)
    principal = await emulated.authenticator.authenticate(f"Bearer {ann.id_token}")
    emulator.disable(ann.uid)

    await emulated.user(ann.id_token)
    refused = await refusal(emulated.login(ann.id_token))
    assert (refused.code, refused.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert "disabled" in refused.message
    emulated.clock.advance(MINUTE)
    assert (await refusal(emulated.user(ann.id_token))).code is StatusCode.UNAUTHENTICATED
    assert not await emulated.authenticator.still_valid(principal), "open streams end"


async def test_a_deleted_user_is_refused(emulated: World, emulator: Emulator) -> None:
    ann = emulator.by_provider("google.com", "g-deleted", "deleted@gmail.test")
    emulator.delete(ann.uid)

    assert (await refusal(emulated.login(ann.id_token))).code is StatusCode.UNAUTHENTICATED


async def test_a_revoked_token_ends_streams_and_calls_within_a_minute(emulated: World, emulator: Emulator) -> None:
    ann = emulator.by_provider("google.com", "g-revoked", "revoked@gmail.test")
    await emulated.login(ann.id_token)
    principal = await emulated.authenticator.authenticate(f"Bearer {ann.id_token}")
    emulator.revoke(ann.uid)

    assert await emulated.authenticator.still_valid(principal), "it is asked once a minute"
    emulated.clock.advance(MINUTE + SECOND)
    async with asyncio.timeout(5):
        await emulated.authenticator.wait_until_invalid(principal)
    for call in (emulated.login(ann.id_token), emulated.user(ann.id_token)):
        refused = await refusal(call)
        assert refused.code is StatusCode.UNAUTHENTICATED
        assert "revoked" in refused.message


@pytest.mark.parametrize("ends", ["disable", "revoke", "delete"])
async def test_a_session_ends_at_its_next_refresh(emulated: World, emulator: Emulator, ends: str) -> None:
    """T12: within the quarter of an hour that an access token lives."""
    ann = emulator.by_provider("google.com", f"g-session-{ends}", f"{ends}@gmail.test")
    first = (await emulated.login(ann.id_token)).tokens
    second = (await emulated.stub.Refresh(pb.RefreshRequest(refresh_token=first.refresh_token))).tokens
    getattr(emulator, ends)(ann.uid)

    refused = await refusal(emulated.stub.Refresh(pb.RefreshRequest(refresh_token=second.refresh_token)))

    assert refused.code is StatusCode.UNAUTHENTICATED
    assert "Firebase" in refused.message
    assert (await refusal(emulated.user(second.access_token))).code is StatusCode.UNAUTHENTICATED


async def test_an_expired_token_is_refused_though_the_emulator_would_take_it(
    emulated: World, emulator: Emulator
) -> None:
    ann = emulator.by_provider("google.com", "g-expired", "expired@gmail.test")
    await emulated.login(ann.id_token)
    principal = await emulated.authenticator.authenticate(f"Bearer {ann.id_token}")

    emulated.clock.advance(HOUR + 11 * SECOND)

    for call in (emulated.login(ann.id_token), emulated.user(ann.id_token)):
        refused = await refusal(call)
        assert refused.code is StatusCode.UNAUTHENTICATED
        assert "expired" in refused.message
    assert not await emulated.authenticator.still_valid(principal)


@pytest.mark.parametrize("how", ["anonymously", "github"])
async def test_other_ways_to_sign_in_to_firebase_are_refused(emulated: World, emulator: Emulator, how: str) -> None:
    someone = emulator.anonymously() if how == "anonymously" else emulator.by_provider("github.com", "h-1", "h@g.test")

    refused = await refusal(emulated.login(someone.id_token))

    assert refused.code is StatusCode.UNAUTHENTICATED
    assert "Google and Apple" in refused.message
