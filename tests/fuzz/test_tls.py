"""No bytes of a server make a TLS session, or the reader of certificates, raise anything but an error of TLS."""

import random
import ssl
import warnings
from pathlib import Path

import pytest

from monitord.domain.target import parse_target
from monitord.probes import tls_failure
from monitord.probes.certificates import read_certificate
from monitord.probes.tls import Session, Tls
from monitord.probes.tls_openssl import certificates_in
from tests.fuzz.mutation import mutated, pieces, rounds
from tests.support.authority import Authority

TARGET = parse_target("https://localhost/")
WORDS = [b"\x16\x03\x03\x40\x00", b"\x15\x03\x03\x00\x02\x02\x28", b"\x14\x03\x03\x00\x01\x01", b"\x17\x03\x03\xff\xff"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Server:
    """A server in memory: answers a ClientHello with its flight."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def answer(self, data: bytes) -> bytes:
        self.incoming.write(data)
        try:
            self.tls.do_handshake()
        except ssl.SSLError:
            return self.outgoing.read()
        self.tls.write(b"HTTP/1.1 200 OK\r\n\r\n")
        return self.outgoing.read()


@pytest.mark.parametrize("judge", [False, True], ids=["rustls", "openssl"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_flight_breaks_a_session(authority: Authority, judge: bool, version: ssl.TLSVersion) -> None:
    context = authority.server("localhost")
    context.maximum_version = version
    tls = Tls("auto", ca_file=authority.ca_file)

    def begin() -> Session:
        return tls.session(TARGET, verify=True, judge=judge)

    for label, chance in rounds(f"tls {judge} {version.name}", 300):
        try:
            converse(begin(), Server(context), chance)
        except Exception as error:
            raise AssertionError(label) from error


def converse(session: Session, server: Server, chance: random.Random) -> None:
    """Let them talk; spoil one of the server's flights. What comes of it has to be explained."""
    spoilt = chance.randrange(3)
    for turn in range(6):
        data = server.answer(session.outgoing())
        if turn == spoilt:
            data = mutated(data, chance, WORDS)
        for piece in pieces(data, chance):
            try:
                session.receive(piece)
            except ssl.SSLError as error:
                tls_failure.explain(session, error, TARGET)
                for der in session.chain():
                    read_certificate(der)
                return
        if session.closed or not data:
            return


def test_no_certificate_breaks_its_reader(authority: Authority) -> None:
    authority.server("localhost", "*.example.com", "127.0.0.1")
    genuine = [ssl.PEM_cert_to_DER_cert(pem_in(path)) for path in Path(authority.ca_file).parent.glob("*.pem")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for label, chance in rounds("certificates", 3_000):
            der = mutated(chance.choice(genuine), chance)
            try:
                facts = read_certificate(der)
            except Exception as error:
                raise AssertionError(f"{label}: {der.hex()}") from error
            assert facts is None or len(facts.subject) <= 200, label
            certificates_in(der, chance.random() < 0.5)


def pem_in(path: Path) -> str:
    text = path.read_text()
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return text[text.index(begin) : text.index(end) + len(end)] + "\n"
