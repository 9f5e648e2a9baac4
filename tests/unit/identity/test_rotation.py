"""What is signed with keys of the vault, before and after a rotation that happens while it runs."""

from collections.abc import Callable
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from monitord.domain.errors import UnauthenticatedError
from monitord.domain.instant import SECOND, Instant
from monitord.evidence.store.links import Links
from monitord.identity.address_proofs import AddressProofs, Claim, Purpose
from monitord.identity.contact_links import ContactLinks
from monitord.identity.ping_urls import PingUrls
from monitord.identity.principal import SessionCredential
from monitord.identity.tokens import Tokens
from monitord.identity.vault import Vault

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
NOW = 1_800_000_000 * SECOND


class Keys:
    """What a vault derives, whose keys a test changes."""

    def __init__(self) -> None:
        self.vault = Vault([OLD])

    def __call__(self, purpose: str) -> tuple[bytes, ...]:
        return self.vault.derive(purpose)

    def rotate(self) -> None:
        self.vault = Vault([NEW, OLD])

    def retire(self) -> None:
        self.vault = Vault([NEW])


class Proofs:
    """Remembers one proof."""

    def __init__(self) -> None:
        self.claim: Claim | None = None
        self.code_digest = b""

    async def begin_proof(
        self, claim: Claim, token_digest: bytes, code_digest: bytes, *, at: Instant, until: Instant
    ) -> None:
        self.claim, self.code_digest = claim, code_digest

    async def prove_by_token(self, purpose: Purpose, token_digest: bytes, *, at: Instant) -> Claim | None:
        raise AssertionError

    async def prove_by_code(
        self, purpose: Purpose, email: str, is_right: Callable[[bytes], bool], *, at: Instant
    ) -> Claim | None:
        return self.claim if is_right(self.code_digest) else None


def now() -> Instant:
    return NOW


@pytest.fixture
def keys() -> Keys:
    return Keys()


def test_urls_of_heartbeats(keys: Keys) -> None:
    urls = PingUrls(keys, "")
    before = urls.token(7, 0)
    with capture_logs() as logs:
        assert urls.read(before) == (7, 0)
    assert logs == []
    keys.rotate()
    after = urls.token(7, 0)
    with capture_logs() as logs:
        assert [urls.read(token) for token in (before, before, after)] == [(7, 0)] * 3
    assert [(line["event"], line["monitor_id"]) for line in logs] == [("ping_url_of_an_older_key", 7)]
    keys.retire()
    assert (urls.read(before), urls.read(after)) == (None, (7, 0))


def test_sessions(keys: Keys) -> None:
    tokens = Tokens(keys, now=now)
    session = UUID(int=5)

    def issued() -> tuple[str, str]:
        return tokens.issue_access(1, SessionCredential(session, 1))[0], tokens.issue_refresh(session)

    before = issued()
    keys.rotate()
    after = issued()
    for access, refresh in (before, after):
        assert tokens.verify_access(access).user_id == 1
        assert tokens.verify_refresh(refresh) == session
    keys.retire()
    assert tokens.verify_refresh(after[1]) == session
    for verify, token in ((tokens.verify_access, before[0]), (tokens.verify_refresh, before[1])):
        with pytest.raises(UnauthenticatedError):
            verify(token)


def test_links_that_unsubscribe_and_codes_that_confirm(keys: Keys) -> None:
    links = ContactLinks(keys, lambda: "")

    def made() -> tuple[str, bytes]:
        return links.unsubscribe_url(1, 2).rpartition("/")[2], links.code_hash(1, 2, "12345678")

    before = made()
    keys.rotate()
    after = made()
    assert before != after
    for token, stored in (before, after):
        assert links.read_unsubscribe(token) == (1, 2)
        assert links.is_code(stored, 1, 2, "12345678")
        assert not links.is_code(stored, 1, 2, "12345679")
        assert not links.is_code(stored, 1, 3, "12345678")
    keys.retire()
    assert (links.read_unsubscribe(before[0]), links.is_code(before[1], 1, 2, "12345678")) == (None, False)
    assert (links.read_unsubscribe(after[0]), links.is_code(after[1], 1, 2, "12345678")) == ((1, 2), True)


def test_links_to_screenshots(keys: Keys) -> None:
    links = Links(keys, "", lifetime_s=60, now=now)
    name = "0" * 32

    def made() -> str:
        return links.url(name).rpartition("/")[2]

    before = made()
    keys.rotate()
    after = made()
    assert (links.read(before), links.read(after)) == (name, name)
    keys.retire()
    assert (links.read(before), links.read(after)) == (None, name)


async def test_codes_that_prove_an_address(keys: Keys) -> None:
    proofs = AddressProofs(Proofs(), keys, lambda: "", now=now)
    claim = Claim(purpose=Purpose.RESET, email="ann@example.org")

    async def is_taken(code: str) -> bool:
        return await proofs.take(Purpose.RESET, email=claim.email, code=code) is claim

    sent = await proofs.ask(claim)
    keys.rotate()
    assert await is_taken(sent.code)
    assert not await is_taken("00000000" if sent.code != "00000000" else "00000001")
    keys.retire()
    assert not await is_taken(sent.code)
    assert await is_taken((await proofs.ask(claim)).code)
