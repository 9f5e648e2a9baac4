"""One strict parser of URLs (T3): what is dialled is what is shown."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.target import InvalidTargetError, parse_target, resolve_redirect


@pytest.mark.parametrize(
    ("url", "shown", "authority"),
    [
        ("http://example.com", "http://example.com/", "example.com"),
        ("HTTPS://EXAMPLE.com:443/A?b=C", "https://example.com/A?b=C", "example.com"),
        ("http://example.com:443/", "http://example.com:443/", "example.com:443"),
        (
            'http://Bücher.example/ü?q=ä|"',
            "http://xn--bcher-kva.example/%C3%BC?q=%C3%A4%7C%22",
            "xn--bcher-kva.example",
        ),
        ("http://faß.de/", "http://xn--fa-hia.de/", "xn--fa-hia.de"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("http://my_service:8080?x", "http://my_service:8080/?x", "my_service:8080"),
        ("http://192.0.2.1/%zz", "http://192.0.2.1/%zz", "192.0.2.1"),
        ("http://[2001:DB8:0::1]:81/a/../b", "http://[2001:db8::1]:81/b", "[2001:db8::1]:81"),
        ("http://[::ffff:192.0.2.1]/", "http://[::ffff:c000:201]/", "[::ffff:c000:201]"),
        ("http://a/.well-known/x", "http://a/.well-known/x", "a"),
    ],
)
def test_a_good_url_has_one_form(url: str, shown: str, authority: str) -> None:
    target = parse_target(url)
    assert (target.url, target.authority) == (shown, authority)
    assert parse_target(target.url) == target


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "absolute URL"),
        ("example.com", "absolute URL"),
        ("//example.com/", "absolute URL"),
        ("ftp://example.com/", "http or https"),
        ("file:///etc/passwd", "http or https"),
        ("http:///x", "host is missing"),
        ("http://:80/", "host is missing"),
        ("http://user@example.com/", "user name"),
        ("http://user:pw@example.com/", "user name"),
        ("http://example.com\\@evil/", "backslash"),
        ("http://example.com/a b", "invisible"),
        (" http://example.com/", "invisible"),
        ("http://example.com/\n", "invisible"),
        ("http://example.com/\x00", "invisible"),
        ("http://example.com/\u202ecod.exe", "invisible"),
        ("http://exa\u00admple.com/", "invisible"),
        ("http://example.com\u3000/", "invisible"),
        ("http://example.com/#top", "fragment"),
        ("http://example.com:0/", "1 to 65535"),
        ("http://example.com:65536/", "1 to 65535"),
        ("http://example.com:99999999999999999999/", "1 to 65535"),
        ("http://example.com:/", "port after the colon"),
        ("http://example.com:8a/", "brackets"),
        ("http://::1/", "brackets"),
        ("http://example.com./", "dot at the end"),
        ("http://127.0.0.1./", "dot at the end"),
        ("http://127.1/", "four plain decimal"),
        ("http://2130706433/", "four plain decimal"),
        ("http://0x7f000001/", "four plain decimal"),
        ("http://0x7f.0.0.1/", "four plain decimal"),
        ("http://0177.0.0.1/", "four plain decimal"),
        ("http://127.0.0.01/", "four plain decimal"),
        ("http://127.0.0.0x1/", "four plain decimal"),
        ("http://1.2.3.4.5/", "four plain decimal"),
        ("http://name.0/", "four plain decimal"),
        ("http://256.0.0.1/", "0 to 255"),
        ("http://１２７.0.0.1/", "four plain decimal"),
        ("http://①②⑦.0.0.1/", "four plain decimal"),
        ("http://127。0。0。1/", "four plain decimal"),
        ("http://%31%32%37.0.0.1/", "four plain decimal"),
        ("http://%65xample.com/", "letters, digits"),
        ("http://[fe80::1%25eth0]/", "zone id"),
        ("http://[127.0.0.1]/", "IPv6"),
        ("http://[::1/", "brackets"),
        ("http://-a.example/", "letters, digits"),
        ("http://a..example/", "letters, digits"),
        ("http://a!b.example/", "letters, digits"),
        ("http://" + "a" * 64 + ".example/", "63 characters"),
        ("http://" + ".".join(["a" * 60] * 5) + "/", "253 characters"),
        ("http://xn--a/", "international name"),
        ("http://☃\u200d.example/", "invisible"),
        ("http://example.com/" + "a" * 2048, "2048"),
    ],
)
def test_a_bad_url_is_refused_with_what_would_be_right(url: str, hint: str) -> None:
    with pytest.raises(InvalidTargetError, match=hint.replace("(", "\\(")):
        parse_target(url)


def test_a_literal_is_known_as_one() -> None:
    assert parse_target("http://192.0.2.1/").literal == ipaddress.ip_address("192.0.2.1")
    assert parse_target("http://[2001:db8::1]/").literal == ipaddress.ip_address("2001:db8::1")
    assert parse_target("http://a.example/").literal is None


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/c", "https://h.example/c"),
        ("c", "https://h.example/a/c"),
        ("../c?y", "https://h.example/c?y"),
        ("?y=2", "https://h.example/a/b?y=2"),
        ("", "https://h.example/a/b?x=1"),
        ("#part", "https://h.example/a/b?x=1"),
        ("//o.example/z", "https://o.example/z"),
        ("http://o.example:81#z", "http://o.example:81/"),
        (" /x y ", "https://h.example/x%20y"),
        ("../../../..", "https://h.example/"),
        ("./", "https://h.example/a/"),
        ("/ü", "https://h.example/%C3%BC"),
    ],
)
def test_a_redirect_is_resolved(location: str, url: str) -> None:
    assert resolve_redirect(parse_target("https://h.example/a/b?x=1"), location).url == url


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:,x",
        "http:x",
        "http:/x",
        "http://a@b/",
        "//127.1/",
        "/\\x",
        "\x01",
    ],
)
def test_a_redirect_to_elsewhere_is_refused(location: str) -> None:
    with pytest.raises(InvalidTargetError):
        resolve_redirect(parse_target("https://h.example/"), location)


URLISH = st.text(st.sampled_from("htps:/.@[]\\%?#0127xaüß１。- \n_|~") | st.characters(), max_size=40)


@given(URLISH.map(lambda tail: "http://" + tail) | URLISH)
def test_whatever_is_accepted_can_be_written_and_parsed_again(url: str) -> None:
    try:
        target = parse_target(url)
    except InvalidTargetError:
        return
    assert target.url.isascii()
    assert target.url.isprintable()
    assert " " not in target.url
    assert "@" not in target.authority
    if len(target.url) <= 2048:
        assert parse_target(target.url) == target


@given(st.text(max_size=60))
def test_a_location_leads_to_a_target_or_is_refused(location: str) -> None:
    base = parse_target("https://h.example/a/b?x=1")
    try:
        target = resolve_redirect(base, location)
    except InvalidTargetError:
        return
    assert target.scheme in ("http", "https")
    assert target.path_query.startswith("/")
    assert target.path_query.isascii()
