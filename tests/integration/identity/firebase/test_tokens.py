"""ID tokens as in production: signatures, keys, and Google's answers about users (T13)."""

import asyncio
import json
import time

import jwt
import pytest
from grpc import StatusCode
from structlog.testing import capture_logs

from monitord.domain.errors import FailedPreconditionError
from monitord.domain.instant import MINUTE, SECOND
from monitord.identity.account_deletion import AccountDeletion
from monitord.identity.firebase_library import EMULATOR, FirebaseLibrary
from monitord.identity.service_account import read_service_account
from monitord.identity.vault import Vault
from monitord.storage.account_deletion import AccountDeletionStore
from monitord.storage.account_purge import AccountPurge
from monitord.v1 import auth_service_pb2 as pb
from tests.integration.identity.firebase.conftest import World
from tests.support.google_keys import PROJECT, Google, Key, unsigned
from tests.support.rpc_server import refusal

OTHER = Key("key-1")


async def test_a_signed_token_lets_its_user_in(world: World, google: Google) -> None:
    signed_in = await world.login(google.token())

    assert signed_in.is_new_user
    assert (signed_in.user.email, signed_in.user.full_name) == ("uid-1@example.org", "Ann Example")


async def test_who_leaves_comes_back_by_firebase_until_the_account_is_gone(world: World, google: Google) -> None:
    """(T12)"""
    token = google.token()
    first = await world.login(token)
    ended = world.authenticator.forget
    identity, principal = world.identity, await world.authenticator.authenticate(f"Bearer {token}")
    store = AccountDeletionStore(world.database, Vault([bytes(32)]))
    deletion = AccountDeletion(
        store, identity.hasher, identity.throttle, grace_days=0, post=None, now=world.clock.now, ended=ended
    )
    await deletion.begin(principal, "", "UID-1@example.org", "192.0.2.1", without_export=True)
    assert not await world.authenticator.still_valid(principal), "what was open has ended"
    assert (await refusal(world.user(first.tokens.access_token))).code is StatusCode.UNAUTHENTICATED
    assert (await world.user(token)).HasField("delete_time")
    again = await world.login(token)
    assert (again.is_new_user, again.user.id) == (False, first.user.id)
    purge = AccountPurge(world.database, ended=ended, left=world.authenticator.forget_member, clock=world.clock.now)
    assert await purge.purge() == 1
    for bearer in (token, again.tokens.access_token):
        assert (await refusal(world.user(bearer))).code is StatusCode.UNAUTHENTICATED
    anew = await world.login(token)
    assert (anew.is_new_user, anew.user.id != first.user.id) == (True, True)


def forged(google: Google) -> dict[str, tuple[str, str]]:
    """Return tokens that are wrong in one thing each, and a part of the sentence that refuses them."""
    none, now = "no ID token", int(time.time())
    return {
        "another's key": (google.token(signed_by=OTHER), none),
        "an unknown key": (google.token(headers={"kid": "key-2"}), none),
        "no key": (google.token(headers={"kid": ""}), none),
        "another project": (google.token(aud="other-project"), none),
        "another project's issuer": (google.token(iss="https://securetoken.google.com/other-project"), none),
        "another issuer": (google.token(iss="https://evil.example/" + PROJECT), none),
        "nobody": (google.token(sub=""), none),
        "a long uid": (google.token(sub="x" * 129), none),
        "no uid": (google.token(sub=None), none),
        "no beginning": (google.token(iat=None), none),
        "no end": (google.token(exp=None), none),
        "the future": (google.token(iat=now + 600), none),
        "the past": (google.token(iat=now - 7200, exp=now - 3600), "expired"),
        "no way in": (google.token(firebase=None), "lacks"),
        "another way in": (google.token(firebase={"sign_in_provider": "custom"}), "Google and Apple"),
        "no signature": (unsigned(google.token()), none),
        "a cut signature": (unsigned(google.token(), alg="RS256", kid="key-1"), none),
        "a wrong signature": (google.token()[:-8] + "AAAAAAAA", none),
        "three parts": ("x.y.z", none),
        "one part": ("nonsense", none),
    }


