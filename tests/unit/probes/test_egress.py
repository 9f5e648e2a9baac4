"""The policy on addresses, tested on itself: nothing is dialled here (T1)."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.probes.address_space import Space, embedded, space_of
from monitord.probes.egress import EgressPolicy

PRIVATE = EgressPolicy("private")
PUBLIC = EgressPolicy("public")

# address, allowed in private, allowed in public
TABLE = [
    ("8.8.8.8", True, True),
    ("1.1.1.1", True, True),
    ("192.0.0.9", True, True),
    ("2606:4700::1111", True, True),
    ("2001:4860:4860::8888", True, True),
    ("64:ff9b::8.8.8.8", True, True),
    ("::ffff:8.8.8.8", True, True),
    ("10.0.0.1", True, False),
    ("172.16.0.1", True, False),
    ("172.31.255.255", True, False),
    ("172.32.0.1", True, True),
    ("192.168.1.1", True, False),
    ("100.64.0.1", True, False),
    ("100.127.255.255", True, False),
    ("127.0.0.1", True, False),
    ("127.255.255.254", True, False),
    ("::1", True, False),
    ("fd12::1", True, False),
    ("fec0::1", True, False),
    ("::ffff:10.0.0.1", True, False),
    ("::ffff:127.0.0.1", True, False),
    ("::127.0.0.1", True, False),
    ("64:ff9b::10.0.0.1", True, False),
    ("64:ff9b:1::10.0.0.1", False, False),
    ("2002:808:808::1", True, False),
    ("2002:a00:1::1", True, False),
    ("169.254.169.254", False, False),
    ("169.254.170.2", False, False),
    ("169.254.0.1", False, False),
    ("100.100.100.200", False, False),
    ("168.63.129.16", False, False),
    ("fd00:ec2::254", False, False),
    ("::ffff:169.254.169.254", False, False),
    ("::169.254.169.254", False, False),
    ("64:ff9b::169.254.169.254", False, False),
    ("64:ff9b:1::169.254.169.254", False, False),
    ("2002:a9fe:a9fe::", False, False),
    ("2001:0:a9fe:a9fe::", False, False),
    ("2001::5601:5601", False, False),  # Teredo: the client 169.254.169.254, obfuscated
    ("fe80::1", False, False),
    ("fe80::1%1", False, False),
    ("0.0.0.0", False, False),
    ("0.1.2.3", False, False),
    ("::", False, False),
    ("224.0.0.1", False, False),
    ("239.255.255.250", False, False),
    ("ff02::1", False, False),
    ("255.255.255.255", False, False),
    ("240.0.0.1", False, False),
    ("192.0.2.1", False, False),
    ("198.18.0.1", False, False),
    ("198.51.100.1", False, False),
    ("203.0.113.1", False, False),
    ("192.88.99.1", False, False),
    ("192.0.0.1", False, False),
    ("2001:db8::1", False, False),
    ("3fff::1", False, False),
    ("2001:2::1", False, False),
    ("100::1", False, False),
    ("5f00::1", False, False),
    ("4000::1", False, False),
]


@pytest.mark.parametrize(("address", "private", "public"), TABLE)
def test_the_modes(address: str, private: bool, public: bool) -> None:
    assert (PRIVATE.check(address, 80) is None) is private
    assert (PUBLIC.check(address, 80) is None) is public
    assert (PUBLIC.check(ipaddress.ip_address(address), 443) is None) is public


def test_the_reason_is_the_same_for_every_port() -> None:
    assert {PRIVATE.check("169.254.169.254", port) for port in (22, 80, 65535)} == {
        "the policy on addresses does not allow cloud metadata addresses"
    }


def test_deny_beats_allow_and_allow_beats_the_mode() -> None:
    policy = EgressPolicy(
        "public",
        allow=["10.0.0.0/8", "[fd00::1]:443", "127.0.0.1:9464"],
        deny=["10.9.0.0/16", "8.8.8.8", "1.1.1.1:53", "[2606:4700::1]:80"],
    )
    assert policy.check("10.1.2.3", 80) is None
    assert policy.check("10.9.2.3", 80) is not None
    assert policy.check("::ffff:10.1.2.3", 80) is None
    assert policy.check("::ffff:10.9.2.3", 80) is not None
    assert policy.check("64:ff9b::8.8.8.8", 80) is not None
    assert policy.check("8.8.8.8", 80) is not None
    assert (policy.check("1.1.1.1", 53) is None, policy.check("1.1.1.1", 54) is None) == (False, True)
    assert (policy.check("2606:4700::1", 80) is None, policy.check("2606:4700::1", 81) is None) == (False, True)
    assert (policy.check("fd00::1", 443) is None, policy.check("fd00::1", 80) is None) == (True, False)
    assert (policy.check("127.0.0.1", 9464) is None, policy.check("127.0.0.1", 80) is None) == (True, False)


def test_an_allowed_mapped_entry_means_its_ipv4_address() -> None:
    assert EgressPolicy("public", allow=["[::ffff:10.0.0.1]:80"]).check("10.0.0.1", 80) is None


@pytest.mark.parametrize("database", ["127.0.0.1:5432", "[::1]:5432", "10.0.0.5:5432"])
@pytest.mark.parametrize("mode", ["private", "public"])
def test_the_database_is_never_dialled_not_even_if_allowed(mode: str, database: str) -> None:
    policy = EgressPolicy(mode, allow=["0.0.0.0/0", "::/0"], own_addresses=[database])  # type: ignore[arg-type]
    host = database.rpartition(":")[0].strip("[]")
    assert policy.check(host, 5432) is not None
    assert policy.check(host, 5433) is None
    if host != "10.0.0.5":
        for alias in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"):
            assert policy.check(alias, 5432) is not None
    else:
        assert policy.check("::ffff:10.0.0.5", 5432) is not None


def test_a_rule_on_ipv4_says_nothing_of_the_ipv6_loopback() -> None:
    assert EgressPolicy("private", deny=["0.0.0.0/8"]).check("::1", 80) is None


def test_in_public_mode_monitord_s_own_addresses_are_denied() -> None:
    assert EgressPolicy("public", own_addresses=["8.8.4.4"]).check("8.8.4.4", 80) is not None
    assert EgressPolicy("private", own_addresses=["8.8.4.4"]).check("8.8.4.4", 80) is None


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("example.com", "neither a CIDR"),
        ("example.com:80", "neither a CIDR"),
        ("10.0.0.1/8", "bits set"),
        ("10.0.0.0/33", "neither a CIDR"),
        ("10.0.0.1:0", "1 to 65535"),
        ("10.0.0.1:65536", "1 to 65535"),
        ("10.0.0.1:x", "1 to 65535"),
        ("[::1", "neither a CIDR"),
        ("[::1]80", "neither a CIDR"),
        ("[::1]:", "1 to 65535"),
        ("", "neither a CIDR"),
        ("127.1", "neither a CIDR"),
    ],
)
def test_an_entry_that_cannot_be_read(entry: str, hint: str) -> None:
    for arguments in ({"allow": [entry]}, {"deny": [entry]}, {"own_addresses": [entry]}):
        with pytest.raises(ValueError, match=hint):
            EgressPolicy("private", **arguments)


def test_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="'private' or 'public'"):
        EgressPolicy("open")  # type: ignore[arg-type]


@given(st.ip_addresses())
def test_public_is_within_private_and_a_mapped_address_is_judged_as_the_one_inside(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert PUBLIC.check(address, 80) is not None or PRIVATE.check(address, 80) is None
    if isinstance(address, ipaddress.IPv4Address):
        for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
            for policy in (PUBLIC, PRIVATE):
                assert (policy.check(form, 80) is None) == (policy.check(address, 80) is None)


@given(st.ip_addresses(v=6))
def test_only_tunnels_carry_addresses(address: ipaddress.IPv6Address) -> None:
    assert bool(list(embedded(address))) == (space_of(address) is Space.TUNNEL)
