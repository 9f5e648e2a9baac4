"""What is served while files are replaced, spoilt and mended: nothing here opens a socket."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from monitord import served_certificate
from monitord.domain.instant import DAY, from_datetime
from monitord.served_certificate import CertificateError, CertificateFiles, ServedCertificate
from tests.support.authority import Authority, certificate_in, pem
from tests.support.stored import Clock
from tests.support.tls_files import Mounted, TlsFiles, halves, leaf


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def tls(tmp_path: Path, authority: Authority) -> TlsFiles:
    return TlsFiles(tmp_path / "tls", authority)


def opened(files: CertificateFiles) -> ServedCertificate:
    return ServedCertificate(files, now=Clock(0))


def told(served: ServedCertificate) -> list[dict[str, Any]]:
    with capture_logs() as logs:
        served.look()
    return logs  # type: ignore[return-value]


def events(served: ServedCertificate) -> list[str]:
    return [line["event"] for line in told(served)]


def serves(served: ServedCertificate) -> bytes:
    return leaf(served.current.certificate)


# At the start


def missing(tls: TlsFiles) -> None:
    tls.files.key.unlink()


def no_pem(tls: TlsFiles) -> None:
    tls.files.certificate.write_text("hello")


def of_another_key(tls: TlsFiles) -> None:
    tls.files.key.write_bytes(halves(tls.issue())[1])


def cut_off(tls: TlsFiles) -> None:
    tls.files.certificate.write_bytes(tls.files.certificate.read_bytes()[:-100])


def swapped(tls: TlsFiles) -> None:
    tls.files.certificate.write_bytes(tls.files.key.read_bytes())


def encrypted(tls: TlsFiles) -> None:
    key = serialization.load_pem_private_key(tls.files.key.read_bytes(), None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    tls.files.key.write_bytes(key.private_bytes(*form, serialization.BestAvailableEncryption(b"hunter2")))


def of_a_kind_that_grpc_cannot_serve(tls: TlsFiles) -> None:
    certificate, key = halves(tls.authority.server_file("127.0.0.1", key="ed25519"))
    tls.files.certificate.write_bytes(certificate)
    tls.files.key.write_bytes(key)


def weak(tls: TlsFiles) -> None:
    certificate, key = halves(tls.authority.server_file("127.0.0.1", key="rsa-1024"))
    tls.files.certificate.write_bytes(certificate)
    tls.files.key.write_bytes(key)


SPOILT: dict[Callable[[TlsFiles], None], str] = {
    missing: "No such file",
    no_pem: "no certificate in PEM form",
    of_another_key: "the key is of another certificate",
    cut_off: "cut off",
    swapped: "no certificate in PEM form",
    encrypted: "store it without",
    of_a_kind_that_grpc_cannot_serve: "the curves P-256 and P-384",
    weak: "key too small",
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_files_that_cannot_be_served_stop_the_start_and_are_named(
    tls: TlsFiles, spoil: Callable[[TlsFiles], None]
) -> None:
    spoil(tls)
    with pytest.raises(CertificateError, match=SPOILT[spoil]) as refused:
        opened(tls.files)
    assert str(tls.files.key if spoil is missing else tls.files.certificate) in str(refused.value)
    assert "MONITORD_TLS_CERT" in str(refused.value)
    assert "BEGIN PRIVATE" not in str(refused.value)


def test_authorities_of_clients_have_to_be_certificates(tmp_path: Path, authority: Authority) -> None:
    tls = TlsFiles(tmp_path / "tls", authority, clients=authority)
    assert opened(tls.files).current.client_ca == authority.ca_file.read_bytes()
    assert tls.files.client_ca is not None
    tls.files.client_ca.write_bytes(tls.files.key.read_bytes())
    with pytest.raises(CertificateError, match="MONITORD_TLS_CLIENT_CA"):
        opened(tls.files)


def test_the_key_is_in_no_representation(tls: TlsFiles) -> None:
    assert "PRIVATE" not in repr(opened(tls.files).current)


# Replaced


def test_new_files_by_rename_are_served_and_told_once(tls: TlsFiles) -> None:
    served = opened(tls.files)
    assert (events(served), serves(served)) == ([], pem(tls.renewed))
    context = served.current.context
    renewed = tls.rename(tls.issue())
    (line,) = told(served)
    assert (line["event"], line["log_level"]) == ("certificate_reloaded", "info")
    assert line["expires"] == renewed.not_valid_after_utc.isoformat()
    assert serves(served) == pem(renewed)
    assert served.current.context is not context, "built aside, so that no handshake sees half of it"
    assert events(served) == []


def test_a_swapped_link_is_seen(tmp_path: Path, authority: Authority) -> None:
    mounted = Mounted(tmp_path / "secret", authority)
    served = opened(mounted.files)
    renewed = mounted.swap()
    assert events(served) == ["certificate_reloaded"]
    assert serves(served) == pem(renewed)


def test_files_written_in_place_are_seen(tls: TlsFiles) -> None:
    served, made = opened(tls.files), tls.issue()
    certificate, key = halves(made)
    tls.files.certificate.write_bytes(certificate)
    (line,) = told(served)
    assert (line["event"], "of another certificate" in line["reason"]) == ("certificate_not_reloaded", True)
    tls.files.key.write_bytes(key)
    assert events(served) == ["certificate_reloaded"]
    assert serves(served) == pem(certificate_in(made))


def test_the_same_once_more_is_not_told(tls: TlsFiles) -> None:
    served = opened(tls.files)
    current = served.current
    tls.files.certificate.write_bytes(tls.files.certificate.read_bytes())
    assert events(served) == []
    assert served.current is current, "gRPC need not build anything"


def test_other_authorities_of_clients_are_taken_in(tmp_path: Path, authority: Authority) -> None:
    tls = TlsFiles(tmp_path / "tls", authority, clients=authority)
    served = opened(tls.files)
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").ca_file.read_bytes()
    assert tls.files.client_ca is not None
    tls.files.client_ca.write_bytes(other)
    assert events(served) == ["certificate_reloaded"]
    assert served.current.client_ca == other


# Spoilt, and mended


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_cannot_be_served_leaves_the_one_before_and_is_told_once(
    tls: TlsFiles, spoil: Callable[[TlsFiles], None]
) -> None:
    served = opened(tls.files)
    before = served.current
    kept = tls.files.certificate.read_bytes(), tls.files.key.read_bytes()
    spoil(tls)
    (line,) = told(served)
    assert (line["event"], line["log_level"]) == ("certificate_not_reloaded", "warning")
    assert SPOILT[spoil] in line["reason"]
    assert events(served) == events(served) == []
    assert served.current is before
    tls.files.certificate.write_bytes(kept[0])
    tls.files.key.write_bytes(kept[1])
    assert events(served) == ["certificate_well_again"]
    assert events(served) == []
    assert served.current is before


def test_another_kind_of_wrong_is_told_too(tls: TlsFiles) -> None:
    served = opened(tls.files)
    no_pem(tls)
    assert events(served) == ["certificate_not_reloaded"]
    tls.files.certificate.unlink()
    assert events(served) == ["certificate_not_reloaded"]
    renewed = tls.rename(tls.issue())
    assert events(served) == ["certificate_reloaded"]
    assert serves(served) == pem(renewed)


def test_what_heals_without_a_change_of_the_files_is_seen(tls: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a file system that failed to read."""
    served = opened(tls.files)
    renewed = tls.rename(tls.issue())
    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", unreadable)
        assert events(served) == ["certificate_not_reloaded"]
    assert events(served) == ["certificate_reloaded"]
    assert serves(served) == pem(renewed)


