import base64
import stat
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.errors import FailedPreconditionError
from monitord.identity import private_file
from monitord.identity.private_file import PrivateFileError
from monitord.identity.vault import KEY_FILE, UnsealError, Vault, VaultError

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def encoded(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


@given(st.binary(max_size=2000), st.binary(max_size=50))
def test_what_was_sealed_opens_in_its_place(plain: bytes, context: bytes) -> None:
    vault = Vault([OLD])

    assert vault.unseal(vault.seal(plain, context), context) == plain


@given(st.integers(min_value=0), st.integers(1, 255))
def test_any_change_of_a_sealed_value_is_noticed(place: int, flip: int) -> None:
    vault = Vault([OLD])
    sealed = bytearray(vault.seal(b"x-api-key: swordfish", b"monitor 7"))
    sealed[place % len(sealed)] ^= flip

    with pytest.raises(UnsealError):
        vault.unseal(bytes(sealed), b"monitor 7")


@given(st.binary(max_size=60))
def test_anything_else_does_not_open(raw: bytes) -> None:
    with pytest.raises(UnsealError):
        Vault([OLD]).unseal(raw, b"")


def test_a_value_copied_to_another_place_does_not_open() -> None:
    vault = Vault([OLD])

    with pytest.raises(UnsealError, match="another place"):
        vault.unseal(vault.seal(b"secret", b"monitor 7"), b"monitor 8")


def test_the_same_value_is_never_sealed_the_same_and_is_not_readable() -> None:
    vault = Vault([OLD])

    assert vault.seal(b"swordfish", b"") != vault.seal(b"swordfish", b"")
    assert b"swordfish" not in vault.seal(b"swordfish", b"")


def test_after_a_rotation_old_values_open_and_new_ones_use_the_new_key() -> None:
    before, after = Vault([OLD]), Vault([NEW, OLD])
    sealed = before.seal(b"secret", b"place")

    assert after.unseal(sealed, b"place") == b"secret"
    assert after.seal(b"secret", b"place")[1:5] != sealed[1:5]
    with pytest.raises(UnsealError, match=sealed[1:5].hex()):
        Vault([NEW]).unseal(sealed, b"place")
    with pytest.raises(UnsealError):
        before.unseal(after.seal(b"secret", b"place"), b"place")


def test_each_purpose_has_its_own_key_per_master_key() -> None:
    vault = Vault([NEW, OLD])
    signing = vault.derive("signing")

    assert len({*signing, *vault.derive("seal"), OLD, NEW}) == 6
    assert signing == vault.derive("signing")
    assert signing[1:] == Vault([OLD]).derive("signing")


def test_no_purpose_gives_away_the_key_that_seals() -> None:
    vault = Vault([OLD])
    sealed = vault.seal(b"secret", b"place")
    for purpose in ("seal", "", "purpose/seal"):
        with pytest.raises(InvalidTag):
            AESGCM(vault.derive(purpose)[0]).decrypt(sealed[5:17], sealed[17:], sealed[:5] + b"place")


def test_the_first_start_makes_a_private_key_file_and_the_next_one_uses_it(tmp_path: Path) -> None:
    sealed = Vault.open(tmp_path / "state", None).seal(b"secret", b"")
    path = tmp_path / "state" / KEY_FILE

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Vault.open(tmp_path / "state", None).unseal(sealed, b"") == b"secret"
    assert names(path.parent) == [KEY_FILE]


def test_a_key_from_the_settings_leaves_no_file(tmp_path: Path) -> None:
    sealed = Vault.open(tmp_path, encoded(OLD)).seal(b"secret", b"")

    assert Vault.open(tmp_path, encoded(NEW, OLD)).unseal(sealed, b"") == b"secret"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_a_key_file_that_others_may_use_stops_the_start(tmp_path: Path, mode: int) -> None:
    Vault.open(tmp_path, None)
    (tmp_path / KEY_FILE).chmod(mode)

    with pytest.raises(PrivateFileError, match="chmod 600"):
        Vault.open(tmp_path, None)


@pytest.mark.parametrize("text", ["", " ", "c3dvcmRmaXNo", "not base64: swordfish", encoded(OLD) + ",c3dvcmRmaXNo"])
def test_a_bad_key_stops_the_start_and_is_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(VaultError, match="openssl rand -base64 32") as refused:
        Vault.open(tmp_path, text)
    assert "swordfish" not in str(refused.value)
    assert "c3dvcmRmaXNo" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert isinstance(refused.value, FailedPreconditionError)


def test_of_two_that_create_the_same_file_the_second_finds_the_first_ones(tmp_path: Path) -> None:
    path = tmp_path / "key"

    assert private_file.create(path, "first")
    assert not private_file.create(path, "second")
    assert private_file.read(path) == "first"
    assert names(tmp_path) == ["key"]


def test_replacing_makes_the_file_private_whatever_it_was(tmp_path: Path) -> None:
    path = tmp_path / "admin.key"
    path.write_text("old")
    path.chmod(0o644)

    private_file.replace(path, "new")

    assert private_file.read(path) == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["admin.key"]


def test_a_folder_in_the_files_place_is_refused_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()

    with pytest.raises(OSError):
        private_file.replace(tmp_path / "key", "secret")
    assert names(tmp_path) == ["key"]


def test_no_key_is_in_the_representation() -> None:
    text = repr(Vault([OLD, NEW]))

    assert "2 keys" in text
    for key in (OLD, NEW):
        assert key.hex() not in text
        assert encoded(key) not in text
