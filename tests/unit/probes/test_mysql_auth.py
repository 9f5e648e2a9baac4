"""MySQL's proofs of a password, against figures that its other clients are tested with."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from monitord.probes.mysql_auth import caching_sha2, encrypted, native

SHA2_NONCE = bytes([10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21])
NATIVE_NONCE = bytes([70, 114, 92, 94, 1, 38, 11, 116, 63, 114, 23, 101, 126, 103, 26, 95, 81, 17, 24, 21])


@pytest.mark.parametrize(
    ("password", "proof"),
    [
        (b"secret", "f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c"),
        (b"secret2", "abc3934a012cf342e876071c8ee202de51785b430258a7a0138bc79c4d800bc6"),
        (b"", ""),
    ],
)
def test_caching_sha2_password(password: bytes, proof: str) -> None:
    assert caching_sha2(password, SHA2_NONCE).hex() == proof


def test_mysql_native_password() -> None:
    proof = [53, 177, 140, 159, 251, 189, 127, 53, 109, 252, 172, 50, 211, 192, 240, 164, 26, 48, 207, 45]
    assert list(native(b"secret", NATIVE_NONCE)) == proof
    assert native(b"", NATIVE_NONCE) == b""


def test_a_key_must_be_one_that_can_hold_the_password() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert len(encrypted(b"x" * 86, SHA2_NONCE, pem)) == 128
    with pytest.raises(ValueError, match="too short for the password"):
        encrypted(b"x" * 87, SHA2_NONCE, pem)
