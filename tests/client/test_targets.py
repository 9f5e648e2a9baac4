"""What a user types as a target: which check it makes, and how it looks when it is shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord_client import DnsCheck, GrpcCheck, HeartbeatCheck, IcmpCheck, Monitor, PostgresCheck, RedisCheck
from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.schemes import GROUP, HEARTBEAT, KINDS, SCHEMES, kind_of
from monitord_client.monitorctl.targets import check_of, target_text
from monitord_client.v1.connection_pb2 import SECURITY_PLAIN, SECURITY_TLS
from monitord_client.v1.dns_check_pb2 import (
    DNS_RECORD_TYPE_AAAA,
    DNS_RECORD_TYPE_MX,
    DNS_RECORD_TYPE_PTR,
    DNS_TRANSPORT_TLS,
)


def _refused(target: str) -> str:
    with pytest.raises(CommandError) as caught:
        check_of(target)
    return caught.value.message


@pytest.mark.parametrize(("target", "kind", "fields"), [
    ("https://shop.example.com/a?b=c:d@e", "http", {"url": "https://shop.example.com/a?b=c:d@e"}),
    ("HTTP://shop.example.com:8080/@team", "http", {"url": "HTTP://shop.example.com:8080/@team"}),
    ("tcp://mail.example.com:25", "tcp", {"host": "mail.example.com", "port": 25}),
    ("tcp://[2001:db8::1]:25/", "tcp", {"host": "2001:db8::1", "port": 25}),
    ("tls://example.com", "tls", {"host": "example.com"}),
    ("tls://example.com:8443", "tls", {"host": "example.com", "port": 8443}),
    ("ping://192.0.2.1", "icmp", {"host": "192.0.2.1"}),
    ("icmp://2001:db8::1", "icmp", {"host": "2001:db8::1"}),
    ("ping://[2001:db8::1]", "icmp", {"host": "2001:db8::1"}),
    ("dns://example.com", "dns", {"name": "example.com"}),
    ("dns://_dmarc.example.com?type=mx&server=192.0.2.53:5353", "dns",
     {"name": "_dmarc.example.com", "record_type": DNS_RECORD_TYPE_MX, "server": "192.0.2.53:5353"}),
    ("dns://2001:db8::1?type=PTR&server=[2001:db8::53]:853&transport=tls", "dns",
     {"name": "2001:db8::1", "record_type": DNS_RECORD_TYPE_PTR, "server": "[2001:db8::53]:853",
      "transport": DNS_TRANSPORT_TLS}),
    ("grpc://127.0.0.1:50051", "grpc", {"host": "127.0.0.1", "port": 50051, "security": SECURITY_PLAIN}),
    ("grpcs://example.com:443/shop.v1.Orders", "grpc",
     {"host": "example.com", "port": 443, "security": SECURITY_TLS, "service": "shop.v1.Orders"}),
    ("wss://example.com/feed", "websocket", {"url": "wss://example.com/feed"}),
    ("postgres://ada@db.example.com:5433/shop", "postgres",
     {"host": "db.example.com", "port": 5433, "user": "ada", "database": "shop"}),
    ("postgresql://db.example.com", "postgres", {"host": "db.example.com"}),
    ("mysql://a%40b@192.0.2.7/x%2Fy", "mysql", {"host": "192.0.2.7", "user": "a@b", "database": "x/y"}),
    ("redis://127.0.0.1:6380/2", "redis",
     {"host": "127.0.0.1", "port": 6380, "database": 2, "security": SECURITY_PLAIN}),
    ("rediss://ada@cache.example.com", "redis", {"host": "cache.example.com", "user": "ada", "security": SECURITY_TLS}),
    ("heartbeat", "heartbeat", {}),
])  # fmt: skip
def test_the_scheme_chooses_the_kind(target: str, kind: str, fields: dict[str, Any]) -> None:
    made, check = check_of(target)
    assert (made, kind_of(target)) == (kind, kind)
    assert {fd.name: value for fd, value in check.ListFields()} == fields


@pytest.mark.parametrize(("target", "words"), [
    ("shop.example.com", "does not say what kind of check it wants: write https://..."),
    ("heartbeet", "did you mean 'heartbeat'?"),
    ("htps://example.com", "there is no check for 'htps://'; did you mean 'https://'?"),
    ("gopher://example.com", "there is http://, https://, tcp://"),
    ("heartbeat://1d", "write heartbeat --period 1d"),
    ("tcp://mail.example.com", "the port is missing: write tcp://HOST:PORT"),
    ("grpcs://example.com/x", "the port is missing: write grpcs://HOST:PORT[/SERVICE]"),
    ("tcp://mail.example.com:0", "the port must be 1 to 65535, not '0'"),
    ("tcp://mail.example.com:99999999999", "the port must be 1 to 65535"),
    ("tls://mail.example.com:", "the port must be 1 to 65535, not ''"),
    ("tls://mail.example.com:https", "an IPv6 address stands in [brackets]"),
    ("tcp://2001:db8::1:25", "an IPv6 address stands in [brackets]"),
    ("tcp://:25", "the host is missing"),
    ("postgres:///shop", "the host is missing: write postgres://[USER@]HOST"),
    ("tls://example.com/path", "leave out what follows the host, /path"),
    ("tls://example.com#x", "leave out what follows the #"),
    ("ping://example.com:80", "a ping has no port: write ping://HOST, or tcp://example.com:80"),
    ("tcp://ada@example.com:25", "nobody signs in there"),
    ("postgres://db.example.com/x?sslmode=require", "leave out ?sslmode...: further fields are given by --set"),
    ("redis://127.0.0.1/cache", "databases of Redis have numbers"),
    ("dns://192.0.2.53/example.com", "write dns://example.com?server=192.0.2.53"),
    ("dns://example.com:53", "write dns://example.com?server=192.0.2.53:53"),
    ("dns://example.com?typ=MX", "did you mean 'type'?"),
    ("dns://example.com?type=MXX", "type: 'MXX' is not one of: a, ns, cname"),
    ("dns://example.com?type=A&type=MX", "'type' is given twice"),
])  # fmt: skip
def test_what_is_wrong_is_told_with_what_would_be_right(target: str, words: str) -> None:
    assert words in _refused(target)


@pytest.mark.parametrize(("target", "words"), [
    ("postgres://ada:hunter2@db.example.com/shop", "write postgres://ada@db.example.com/shop --secret password;"),
    ("mysql://ada:hun@ter2@192.0.2.7", "write mysql://ada@192.0.2.7 --secret password;"),
    ("redis://:hunter2@127.0.0.1/0", "write redis://127.0.0.1/0 --secret password;"),
    ("redis://:hunt/er2@127.0.0.1/0", "write redis://127.0.0.1/0 --secret password;"),
    ("postgres://ada:#?hunter2@[2001:db8::1]:5432", "write postgres://ada@[2001:db8::1]:5432 --secret password;"),
    ("https://ada:hunter2@example.com/x", "https://example.com/x --set auth.basic.username=ada --secret auth."),
    ("wss://ada:hunter2@example.com", "write wss://example.com --secret headers.Authorization;"),
    ("tcp://ada:hunter2@example.com:25", "write tcp://example.com:25"),
])  # fmt: skip
def test_a_password_in_a_url_is_refused_unspoken_with_the_right_way(target: str, words: str) -> None:
    told = _refused(target)
    assert "a password must not stand in a URL" in told
    assert words in told
    assert "ter2" not in told
    assert "hun" not in told


@given(
    scheme=st.sampled_from([*SCHEMES, "ftp"]),
    user=st.text(st.characters(exclude_characters="@:/?#"), max_size=5),
    password=st.text(min_size=1, max_size=12).map(lambda text: f"pw{text}pw").filter(lambda text: "@" not in text),
    rest=st.sampled_from(["example.com", "example.com:1/x", "[2001:db8::1]:1", ""]),
)
def test_no_password_is_ever_taken_or_repeated(scheme: str, user: str, password: str, rest: str) -> None:
    told = _refused(f"{scheme}://{user}:{password}@{rest}")
    assert scheme == "ftp" or "a password must not stand in a URL" in told
    assert password not in told


_WORDS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12)
_HOSTS = st.sampled_from(["example.com", "192.0.2.1", "2001:db8::1", "münchen.example"])
_PORTS = st.integers(1, 65535)
_ENDS = st.sampled_from([SECURITY_PLAIN, SECURITY_TLS])


@given(
    st.builds(IcmpCheck, host=_HOSTS)
    | st.builds(
        DnsCheck,
        name=st.sampled_from(["example.com", "*.example.com", "0/25.2.0.192.in-addr.arpa", "2001:db8::1"]),
        record_type=st.sampled_from([0, DNS_RECORD_TYPE_MX, DNS_RECORD_TYPE_AAAA]),
        server=st.sampled_from(["", "192.0.2.53", "[2001:db8::53]:5353", "dns.example.com:53"]),
    )
    | st.builds(GrpcCheck, host=_HOSTS, port=_PORTS, service=st.just("") | _WORDS, security=_ENDS)
    | st.builds(PostgresCheck, host=_HOSTS, port=_PORTS, user=st.just("") | _WORDS, database=st.just("") | _WORDS)
    | st.builds(
        RedisCheck, host=_HOSTS, port=_PORTS, user=st.just("") | _WORDS, database=st.integers(0, 65535), security=_ENDS
    )
)
def test_what_is_shown_as_the_target_can_be_typed(check: Any) -> None:
    kind = check.DESCRIPTOR.name.removesuffix("Check").lower()
    shown = target_text(Monitor(**{kind: check}))
    made, read = check_of(shown)
    assert made == kind
    assert read == check, shown


def test_a_heartbeat_shows_when_a_word_is_due() -> None:
    daily = HeartbeatCheck()
    daily.period.FromSeconds(86_400 + 1_800)
    assert target_text(Monitor(heartbeat=daily)) == "heartbeat every 1d30m"
    daily.cron.expression, daily.cron.time_zone = "30 4 * * 1-5", "Europe/Berlin"
    assert target_text(Monitor(heartbeat=daily)) == "heartbeat at 30 4 * * 1-5 (Europe/Berlin)"


def test_every_kind_of_the_contract_has_a_target() -> None:
    assert set(KINDS) == {field.name for field in Monitor.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert {scheme.kind for scheme in SCHEMES.values()} | {HEARTBEAT, GROUP} == set(KINDS)
    assert target_text(Monitor()) == "-"
