"""The contexts of monitors that bring their own certificates: kept within a bound, and never a way to crash."""

import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from monitord.domain.check import Category, Verdict
from monitord.domain.connection import Security, TlsSettings
from monitord.domain.kinds.tcp import TcpCheck
from monitord.domain.secrets import Secret
from monitord.probes import tls_openssl
from monitord.probes.service import ServiceChecks
from monitord.probes.tcp import TcpProber
from monitord.probes.tls_openssl import OpensslEngine
from tests.support.authority import Authority, private_pem
from tests.support.targets import saying, serve


def settings_of(pair: tuple[str, str], ca_pem: str = "") -> TlsSettings:
    return TlsSettings(client_certificate_pem=pair[0], client_key_pem=Secret(pair[1]), ca_pem=ca_pem)


def test_contexts_are_shared_kept_and_bounded(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_openssl, "_MAX_CONTEXTS", 3)
    engine = OpensslEngine([])
    ca_pem = authority.ca_file.read_text()
    made: list[TlsSettings] = []
    make = engine._make

    def counting(verify: bool, settings: TlsSettings) -> ssl.SSLContext:
        made.append(settings)
        return make(verify, settings)

    monkeypatch.setattr(engine, "_make", counting)
    several = [TlsSettings(ca_pem=ca_pem + "\n" * number) for number in range(5)]
    for settings in (several[0], several[1], several[2], several[0], several[0]):
        engine.session("x", verify=True, settings=settings)
    assert made == several[:3]
    # One more puts out the one that was not used for the longest time.
    engine.session("x", verify=True, settings=several[3])
    engine.session("x", verify=True, settings=several[0])
    assert made == several[:4]
    engine.session("x", verify=True, settings=several[1])
    assert made == [*several[:4], several[1]]
    assert len(engine._own) == 3
    # Whether it verifies is part of what it is; the name asked for is not.
    engine.session("x", verify=False, settings=several[1])
    engine.session("y", verify=False, settings=several[1])
    engine.session("x", verify=True, settings=TlsSettings(server_name="y"))
    assert len(made) == 6


def test_the_key_is_on_no_disk(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")
    paths: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def noting(self: ssl.SSLContext, path: str, **more: object) -> None:
        paths.append(path)
        assert "PRIVATE KEY" in Path(path).read_text()
        load(self, path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", noting)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    session = OpensslEngine([]).session("x", verify=True, settings=settings_of(authority.client("me")))
    assert session.shows_certificate
    assert paths[0].startswith("/proc/self/fd/")
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_without_files_in_memory_a_private_one_is_used_and_goes(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tls_openssl.tempfile, "tempdir", str(tmp_path))
    seen: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def noting(self: ssl.SSLContext, path: str, **more: object) -> None:
        seen.append(Path(path).stat().st_mode & 0o777)
        load(self, path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", noting)
    assert OpensslEngine([]).session("x", verify=True, settings=settings_of(authority.client("me"))).shows_certificate
    assert set(seen) == {0o600}
    assert list(tmp_path.iterdir()) == []


def _encrypted_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")).decode()


def _another_key() -> str:
    return private_pem(ec.generate_private_key(ec.SECP256R1())).decode()


UNUSABLE = {
    "another's key": lambda pair: settings_of((pair[0], _another_key())),
    "an encrypted key": lambda pair: settings_of((pair[0], _encrypted_key())),
    "no key": lambda pair: settings_of((pair[0], "")),
    "no certificate": lambda pair: settings_of(("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", pair[1])),
    "half a surrogate": lambda pair: settings_of(("\ud800" + pair[0], pair[1])),
    "no authority": lambda pair: TlsSettings(ca_pem="nobody"),
    "a spoilt authority": lambda pair: TlsSettings(ca_pem=pair[0].replace("M", "N")),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_what_cannot_be_used_is_told_and_is_our_own_fault(
    services: ServiceChecks, authority: Authority, case: str
) -> None:
    pair = authority.client("me")
    settings = UNUSABLE[case](pair)
    async with serve(saying(b"hello", then="silence"), tls=authority.server("localhost")) as server:
        check = TcpCheck(host="localhost", port=server.port, security=Security.TLS, tls=settings)
        for _ in range(2):
            seen = await TcpProber(services)(check, 2.0, trace=True)
            assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_INTERNAL), seen
            assert seen.message.startswith("This check cannot be run: the certificates or the key")
            assert seen.message.endswith(".")
            assert "PRIVATE" not in repr(seen)


async def test_no_descriptor_left_for_the_key_is_our_own_fault(
    services: ServiceChecks, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", none_left, raising=False)
    async with serve(saying(then="silence"), tls=authority.server("localhost")) as server:
        settings = settings_of(authority.client("unseen before"))
        check = TcpCheck(host="localhost", port=server.port, security=Security.TLS, tls=settings)
        seen = await TcpProber(services)(check, 2.0)
    assert (seen.verdict, "Too many open files" in seen.message) == (Verdict.INCONCLUSIVE, True), seen
