"""TCP and TLS checks between messages and domain: what is set arrives and returns, and no secret does."""

from monitord.domain.connection import AddressFamily, Security, TlsSettings
from monitord.domain.errors import Violation
from monitord.domain.kinds.tcp import TcpCheck
from monitord.domain.kinds.tls import TlsCheck, TlsVersion
from monitord.domain.secrets import Secret
from monitord.rpc.kinds.tcp import read_tcp, tcp_pb
from monitord.rpc.kinds.tls import read_tls_check, tls_check_pb
from monitord.v1 import connection_pb2, tcp_check_pb2, tls_check_pb2

TLS = TlsSettings(
    server_name="other.example", ca_pem="ca", client_certificate_pem="certificate", client_key_pem=Secret("hunter2")
)


def test_tcp() -> None:
    found: list[Violation] = []
    check = TcpCheck(
        host="host.example",
        port=25,
        address_family=AddressFamily.IPV6,
        resolver="192.0.2.53",
        expected_latency_ms=250,
        security=Security.STARTTLS_SMTP,
        verify_tls=False,
        tls=TLS,
        min_certificate_days=7,
        send=b"\x00\xff",
        expect="^250 ",
    )
    shown = tcp_pb(check)
    assert "hunter2" not in str(shown)
    shown.tls.client_key_pem = "hunter2"
    assert (read_tcp(shown, found), found) == (check, [])
    bare = read_tcp(tcp_check_pb2.TcpCheck(host="host.example", port=25), found)
    assert (bare, found) == (TcpCheck(host="host.example", port=25), [])


def test_tls() -> None:
    found: list[Violation] = []
    check = TlsCheck(
        host="host.example",
        port=8443,
        security=Security.STARTTLS_POSTGRES,
        tls=TLS,
        min_certificate_days=0,
        names=("a.example", "192.0.2.1"),
        min_version=TlsVersion.TLS_1_3,
        fingerprints_sha256=("ab" * 32,),
    )
    shown = tls_check_pb(check)
    assert "hunter2" not in str(shown)
    shown.tls.client_key_pem = "hunter2"
    assert (read_tls_check(shown, found), found) == (check, [])
    bare = read_tls_check(tls_check_pb2.TlsCheck(host="host.example"), found)
    assert (bare, found) == (TlsCheck(host="host.example"), [])


def test_fingerprints_as_other_programs_write_them() -> None:
    message = tls_check_pb2.TlsCheck(host="x", fingerprints_sha256=["AB:" * 31 + "AB"])
    assert read_tls_check(message, []).fingerprints_sha256 == ("ab" * 32,)


def test_numbers_that_mean_nothing_are_told() -> None:
    found: list[Violation] = []
    read_tls_check(tls_check_pb2.TlsCheck(host="x", min_version=99, security=99, tls_verification=99), found)  # type: ignore[arg-type]
    assert [each.field for each in found] == ["tls.security", "tls.tls_verification", "tls.min_version"]
    assert connection_pb2.SECURITY_STARTTLS_POSTGRES == Security.STARTTLS_POSTGRES
