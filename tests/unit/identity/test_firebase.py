import asyncio
import base64
import json
from typing import Any

import pytest

from monitord.domain.errors import ProviderUnavailableError, ResourceExhaustedError, UnauthenticatedError
from monitord.domain.instant import HOUR, SECOND, Instant
from monitord.identity.firebase import ISSUER, FirebaseTokens
from monitord.identity.firebase_bearers import FirebaseBearers, FirebaseUser
from monitord.identity.principal import FirebaseCredential, Principal, Scope

BEGIN = 1_800_000_000 * SECOND


def encoded(**claims: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


class Google:
    """Answers after a second what a test put there."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.error: Exception | None = None
        self.claims: dict[str, Any] = {
            "sub": "uid-1",
            "exp": (BEGIN + HOUR) // SECOND,
            "email": "Ann@Example.org",
            "email_verified": True,
            "name": "Ann\n\x00 Example ",
            "firebase": {"sign_in_provider": "google.com"},
        }

    async def judge(self, token: str) -> dict[str, Any]:
        self.asked.append(token)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(1)
        self.at_once -= 1
        if self.error is not None:
            raise self.error
        return self.claims


class Users:
    def __init__(self) -> None:
        self.found: FirebaseUser | None = FirebaseUser(user_id=7, org_id=70)

    async def firebase_user(self, uid: str) -> FirebaseUser | None:
        await asyncio.sleep(0.001)
        return self.found


def now() -> Instant:
    return BEGIN + round(asyncio.get_running_loop().time() * SECOND)


@pytest.fixture
async def google() -> Google:
    return Google()


@pytest.fixture
async def tokens(google: Google) -> FirebaseTokens:
    return FirebaseTokens("project-1", google.judge, now=now, clock=asyncio.get_running_loop().time, size=3)


@pytest.fixture
async def users() -> Users:
    return Users()


@pytest.fixture
async def bearers(tokens: FirebaseTokens, users: Users) -> FirebaseBearers:
    return FirebaseBearers(tokens, users, now=now, clock=asyncio.get_running_loop().time)


async def test_what_a_token_says(tokens: FirebaseTokens) -> None:
    identity = await tokens.verify("a")

    assert (identity.uid, identity.provider, identity.email_verified) == ("uid-1", "google", True)
    assert (identity.email, identity.full_name) == ("ann@example.org", "Ann Example")
    assert identity.expires_at == BEGIN + HOUR


@pytest.mark.parametrize("email", [None, "no address", "a b@example.org", "a\x00@b"])
async def test_an_address_that_can_not_be_written_down_is_none(
    tokens: FirebaseTokens, google: Google, email: str | None
) -> None:
    google.claims["email"] = email

    identity = await tokens.verify("a")

    assert (identity.email, identity.email_verified) == (None, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sub": 5},
        {"sub": ""},
        {"sub": "a\x00"},
        {"exp": "soon"},
        {"exp": -1},
        {"exp": 2**60},
        {"firebase": {}},
        {"firebase": None},
        {"email_verified": "yes"},
        {"firebase": {"sign_in_provider": "phone"}},
    ],
)
async def test_claims_of_another_kind_are_refused(
    tokens: FirebaseTokens, google: Google, wrong: dict[str, Any]
) -> None:
    google.claims |= wrong

    with pytest.raises(UnauthenticatedError):
        await tokens.verify("a")


async def test_a_token_is_asked_about_once_a_minute_however_often_it_is_shown(
    tokens: FirebaseTokens, google: Google
) -> None:
    for _ in range(3):
        await asyncio.gather(*(tokens.verify("a") for _ in range(10)))
        await asyncio.sleep(15)
    assert len(google.asked) == 1
    await asyncio.sleep(15)
    await tokens.verify("a")
    assert len(google.asked) == 2


async def test_a_refusal_is_remembered_as_long_and_ends_what_was_good(tokens: FirebaseTokens, google: Google) -> None:
    await tokens.verify("a")
    google.error = UnauthenticatedError("revoked")
    for _ in range(3):
        with pytest.raises(UnauthenticatedError, match="revoked"):
            await tokens.verify("a", fresh=len(google.asked) == 1)
    assert len(google.asked) == 2
    google.error = None
    await asyncio.sleep(60)
    await tokens.verify("a")


async def test_a_fresh_look_is_shared_by_those_who_asked_before_it_began(
    tokens: FirebaseTokens, google: Google
) -> None:
    await tokens.verify("a")

    await asyncio.gather(*(tokens.verify("a", fresh=True) for _ in range(5)))
    assert len(google.asked) == 3, "the first one's, and one for those who came when that was under way"
    await tokens.verify("a", fresh=True)
    assert len(google.asked) == 4


async def test_a_good_token_is_good_until_it_expires(tokens: FirebaseTokens, google: Google) -> None:
    google.claims["exp"] = (BEGIN + 20 * SECOND) // SECOND
    await tokens.verify("a")
    await asyncio.sleep(28.5)
    await tokens.verify("a")
    await asyncio.sleep(1)
    with pytest.raises(UnauthenticatedError, match="expired"):
        await tokens.verify("a")
    assert len(google.asked) == 1


async def test_that_google_is_away_is_not_remembered(tokens: FirebaseTokens, google: Google) -> None:
    google.error = ProviderUnavailableError("away")
    with pytest.raises(ProviderUnavailableError):
        await tokens.verify("a")
    google.error = None
    await tokens.verify("a")


async def test_a_flood_of_wrong_tokens_has_few_places_and_holds_up_nobody_who_is_known(
    tokens: FirebaseTokens, google: Google
) -> None:
    """T14: two at once, each for 100 ms more than it takes; the rest waits, or is sent away."""
    await tokens.verify("known")
    await asyncio.sleep(60)
    google.error = UnauthenticatedError("wrong")
    flood = [asyncio.ensure_future(tokens.verify(f"wrong {number}")) for number in range(100)]
    await asyncio.sleep(0.5)
    assert google.at_once == 2
    google.error = None
    began = asyncio.get_running_loop().time()
    await tokens.verify("known")
    assert asyncio.get_running_loop().time() - began == pytest.approx(1)
    google.error = UnauthenticatedError("wrong")
    ends = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(end, ResourceExhaustedError) for end in ends) == 100 - 64
    assert google.most_at_once == 3
    began = asyncio.get_running_loop().time()
    with pytest.raises(UnauthenticatedError):
        await tokens.verify("one more")
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.1)


async def test_memory_is_bounded_and_wrong_tokens_push_out_no_good_one(tokens: FirebaseTokens, google: Google) -> None:
    """I16."""
    for name in "abcd":
        await tokens.verify(name)
    google.error = UnauthenticatedError("wrong")
    for number in range(20):
        with pytest.raises(UnauthenticatedError):
            await tokens.verify(f"wrong {number}")
    asked = len(google.asked)
    for name in "bcd":
        await tokens.verify(name)
    assert len(google.asked) == asked
    assert len(tokens._good._entries) == 3


@pytest.mark.parametrize(
    ("token", "taken"),
    [
        (f"a.{encoded(iss=ISSUER + 'project-1')}.c", True),
        (f"a.{encoded(iss=ISSUER + 'project-2')}.c", False),
        (f"a.{encoded(iss=['x'])}.c", False),
        (f"a.{encoded()}.c", False),
        (f"a.{encoded(iss=ISSUER + 'project-1')}", False),
        (f"a.{encoded(iss=ISSUER + 'project-1', pad='x' * 4096)}.c", False),
        ("a.\u00fc.c", False),
        ("a.AAAA.c", False),
        ("..", False),
        ("", False),
    ],
)
async def test_which_tokens_are_to_be_judged(tokens: FirebaseTokens, token: str, taken: bool) -> None:
    assert tokens.takes(token) is taken


async def test_a_bearer_proves_its_user(bearers: FirebaseBearers, users: Users, google: Google) -> None:
    principal = await bearers.authenticate("a")

    credential = FirebaseCredential("uid-1", BEGIN + HOUR, "a")
    assert principal == Principal(7, 70, Scope.ADMIN, credential)
    assert "'a'" not in repr(principal)


async def test_a_bearer_without_an_account_is_told_what_to_do(bearers: FirebaseBearers, users: Users) -> None:
    users.found = None
    with pytest.raises(UnauthenticatedError, match="LoginWithIdToken"):
        await bearers.authenticate("a")


async def still(bearers: FirebaseBearers, principal: Principal) -> bool:
    assert isinstance(principal.credential, FirebaseCredential)
    return await bearers.still_valid(principal, principal.credential)


async def test_an_open_stream_ends_when_the_token_is_revoked_or_expires_or_the_account_goes(
    bearers: FirebaseBearers, users: Users, google: Google
) -> None:
    """T12."""
    principal = await bearers.authenticate("a")
    assert isinstance(principal.credential, FirebaseCredential)
    assert bearers.next_look_s(principal.credential) == 10
    google.error = ProviderUnavailableError("away")
    await asyncio.sleep(120)
    assert await still(bearers, principal), "the last answer stands"
    google.error = UnauthenticatedError("revoked")
    assert not await still(bearers, principal)
    google.error = None
    await asyncio.sleep(60)
    assert await still(bearers, principal)
    users.found = FirebaseUser(user_id=8, org_id=70)
    await asyncio.sleep(11)
    assert not await still(bearers, principal), "it is another's now"
    users.found = None
    assert await still(bearers, principal) is False
    users.found = FirebaseUser(user_id=7, org_id=70)
    bearers.forget("uid-1")
    assert await still(bearers, principal)
    users.found = FirebaseUser(user_id=7, org_id=70, session_version=2)
    bearers.forget("uid-1")
    assert not await still(bearers, principal), "all that was open has ended"
    again = await bearers.authenticate("a")
    assert await still(bearers, again), "it may be shown again: they can come back"
    users.found = FirebaseUser(user_id=7, org_id=70)
    bearers.forget("uid-1")
    google.error = ProviderUnavailableError("away")
    await asyncio.sleep(3600)
    assert not await still(bearers, principal), "it expired, whoever is away"