async def test_a_forged_or_expired_token_is_refused_at_the_door_and_as_a_bearer(world: World, google: Google) -> None:
    for what, (token, says) in forged(google).items():
        world.clock.advance(4 * SECOND)  # past the limits of the address
        refused = await refusal(world.login(token))

        assert (refused.code, refused.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"), what
        assert says in refused.message, what
        assert (await refusal(world.user(token))).code is StatusCode.UNAUTHENTICATED, what
    async with world.database.connection() as held:
        assert await held.fetchval("SELECT count(*) FROM users") == 0


async def test_a_token_that_is_signed_with_the_public_key_as_a_secret_is_refused(world: World, google: Google) -> None:
    """The oldest trick with JWTs, by hand because PyJWT refuses to play it."""
    claims = jwt.decode(google.token(), options={"verify_signature": False})
    forged = jwt.encode(claims, google.key.certificate[:64], algorithm="HS256", headers={"kid": "key-1"})

    assert (await refusal(world.login(forged))).code is StatusCode.UNAUTHENTICATED


async def test_a_call_asks_google_at_most_once_a_minute_and_a_login_always(world: World, google: Google) -> None:
    token = google.token()
    await world.login(token)
    asked = google.lookups
    await asyncio.gather(*(world.user(token) for _ in range(20)))
    assert google.lookups == asked
    world.clock.advance(MINUTE + SECOND)
    await asyncio.gather(*(world.user(token) for _ in range(20)))
    assert google.lookups == asked + 1
    await world.login(token)
    assert google.lookups == asked + 2
    assert google.keys_asked == 1, "for as long as Google says that they may be kept"


async def test_a_refusal_is_remembered_for_a_minute_too(world: World, google: Google) -> None:
    token = google.token()
    await world.login(token)
    google.add_user(validSince=str(int(time.time()) + 60))
    world.clock.advance(MINUTE + SECOND)
    asked = google.lookups

    for _ in range(3):
        assert "revoked" in (await refusal(world.user(token))).message
    assert google.lookups == asked + 1


async def test_while_google_is_away_calls_are_told_so_and_streams_go_on(world: World, google: Google) -> None:
    token = google.token()
    session = (await world.login(token)).tokens
    principal = await world.authenticator.authenticate(f"Bearer {token}")
    google.down = True
    with capture_logs() as logs:
        refused = await refusal(world.login(token))
        world.clock.advance(MINUTE + SECOND)
        as_bearer = await refusal(world.user(token))

    for each in (refused, as_bearer):
        assert (each.code, each.reason) == (StatusCode.UNAVAILABLE, "IDENTITY_PROVIDER_UNAVAILABLE")
        assert each.retry_s is not None
    assert {entry["event"] for entry in logs} == {"firebase_away"}
    assert token not in str(logs)
    assert await world.authenticator.still_valid(principal)
    await world.stub.Refresh(pb.RefreshRequest(refresh_token=session.refresh_token))
    google.down = False
    await world.user(token)


async def test_a_service_account_without_its_role_is_told_to_the_operator_alone(world: World, google: Google) -> None:
    google.forbids = True
    with capture_logs() as logs:
        refused = await refusal(world.login(google.token()))

    assert refused.code is StatusCode.UNAVAILABLE
    assert "permission" not in refused.message
    assert "permission" in logs[0]["reason"]


async def test_wrong_tokens_of_an_address_are_limited(world: World, google: Google) -> None:
    """T14: together with wrong passwords."""
    codes = [(await refusal(world.login(f"x.{number}.z"))).code for number in range(22)]
    assert codes[:20] == [StatusCode.UNAUTHENTICATED] * 20
    assert codes[20:] == [StatusCode.RESOURCE_EXHAUSTED] * 2
    refused = await refusal(world.login(google.token()))
    assert refused.code is StatusCode.RESOURCE_EXHAUSTED
    assert refused.retry_s


async def test_good_tokens_of_an_address_are_not(world: World, google: Google) -> None:
    for _ in range(25):
        await world.login(google.token())


async def test_no_token_reaches_a_log(world: World, google: Google) -> None:
    """T15."""
    good, bad = google.token(), google.token(signed_by=OTHER)
    with capture_logs() as logs:
        await world.login(good)
        principal = await world.authenticator.authenticate(f"Bearer {good}")
        refused = await refusal(world.login(bad))
    told = f"{logs}{principal!r}{refused}"
    assert good.split(".")[1] not in told
    assert bad.split(".")[1] not in told


def test_the_emulator_is_refused_outside_of_development(monkeypatch: pytest.MonkeyPatch) -> None:
    """T13: the settings refuse it before; this is the second wall."""
    google = Google()
    google.base = "http://127.0.0.1:1"
    account = read_service_account(google.service_account())
    monkeypatch.setenv(EMULATOR, "127.0.0.1:9099")
    with pytest.raises(FailedPreconditionError, match="anyone"):
        FirebaseLibrary(account, development=False)
    FirebaseLibrary(account, development=True).close()


async def test_an_emulator_that_appears_while_monitord_runs_is_refused(
    world: World, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T13."""
    await world.login(google.token())
    monkeypatch.setenv(EMULATOR, "127.0.0.1:9099")

    refused = await refusal(world.login(unsigned(google.token())))

    assert refused.code is StatusCode.UNAVAILABLE
    assert json.dumps(refused.message)
