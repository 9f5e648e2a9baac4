"""The files that monitord serves TLS with, as operators, certbot and Kubernetes put them down and replace them."""

from pathlib import Path

from cryptography import x509

from monitord.served_certificate import CertificateFiles
from tests.support.authority import Authority, certificate_in, pem


class TlsFiles:
    """A certificate and its key in two files of a folder, which may be replaced."""

    def __init__(self, folder: Path, authority: Authority, *, clients: Authority | None = None) -> None:
        """Put down a first certificate; with ``clients``, also the authority that has to have signed theirs."""
        self.authority = authority
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.files = CertificateFiles(
            folder / "cert.pem", folder / "key.pem", folder / "clients.pem" if clients else None
        )
        if clients is not None:
            (folder / "clients.pem").write_bytes(clients.ca_file.read_bytes())
        self.renewed = self.rename(self.issue())

    def issue(self, *, days: tuple[int, int] = (-1, 30), key: str = "ec-256") -> Path:
        """Return a file with a new key, its certificate, and the chain."""
        return self.authority.server_file("127.0.0.1", "localhost", days=days, by_intermediate=True, key=key)

    def rename(self, made: Path) -> x509.Certificate:
        """Replace both files by renaming new ones over them; return the certificate that is to be served now."""
        for path, text in zip((self.files.certificate, self.files.key), halves(made), strict=True):
            beside = path.with_suffix(".new")
            beside.write_bytes(text)
            beside.replace(path)
        return certificate_in(made)


class Mounted:
    """A secret as Kubernetes mounts it: files are links through ``..data``, which is swapped for another folder."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._authority = authority
        folder.mkdir()
        self.swap()
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to(Path("..data") / name)
        self.files = CertificateFiles(folder / "tls.crt", folder / "tls.key")

    def swap(self) -> x509.Certificate:
        """Put a new folder into the place of the one before; return the certificate that is to be served now."""
        made = self._authority.server_file("127.0.0.1", "localhost")
        version = self._folder / f"..{made.stem}"
        version.mkdir()
        certificate, key = halves(made)
        (version / "tls.crt").write_bytes(certificate)
        (version / "tls.key").write_bytes(key)
        (self._folder / "..data_tmp").symlink_to(version.name)
        (self._folder / "..data_tmp").replace(self._folder / "..data")
        return certificate_in(made)


def halves(made: Path) -> tuple[bytes, bytes]:
    """Return the chain and the key of a file that ``server_file`` made."""
    key, begin, chain = made.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
    return begin + chain, key


def leaf(certificate: bytes) -> bytes:
    """Return the first certificate of a chain in its one spelling, to compare."""
    return pem(x509.load_pem_x509_certificates(certificate)[0])
