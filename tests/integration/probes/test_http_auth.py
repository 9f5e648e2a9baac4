"""Who an HTTP check says that it is: by password, by token, by a token that is asked for, by a certificate."""

import asyncio
import json
import ssl
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import pytest

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.connection import TlsSettings
from monitord.domain.kinds.http import BasicAuth, BearerAuth, Oauth2Auth
from monitord.domain.secrets import Secret
from monitord.probes.http import HttpProber
from tests.integration.probes.conftest import probe
from tests.support.authority import Authority
from tests.support.targets import Peer, Script, answering, black_hole, serve, unused_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"


def header(request: bytes, name: str) -> str | None:
    for line in request.decode().split("\r\n")[1:]:
        key, _, value = line.partition(": ")
        if key.lower() == name:
            return value
    return None


class Answers:
    """Answers each request with the next of its answers; the last one stays. Keeps what it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []

    async def __call__(self, peer: Peer) -> None:
        self.requests.append(await peer.request())
        await peer.send(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])


def token_answer(token: str = "t0ken", **fields: Any) -> bytes:
    body = json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600} | fields).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def text_of(seen: Observation) -> str:
    """Everything that is told of a check."""
    return repr(seen)


async def test_basic_and_bearer(prober: HttpProber) -> None:
    asked = Answers(OK)
    async with serve(asked) as server:
        await probe(prober, server.url(), auth=BasicAuth("ann", Secret("pä:ss")))
        await probe(prober, server.url(), auth=BearerAuth(Secret("abc.def")))
    basic = header(asked.requests[0], "authorization")
    assert basic is not None
    assert b64decode(basic.removeprefix("Basic ")).decode() == "ann:pä:ss"
    assert header(asked.requests[1], "authorization") == "Bearer abc.def"


async def test_nobody_else_is_told(prober: HttpProber) -> None:
    """Case 34: not after a redirect to another origin, nor when it leads back from there."""
    elsewhere = Answers(OK)
    async with serve(elsewhere) as other:
        away = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % other.url().encode()
        own = Answers(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /next\r\n\r\n", away)
        async with serve(own) as server:
            await probe(prober, server.url(), auth=BearerAuth(Secret("abc")))
    assert [header(request, "authorization") for request in own.requests] == ["Bearer abc", "Bearer abc"]
    assert header(elsewhere.requests[0], "authorization") is None


async def test_a_token_is_asked_for_once_and_shown_to_nobody(prober: HttpProber) -> None:
    tokens, target = Answers(token_answer()), Answers(OK)
    async with serve(tokens) as endpoint, serve(target) as server:
        auth = Oauth2Auth(endpoint.url("/token"), "id with space", Secret("s&cret"), ("read", "write"))
        seen = await asyncio.gather(*(probe(prober, server.url("/x"), auth=auth) for _ in range(5)))
        seen.append(await probe(prober, server.url("/x"), auth=auth, accepted_status=()))
    assert len(tokens.requests) == 1
    assert {header(request, "authorization") for request in target.requests} == {"Bearer t0ken"}
    head, _, body = tokens.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /token ")
    assert body == b"grant_type=client_credentials&scope=read+write"
    proof = header(tokens.requests[0], "authorization")
    assert proof is not None
    assert b64decode(proof.removeprefix("Basic ")) == b"id+with+space:s%26cret"
    for each in seen:
        assert "t0ken" not in text_of(each)
        assert "cret" not in text_of(each)


async def test_a_token_that_is_not_accepted_any_more_is_asked_for_again(prober: HttpProber) -> None:
    tokens = Answers(token_answer("old"), token_answer("new"))
    target = Answers(OK, REFUSED, OK)
    async with serve(tokens) as endpoint, serve(target) as server:
        auth = Oauth2Auth(endpoint.url(), "id", Secret("s"))
        for _ in range(2):
            assert (await probe(prober, server.url(), auth=auth)).verdict is Verdict.UP
    assert [header(r, "authorization") for r in target.requests] == ["Bearer old", "Bearer old", "Bearer new"]
    assert len(tokens.requests) == 2


async def test_a_target_that_refuses_every_token_is_down(prober: HttpProber) -> None:
    tokens = Answers(token_answer())
    async with serve(tokens) as endpoint, serve(Answers(REFUSED)) as server:
        seen = await probe(prober, server.url(), auth=Oauth2Auth(endpoint.url(), "id", Secret("s")))
    assert (seen.verdict, seen.category, seen.status_code) == (Verdict.DOWN, Category.HTTP_STATUS, 401)
    assert len(tokens.requests) == 2


async def test_another_secret_gets_another_token(prober: HttpProber) -> None:
    tokens = Answers(token_answer("one"), token_answer("two"))
    target = Answers(OK)
    async with serve(tokens) as endpoint, serve(target) as server:
        for secret in ("a", "b", "a"):
            await probe(prober, server.url(), auth=Oauth2Auth(endpoint.url(), "id", Secret(secret)))
    assert [header(r, "authorization") for r in target.requests] == ["Bearer one", "Bearer two", "Bearer one"]


@pytest.mark.parametrize("expires_in", [0, 10, -5, "0", float("1e-300")])
async def test_a_token_without_a_life_is_used_once(prober: HttpProber, expires_in: object) -> None:
    tokens = Answers(token_answer(expires_in=expires_in))
    async with serve(tokens) as endpoint, serve(Answers(OK)) as server:
        auth = Oauth2Auth(endpoint.url(), "id", Secret("s"))
        for _ in range(2):
            assert (await probe(prober, server.url(), auth=auth)).verdict is Verdict.UP
    assert len(tokens.requests) == 2


def raw(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("script", "category"),
    [
        (answering(raw(b'{"error": "invalid_client", "hint": "s3cr3t"}', "401 Unauthorized")), Category.AUTH_REFUSED),
        (answering(raw(b"{}", "400 Bad Request")), Category.AUTH_REFUSED),
        (answering(raw(b"", "302 Found\r\nLocation: /other")), Category.AUTH_REFUSED),
        (answering(raw(b"")), Category.AUTH_REFUSED),
        (answering(raw(b"<html>sign in</html>")), Category.AUTH_REFUSED),
        (answering(raw(b'{"access_token": ""}')), Category.AUTH_REFUSED),
        (answering(raw(b'{"access_token": "a\\r\\nX-Evil: 1"}')), Category.AUTH_REFUSED),
        (answering(raw(b'{"access_token": "x", "token_type": "mac"}')), Category.AUTH_REFUSED),
        (answering(raw(b'{"access_token": "' + b"x" * 100_000 + b'"}')), Category.AUTH_REFUSED),
        (answering(raw(b"[" * 50_000)), Category.AUTH_REFUSED),
        (answering(then="reset"), Category.CONNECT_RESET),
        (answering(then="silence"), Category.TIMEOUT_TTFB),
        (answering(b"SSH-2.0-x\r\n"), Category.HTTP_PROTOCOL),
    ],
)
async def test_an_endpoint_that_gives_no_token(prober: HttpProber, script: Script, category: Category) -> None:
    target = Answers(OK)
    async with serve(script) as endpoint, serve(target) as server:
        auth = Oauth2Auth(endpoint.url("/token?key=s3cr3t"), "id", Secret("s3cr3t"))
        seen = await probe(prober, server.url(), timeout_s=0.4, auth=auth)
    assert (seen.verdict, seen.category) == (Verdict.DOWN, category)
    assert f"The token endpoint {endpoint.url('/token')}" in seen.message
    assert "s3cr3t" not in text_of(seen)
    assert target.requests == []
    assert seen.evidence is not None
    assert any("request for a token" in step.text for step in seen.evidence.steps)


async def test_an_endpoint_that_is_not_there_keeps_its_own_category(prober: HttpProber) -> None:
    with black_hole() as silent:
        for port, category in ((unused_port(), Category.CONNECT_REFUSED), (silent, Category.CONNECT_TIMEOUT)):
            auth = Oauth2Auth(f"http://127.0.0.1:{port}/", "id", Secret("s"))
            seen = await probe(prober, "http://127.0.0.1:1/", timeout_s=0.3, auth=auth)
            assert (seen.verdict, seen.category) == (Verdict.DOWN, category)
            assert seen.message.startswith("The token endpoint")


async def test_a_token_endpoint_passes_the_policy_too(prober: HttpProber) -> None:
    """(T1)"""
    auth = Oauth2Auth("http://169.254.169.254/latest/meta-data/", "id", Secret("s"))
    seen = await probe(prober, "http://127.0.0.1:1/", auth=auth)
    assert (seen.verdict, seen.category) == (Verdict.BLOCKED, Category.POLICY_BLOCKED)


async def test_who_waits_for_a_token_is_not_hurt_by_who_goes_away(prober: HttpProber) -> None:
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await go_on.wait()
        await peer.send(token_answer())

    async with serve(slow) as endpoint, serve(Answers(OK)) as server:
        auth = Oauth2Auth(endpoint.url(), "id", Secret("s"))
        first = asyncio.create_task(probe(prober, server.url(), auth=auth))
        await asked.wait()
        second = asyncio.create_task(probe(prober, server.url(), auth=auth))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        assert (await second).verdict is Verdict.UP
        assert endpoint.connections == 2


def demanding(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = authority.server("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_opens_the_door(
    prober: HttpProber, authority: Authority, version: ssl.TLSVersion
) -> None:
    certificate, key = authority.client("monitord")
    async with serve(answering(OK), tls=demanding(authority, version)) as server:
        url = server.url(scheme="https")
        refused = await probe(prober, url)
        assert (refused.verdict, refused.category) == (Verdict.DOWN, Category.TLS_CLIENT_CERT)
        shown = TlsSettings(client_certificate_pem=certificate, client_key_pem=Secret(key))
        assert (await probe(prober, url, tls=shown)).verdict is Verdict.UP
        own = TlsSettings(
            client_certificate_pem=certificate, client_key_pem=Secret(key), ca_pem=authority.ca_file.read_text()
        )
        assert (await probe(prober, url, tls=own)).verdict is Verdict.UP


async def test_the_certificate_is_shown_to_no_other_origin(prober: HttpProber, authority: Authority) -> None:
    certificate, key = authority.client("monitord")
    shown = TlsSettings(client_certificate_pem=certificate, client_key_pem=Secret(key))
    curious = demanding(authority, ssl.TLSVersion.TLSv1_3)
    curious.verify_mode = ssl.CERT_OPTIONAL
    told: list[object] = []

    async def look(peer: Peer) -> None:
        told.append(peer.writer.get_extra_info("ssl_object").getpeercert())
        await peer.request()
        await peer.send(OK)

    async with serve(look, tls=curious) as other:
        away = b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % other.url(scheme="https").encode()
        async with serve(answering(away), tls=authority.server("127.0.0.1")) as server:
            assert (await probe(prober, server.url(scheme="https"), tls=shown)).verdict is Verdict.UP
        assert (await probe(prober, other.url(scheme="https"), tls=shown)).verdict is Verdict.UP
    assert not told[0]
    assert told[1]


async def test_own_authorities_and_names(prober: HttpProber, tmp_path_factory: pytest.TempPathFactory) -> None:
    private = Authority(tmp_path_factory.mktemp("private"), "private")
    trusting = TlsSettings(ca_pem=private.ca_file.read_text())
    async with serve(answering(OK), tls=private.server("inside.test")) as server:
        url = server.url(scheme="https")
        named = TlsSettings(ca_pem=trusting.ca_pem, server_name="inside.test")
        verdicts: Sequence[tuple[TlsSettings, Category | None]] = (
            (TlsSettings(), Category.TLS_SELF_SIGNED),
            (trusting, Category.TLS_HOSTNAME),
            (named, None),
            (TlsSettings(server_name="inside.test"), Category.TLS_SELF_SIGNED),
        )
        for settings, category in verdicts:
            seen = await probe(prober, url, tls=settings)
            if category is Category.TLS_SELF_SIGNED:
                assert seen.category in (Category.TLS_SELF_SIGNED, Category.TLS_UNTRUSTED)
            else:
                assert seen.category is category, seen.message


async def test_settings_that_cannot_be_used_are_our_own_fault(prober: HttpProber, authority: Authority) -> None:
    """(I9) The rules refuse them at creation; a stored one must not look like the target's outage."""
    certificate, _ = authority.client("one")
    _, other_key = authority.client("two")
    wrong = TlsSettings(client_certificate_pem=certificate, client_key_pem=Secret(other_key))
    seen = await probe(prober, "https://127.0.0.1:1/", tls=wrong)
    assert (seen.verdict, seen.category) == (Verdict.INCONCLUSIVE, Category.ENGINE_INTERNAL)
    assert other_key[50:90] not in text_of(seen)
