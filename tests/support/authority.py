"""A certificate authority for one test run: right, wrong and weak certificates for local servers."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

_NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | dsa.DSAPrivateKey | ed25519.Ed25519PrivateKey

KEYS: dict[str, Callable[[], PrivateKey]] = {
    "ec-192": lambda: ec.generate_private_key(ec.SECP192R1()),
    "ec-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "ec-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "dsa-2048": lambda: dsa.generate_private_key(2048),
}

# sha256WithRSAEncryption and its weak siblings, as they stand in a certificate (RFC 8017, C): they differ in one byte.
_RSA_SHA256 = bytes.fromhex("06092a864886f70d01010b")
_RSA_WEAK: dict[str, tuple[bytes, hashes.HashAlgorithm]] = {
    "sha1": (_RSA_SHA256[:-1] + b"\x05", hashes.SHA1()),
    "md5": (_RSA_SHA256[:-1] + b"\x04", hashes.MD5()),
}


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signed(builder: x509.CertificateBuilder, key: PrivateKey, digest: str = "") -> x509.Certificate:
    """Sign a certificate; with ``sha1`` or ``md5`` by hand, as the library won't. For these the key has to be RSA."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return builder.sign(key, None)
    certificate = builder.sign(key, hashes.SHA256())
    if not digest:
        return certificate
    assert isinstance(key, rsa.RSAPrivateKey)
    oid, algorithm = _RSA_WEAK[digest]
    body = certificate.tbs_certificate_bytes.replace(_RSA_SHA256, oid)
    whole = certificate.public_bytes(serialization.Encoding.DER).replace(_RSA_SHA256, oid)
    signature = key.sign(body, padding.PKCS1v15(), algorithm)
    return x509.load_der_x509_certificate(whole.removesuffix(certificate.signature) + signature)


class Issuer:
    """Signs certificates: a root, or what a root has signed."""

    def __init__(
        self,
        name: str,
        parent: "Issuer | None" = None,
        *,
        key: str = "ec-256",
        digest: str = "",
        days: tuple[int, int] = (-1000, 1000),
    ) -> None:
        self.name = _name(name)
        self.key = KEYS[key]()
        self.parent = parent
        signer = parent or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW + dt.timedelta(days=days[0]))
            .not_valid_after(_NOW + dt.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
        )
        self.certificate = signed(builder, signer.key, digest)

    def chain(self) -> bytes:
        """Return what a server sends after its own certificate, the root left out."""
        return pem(self.certificate) + self.parent.chain() if self.parent is not None else b""


class Authority:
    """Issues server certificates, with and without faults, into a folder of the test."""

    def __init__(self, folder: Path, name: str = "monitord test", *, key: str = "ec-256", digest: str = "") -> None:
        self._folder = folder
        self._name = name
        self.root = Issuer(f"{name} root", key=key, digest=digest)
        self._intermediate = Issuer(f"{name} intermediate", self.root)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(pem(self.root.certificate))
        self._count = 0

    def intermediate(
        self,
        *,
        key: str = "ec-256",
        digest: str = "",
        days: tuple[int, int] = (-1000, 1000),
    ) -> Issuer:
        """Return an intermediate of its own kind."""
        self._count += 1
        return Issuer(f"{self._name} intermediate {self._count}", self.root, key=key, digest=digest, days=days)

    def client(self, name: str) -> tuple[str, str]:
        """Return a client certificate and its private key, in PEM form."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self.root.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW - dt.timedelta(days=1))
            .not_valid_after(_NOW + dt.timedelta(days=30))
        )
        certificate = signed(builder, self.root.key)
        return pem(certificate).decode(), private_pem(key).decode()

    def server(self, *names: str, **making: object) -> ssl.SSLContext:
        """Return a server context with a certificate for ``names``; see ``server_file``."""
        return server_context(self.server_file(*names, **making))  # type: ignore[arg-type]

    def server_file(
        self,
        *names: str,
        days: tuple[int, int] = (-1, 30),
        common_name: str = "",
        self_signed: bool = False,
        by_intermediate: bool = False,
        send_chain: bool = True,
        send_root: bool = False,
        key: str = "ec-256",
        digest: str = "",
        issuer: Issuer | None = None,
    ) -> Path:
        """Return a file with a private key, its certificate for ``names``, and the chain.

        ``days`` are from and until when it is valid, from now.
        """
        private = KEYS[key]()
        subject = _name(common_name) if common_name else x509.Name([])
        signer = issuer or (self._intermediate if by_intermediate else self.root)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name("itself") if self_signed else subject)
            .issuer_name(_name("itself") if self_signed else signer.name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW + dt.timedelta(days=days[0]))
            .not_valid_after(_NOW + dt.timedelta(days=days[1]))
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        certificate = signed(builder, private if self_signed else signer.key, digest)
        self._count += 1
        path = self._folder / f"server-{self._count}.pem"
        chain = b"" if self_signed or not send_chain else signer.chain()
        root = pem(self.root.certificate) if send_root else b""
        path.write_bytes(private_pem(private) + pem(certificate) + chain + root)
        return path


def server_context(path: Path) -> ssl.SSLContext:
    """Return a server context with what ``server_file`` made. What is weak is served all the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(path)
    except ssl.SSLError:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(path)
    return context


def certificate_in(path: Path) -> x509.Certificate:
    """Return the server's own certificate of a file that ``server_file`` made."""
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
