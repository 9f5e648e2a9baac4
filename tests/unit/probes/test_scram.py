"""SCRAM-SHA-256 against the example of its RFC, and passwords as they are prepared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.probes.scram import MAX_ITERATIONS, Scram, ScramError, normalised

# RFC 7677, 3.
NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def exchange() -> Scram:
    return Scram("pencil", NONCE, "user")


def test_the_example_of_the_rfc() -> None:
    scram = exchange()
    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    challenge = scram.challenge(SERVER_FIRST)
    assert challenge.iterations == 4096
    assert scram.final(scram.salted(challenge)) == CLIENT_FINAL
    assert not scram.is_proven
    scram.verify(SERVER_FINAL)
    assert scram.is_proven


def test_a_name_is_escaped() -> None:
    assert Scram("x", "n", "a=b,c").first() == b"n,,n=a=3Db=2Cc,r=n"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"r=,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        SERVER_FIRST.replace(b"rOp", b"xOp"),
        SERVER_FIRST.replace(b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", b""),
        SERVER_FIRST.replace(b"i=4096", b"i=0"),
        SERVER_FIRST.replace(b"i=4096", b"i=04096"),
        SERVER_FIRST.replace(b"i=4096", b"i=%d" % (MAX_ITERATIONS + 1)),
        SERVER_FIRST.replace(b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s=W22Z==="),
        SERVER_FIRST.replace(b"s=W22ZaJ0SNY7soEsUEjb6gQ==", b"s=" + b"A" * 1400),
        b"m=extension," + SERVER_FIRST,
        SERVER_FIRST + b"\xff",
        SERVER_FIRST + b",x=" + b"y" * 5000,
        b"e=other-error",
    ],
)
def test_a_challenge_that_is_refused(message: bytes) -> None:
    with pytest.raises(ScramError):
        exchange().challenge(message)


@given(st.binary(max_size=200))
def test_nothing_but_the_right_proof_is_taken(message: bytes) -> None:
    scram = exchange()
    scram.final(b"\0" * 32)
    with pytest.raises(ScramError):
        scram.verify(message)


def test_a_proof_before_the_challenge_is_refused() -> None:
    with pytest.raises(ScramError):
        exchange().verify(SERVER_FINAL)


@pytest.mark.parametrize(
    ("password", "hashed"),
    [
        # RFC 4013, 3.
        ("I\u00adX", b"IX"),
        ("user", b"user"),
        ("USER", b"USER"),
        ("\u00aa", b"a"),
        ("\u2168", b"IX"),
        # Not allowed, and so taken as it is.
        ("\u0007\u00aa", "\u0007\u00aa".encode()),
        ("\u0627\u0031", "\u0627\u0031".encode()),
        ("a\u00a0b", b"a b"),
        ("\u00ad", "\u00ad".encode()),
        # Without a character beyond ASCII nothing is prepared.
        ("a\x07", b"a\x07"),
    ],
)
def test_passwords_as_postgres_prepares_them(password: str, hashed: bytes) -> None:
    assert normalised(password) == hashed
