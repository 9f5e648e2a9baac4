"""A certificate authority for one test run: right and wrong certificates for local servers."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class _Issuer:
    def __init__(self, name: str, parent: "_Issuer | None" = None) -> None:
        self.name = _name(name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        signer = parent or self
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW - dt.timedelta(days=1000))
            .not_valid_after(_NOW + dt.timedelta(days=1000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(signer.key, hashes.SHA256())
        )


class Authority:
    """Issues server certificates, with and without faults, into a folder of the test."""

    def __init__(self, folder: Path, name: str = "monitord test") -> None:
        self._folder = folder
        self._root = _Issuer(f"{name} root")
        self._intermediate = _Issuer(f"{name} intermediate", self._root)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(_pem(self._root.certificate))
        self._count = 0

    def client(self, name: str) -> tuple[str, str]:
        """Return a client certificate and its private key, in PEM form."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._root.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW - dt.timedelta(days=1))
            .not_valid_after(_NOW + dt.timedelta(days=30))
            .sign(self._root.key, hashes.SHA256())
        )
        return _pem(certificate).decode(), _private_pem(key).decode()

    def server(
        self,
        *names: str,
        days: tuple[int, int] = (-1, 30),
        common_name: str = "",
        self_signed: bool = False,
        by_intermediate: bool = False,
        send_chain: bool = True,
    ) -> ssl.SSLContext:
        """Return a server context with a certificate for ``names``, valid from and until so many days from now."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            self.server_file(
                *names,
                days=days,
                common_name=common_name,
                self_signed=self_signed,
                by_intermediate=by_intermediate,
                send_chain=send_chain,
            )
        )
        return context

    def server_file(
        self,
        *names: str,
        days: tuple[int, int] = (-1, 30),
        common_name: str = "",
        self_signed: bool = False,
        by_intermediate: bool = False,
        send_chain: bool = True,
    ) -> Path:
        """Return a file with a private key, its certificate and the chain; see ``server``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(common_name) if common_name else x509.Name([])
        issuer = self._intermediate if by_intermediate else self._root
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name("itself") if self_signed else subject)
            .issuer_name(_name("itself") if self_signed else issuer.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW + dt.timedelta(days=days[0]))
            .not_valid_after(_NOW + dt.timedelta(days=days[1]))
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        certificate = builder.sign(key if self_signed else issuer.key, hashes.SHA256())
        self._count += 1
        path = self._folder / f"server-{self._count}.pem"
        chain = _pem(self._intermediate.certificate) if by_intermediate and send_chain else b""
        path.write_bytes(_private_pem(key) + _pem(certificate) + chain)
        return path


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