def unreadable(path: Path) -> bytes:
    raise OSError(5, "Input/output error")


def test_what_nobody_has_thought_of_leaves_the_one_before_too(tls: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(pem: bytes) -> list[object]:
        raise RuntimeError("a bug of a parser")

    served = opened(tls.files)
    before = served.current
    tls.rename(tls.issue())
    monkeypatch.setattr(served_certificate, "_certificates", broken)
    assert events(served) == ["certificate_not_reloaded"]
    assert events(served) == []
    assert served.current is before


def test_wherever_a_file_is_cut_off_it_is_refused_or_whole(tls: TlsFiles) -> None:
    """All that a cut may leave is a chain without its end: as good as another chain, until the rest is there."""
    whole, key = tls.files.certificate.read_bytes(), tls.files.key.read_bytes()
    joint = whole.index(b"-----BEGIN", 1)
    taken = []
    for length in range(0, len(whole), 3):
        tls.files.certificate.write_bytes(whole[:length])
        try:
            opened(tls.files)
        except CertificateError:
            continue
        taken.append(length)
    assert all(length in (joint - 1, joint, len(whole) - 1, len(whole)) for length in taken), taken
    tls.files.certificate.write_bytes(whole)
    for length in range(0, len(key) - 1, 3):
        tls.files.key.write_bytes(key[:length])
        with pytest.raises(CertificateError):
            opened(tls.files)


# Its end


def test_the_end_is_told_in_time_at_the_start_at_a_change_and_once_a_day(tls: TlsFiles) -> None:
    end = from_datetime(tls.renewed.not_valid_after_utc)
    clock = Clock(end - 14 * DAY)
    with capture_logs() as logs:
        served = ServedCertificate(tls.files, now=clock)
    assert logs == []
    clock.now = end - 3 * DAY
    (line,) = told(served)
    assert (line["event"], line["log_level"], line["days_left"]) == ("certificate_expires_soon", "warning", 3)
    assert events(served) == []
    clock.now += DAY - 1
    assert events(served) == []
    clock.now += 1
    assert events(served) == ["certificate_expires_soon"]
    with capture_logs() as logs:
        ServedCertificate(tls.files, now=clock)
    assert [line["event"] for line in logs] == ["certificate_expires_soon"]
    clock.now = end
    with capture_logs() as logs:
        ServedCertificate(tls.files, now=clock)
    assert [(line["event"], line["days_left"]) for line in logs] == [("certificate_expired", 0)]

    tls.rename(tls.issue(days=(-9, -2)))
    assert events(served) == ["certificate_reloaded", "certificate_expired"]


def test_contexts_are_of_tls_1_2_at_least(tls: TlsFiles) -> None:
    assert opened(tls.files).context.minimum_version is ssl.TLSVersion.TLSv1_2
