import base64
import os
import stat
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from monitord.domain.errors import FailedPreconditionError
from monitord.identity import private_file
from monitord.identity.key_file import KEY_FILE, KeyFile, VaultError, key_id, spelled
from monitord.identity.private_file import PrivateFileError
from monitord.identity.vault import LOOK_S, UnsealError, Vault

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


# A rotation while it runs


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Source:
    """Keys that a test sets, and how often they were asked for."""

    def __init__(self) -> None:
        self.keys: list[bytes] | None = None
        self.asked = 0

    def newer(self) -> list[bytes] | None:
        self.asked += 1
        return self.keys


def following(time: Time, *keys: bytes) -> tuple[Vault, Source]:
    source = Source()
    return Vault(keys, source=source, monotonic=time), source


def test_a_new_first_key_seals_and_signs_after_a_second_at_most() -> None:
    time = Time()
    vault, source = following(time, OLD)
    before = vault.seal(b"secret", b"place")
    source.keys = [NEW, OLD]
    time.now_s = LOOK_S - 0.001
    assert (vault.seal(b"", b"")[1:5], source.asked) == (key_id(OLD), 0)
    time.now_s = LOOK_S
    assert vault.seal(b"", b"")[1:5] == key_id(NEW) == vault.current
    assert vault.derive("signing") == Vault([NEW, OLD]).derive("signing")
    assert vault.unseal(before, b"place") == b"secret"


def test_keys_that_are_derived_follow_without_anything_being_sealed() -> None:
    time = Time()
    vault, source = following(time, OLD)
    assert vault.derive("signing") == Vault([OLD]).derive("signing")
    source.keys, time.now_s = [NEW, OLD], LOOK_S
    assert vault.derive("signing") == Vault([NEW, OLD]).derive("signing")


def test_a_value_of_a_key_that_is_not_known_has_it_look_at_once() -> None:
    time = Time()
    vault, source = following(time, OLD)
    source.keys = [NEW, OLD]
    time.now_s = 0.1
    assert vault.unseal(Vault([NEW]).seal(b"secret", b"place"), b"place") == b"secret"
    assert source.asked == 1


def test_it_looks_no_more_than_once_a_second_however_many_values_do_not_open() -> None:
    time = Time()
    vault, source = following(time, OLD)
    stranger = Vault([NEW]).seal(b"secret", b"place")
    for _ in range(100):
        with pytest.raises(UnsealError, match=key_id(NEW).hex()):
            vault.unseal(stranger, b"place")
    assert source.asked == 1
    time.now_s = LOOK_S
    for _ in range(100):
        with pytest.raises(UnsealError):
            vault.unseal(stranger, b"place")
        vault.seal(b"", b"")
    assert source.asked == 2


def test_a_retired_key_signs_and_verifies_no_more_but_opens_what_is_still_under_way() -> None:
    time = Time()
    vault, source = following(time, NEW, OLD)
    before = Vault([OLD]).seal(b"secret", b"place")
    source.keys, time.now_s = [NEW], LOOK_S
    assert vault.derive("signing") == Vault([NEW]).derive("signing")
    assert vault.unseal(before, b"place") == b"secret"


def test_a_file_that_is_replaced_is_followed(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path, None)
    file = KeyFile(tmp_path / KEY_FILE)
    (made,) = file.read()
    file.replace([NEW, made], instead_of=[made])
    assert vault.unseal(Vault([NEW]).seal(b"secret", b""), b"") == b"secret"
    assert (tmp_path / KEY_FILE).read_text().split() == encoded(NEW, made).split(",")
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert names(tmp_path) == [KEY_FILE]


def test_a_file_that_cannot_be_used_leaves_the_keys_as_they_are_and_is_told_once(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / KEY_FILE)
    file.open()
    file.path.write_text("hunter2")
    with capture_logs() as logs:
        assert file.newer() is None
        assert file.newer() is None
        file.path.unlink()
        assert file.newer() is None
        assert file.newer() is None
    assert [line["event"] for line in logs] == ["keys_not_reloaded", "keys_not_reloaded"]
    assert "hunter2" not in str(logs)
    private_file.create(file.path, spelled([NEW]))
    assert file.newer() == [NEW]
    assert file.newer() is None


def test_what_heals_without_a_change_of_the_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = KeyFile(tmp_path / KEY_FILE)
    file.open()
    private_file.replace(file.path, spelled([NEW]))
    with monkeypatch.context() as broken, capture_logs():
        broken.setattr(private_file, "read", unreadable)
        assert file.newer() is None
    assert file.newer() == [NEW]


def unreadable(path: Path) -> str:
    raise OSError(5, "Input/output error")


def test_a_file_that_somebody_else_has_changed_is_not_replaced(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / KEY_FILE)
    (made,) = file.open()
    private_file.replace(file.path, spelled([OLD]))
    with pytest.raises(VaultError, match="changed by somebody else"):
        file.replace([NEW, made], instead_of=[made])
    assert file.read() == [OLD]


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    private_file.create(elsewhere, spelled([OLD]))
    (tmp_path / KEY_FILE).symlink_to(elsewhere)
    KeyFile(tmp_path / KEY_FILE).replace([NEW, OLD], instead_of=[OLD])
    assert (tmp_path / KEY_FILE).is_symlink()
    assert KeyFile(elsewhere).read() == [NEW, OLD]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_file_to_the_user_that_monitord_runs_as(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / KEY_FILE)
    (made,) = file.open()
    os.chown(file.path, 12345, 23456)
    file.replace([NEW, made], instead_of=[made])
    assert (file.path.stat().st_uid, file.path.stat().st_gid) == (12345, 23456)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_replaced_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = KeyFile(tmp_path / KEY_FILE)
    (made,) = file.open()

    def read_only(path: Path, text: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(private_file, "replace", read_only)
    with pytest.raises(PrivateFileError, match="Read-only file system"):
        file.replace([NEW, made], instead_of=[made])
