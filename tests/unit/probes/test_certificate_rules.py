"""What certificates are valid for, and what makes them weak."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.instant import DAY, from_datetime
from monitord.domain.target import parse_endpoint
from monitord.probes.certificate_rules import Coverage, days_left, key_bits, weakness
from tests.support.authority import KEYS, Authority, certificate_in


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def der(path: Path) -> bytes:
    return certificate_in(path).public_bytes(Encoding.DER)


def covers(pattern: str, name: str) -> bool:
    coverage = Coverage(b"")
    coverage._add(pattern)
    return coverage.includes(parse_endpoint(name, 443))


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("example.com", "example.com", True),
        ("example.com", "EXAMPLE.com", True),
        ("example.com", "www.example.com", False),
        ("*.example.com", "www.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("*.example.com", "xn--bcher-kva.example.com", True),
        ("*.xn--bcher-kva.example", "www.bücher.example", True),
        ("xn--bcher-kva.example", "bücher.example", True),
        # An asterisk is a whole label, the left-most one, and one alone (RFC 6125, 6.4.3).
        ("w*.example.com", "www.example.com", False),
        ("*w.example.com", "www.example.com", False),
        ("www.*.com", "www.example.com", False),
        ("*.*.example.com", "a.b.example.com", False),
        ("*", "localhost", False),
        ("*.com", "example.com", False),
        ("*.", "example.com", False),
        ("*.example.com", "*.example.com", None),
        # An address is none of the names, whatever they look like.
        ("127.0.0.1", "127.0.0.1", False),
        ("*.0.0.1", "127.0.0.1", False),
    ],
)
def test_names_and_asterisks(pattern: str, name: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="host name"):
            covers(pattern, name)
    else:
        assert covers(pattern, name) is expected


LABEL = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@given(labels=st.lists(LABEL, min_size=3, max_size=6), other=LABEL)
def test_an_asterisk_stands_for_exactly_the_first_label(labels: list[str], other: str) -> None:
    domain = ".".join(labels[1:])
    pattern = f"*.{domain}"
    assert covers(pattern, ".".join(labels))
    assert covers(pattern, f"{other}.{domain}")
    assert not covers(pattern, domain)
    assert not covers(pattern, f"{other}.{'.'.join(labels)}")
    assert not covers(pattern, f"{labels[0]}.{other}{domain}")


def test_names_of_a_certificate(authority: Authority) -> None:
    coverage = Coverage(
        der(authority.server_file("a.example", "*.b.example", "::1", "192.0.2.1", common_name="c.example"))
    )
    for name, expected in {
        "a.example": True,
        "x.b.example": True,
        "::1": True,
        "[0:0::1]": True,
        "192.0.2.1": True,
        "c.example": False,
        "192.0.2.2": False,
    }.items():
        assert coverage.includes(parse_endpoint(name, 1)) is expected, name
    for nothing in (b"", b"\x30\x03\x02\x01\x01", der(authority.server_file(common_name="c.example"))):
        assert not Coverage(nothing).includes(parse_endpoint("c.example", 1))


def test_very_many_names_are_read_once(authority: Authority) -> None:
    names = [f"n{number}.example" for number in range(2_000)]
    coverage = Coverage(der(authority.server_file(*names)))
    assert all(coverage.includes(parse_endpoint(name, 1)) for name in names)


@pytest.mark.parametrize("key", KEYS)
def test_keys(authority: Authority, key: str) -> None:
    words = {
        "rsa-1024": "its certificate has an RSA key of 1024 bits; 2048 are the least",
        "ec-192": "its certificate has an elliptic-curve key of 192 bits; 224 are the least",
        "dsa-2048": "its certificate has a DSA key",
    }
    leaf = der(authority.server_file("x", key=key))
    assert weakness([leaf]) == words.get(key)
    assert key_bits(leaf) == int(key.rpartition("-")[2] if "-" in key else 256)


def test_weak_signatures_count_but_for_that_of_a_root(tmp_path: Path) -> None:
    ca = Authority(tmp_path, "weak", key="rsa-2048", digest="sha1")
    root = ca.root.certificate.public_bytes(Encoding.DER)
    good = der(ca.server_file("x"))
    assert weakness([good, root]) is None
    assert weakness([root]) is None
    assert weakness([der(ca.server_file("x", digest="sha1")), root]) == "its certificate is signed with SHA-1"
    assert weakness([der(ca.server_file("x", digest="md5")), root]) == "its certificate is signed with MD5"
    middle = ca.intermediate(digest="md5").certificate
    assert weakness([good, middle.public_bytes(Encoding.DER)]) == (
        f"the certificate of {middle.subject.rfc4514_string()}, in its chain, is signed with MD5"
    )


def test_md2_and_what_has_no_name_at_all(authority: Authority) -> None:
    """Signatures that the library does not know: one that is known to be weak, and one that may be anything."""
    leaf = der(authority.server_file("x", issuer=authority.intermediate(key="rsa-2048")))
    sha256 = bytes.fromhex("06092a864886f70d01010b")
    assert weakness([leaf.replace(sha256, sha256[:-1] + b"\x02")]) == "its certificate is signed with MD2"
    assert weakness([leaf.replace(sha256, sha256[:-1] + b"\x7f")]) is None


def test_what_cannot_be_read_is_not_judged(authority: Authority) -> None:
    assert weakness([b"", b"nonsense"]) is None
    assert key_bits(b"nonsense") is None
    assert days_left([b"nonsense"], 0) is None


def test_days_left_are_whole_days_of_the_first_to_expire(authority: Authority) -> None:
    soon, late = authority.server_file("x", days=(-1, 3)), authority.server_file("x", days=(-1, 30))
    chain = [der(late), der(soon), b"nonsense"]
    end = from_datetime(certificate_in(soon).not_valid_after_utc)
    for now, expected in ((end - 3 * DAY, 3), (end - 3 * DAY + 1, 2), (end, 0), (end + 1, -1), (end + DAY + 1, -2)):
        assert days_left(chain, now) == expected
