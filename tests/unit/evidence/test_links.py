"""Links to screenshots: unguessable, and over in time (T15)."""

import pytest

from monitord.domain.instant import SECOND
from monitord.evidence.store.links import Links
from monitord.identity.vault import Vault

NAME = "0123456789abcdef" * 2
NOW = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.now_s = float(NOW)

    def __call__(self) -> int:
        return int(self.now_s * SECOND)


def links(clock: Clock, *keys: bytes) -> Links:
    return Links(Vault(keys or [bytes(32)]).derive, "https://m.example/", lifetime_s=60, now=clock)


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_link_is_valid_for_its_lifetime() -> None:
    clock = Clock()
    made = links(clock)
    url = made.url(NAME)
    assert url.startswith(f"https://m.example/screenshots/{NAME}-{NOW + 60}-")
    clock.now_s = NOW + 59.9
    assert made.read(token_of(url)) == NAME
    clock.now_s = NOW + 60
    assert made.read(token_of(url)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NAME, NAME[::-1]),
        (str(NOW + 60), str(NOW + 9_000)),
        ("-", "_"),
        (NAME, "../../../../etc/passwd"),
        (NAME, NAME.upper()),
        ("/screenshots/", "/screenshots/ "),
    ],
)
def test_a_forged_link_is_none(old: str, new: str) -> None:
    made = links(Clock())
    token = made.url(NAME).removeprefix("https://m.example").replace(old, new, 1).removeprefix("/screenshots/")
    assert made.read(token) is None


def test_any_change_of_a_signature_shows() -> None:
    made = links(Clock())
    token = token_of(made.url(NAME))
    # The last character carries only two bits of the signature: the others in it must be as they were made.
    for at in range(len(token) - 22, len(token)):
        for char in "Az09-_":
            changed = token[:at] + char + token[at + 1 :]
            assert made.read(changed) == (NAME if changed == token else None)
    assert made.read("") is None
    assert made.read(token + "A") is None


def test_a_rotated_key_keeps_old_links_valid() -> None:
    clock = Clock()
    old, new = b"o" * 32, b"n" * 32
    token = token_of(links(clock, old).url(NAME))
    assert links(clock, new, old).read(token) == NAME
    assert links(clock, new).read(token) is None
