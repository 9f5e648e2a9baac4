"""HTTP checks."""

import re

from monitord.domain.errors import Violation
from monitord.domain.kinds.http import (
    BasicAuth,
    BearerAuth,
    Comparison,
    HeaderAssertion,
    HttpAuth,
    HttpCheck,
    HttpVersion,
    JsonAssertion,
    Oauth2Auth,
    StatusRange,
    TlsRequirement,
)
from monitord.domain.rules.http import MAX_STATUS_RANGES
from monitord.domain.rules.wording import quoted
from monitord.domain.secrets import Secret
from monitord.rpc.convert_connection import (
    headers_pb,
    latency_pb,
    read_family,
    read_headers,
    read_latency_ms,
    read_tls,
    read_verification,
    tls_pb,
    verification_pb,
)
from monitord.rpc.enums import read_enum, read_flag
from monitord.v1 import http_check_pb2 as pb

DEFAULT_MAX_REDIRECTS = 10
DEFAULT_STATUS = (StatusRange(200, 399),)

_STATUS_RANGE = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?")
_FOLLOW: dict[int, bool] = {
    pb.REDIRECT_POLICY_UNSPECIFIED: True,
    pb.REDIRECT_POLICY_FOLLOW: True,
    pb.REDIRECT_POLICY_NONE: False,
}


def read_http(http: pb.HttpCheck, found: list[Violation]) -> HttpCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    follow = read_flag(_FOLLOW.get, pb.RedirectPolicy, http.redirect_policy, "http.redirect_policy", found)
    requirement, version = http.tls_requirement, http.http_version
    return HttpCheck(
        url=http.url,
        method=http.method or "GET",
        headers=read_headers(http.headers),
        body=http.body,
        accepted_status=_read_status_codes(http, found),
        keyword=http.keyword,
        keyword_absent=http.keyword_absent,
        follow_redirects=follow,
        max_redirects=http.max_redirects or DEFAULT_MAX_REDIRECTS,
        expected_latency_ms=read_latency_ms(http, "http", found),
        verify_tls=read_verification(http, "http", found),
        address_family=read_family(http, "http", found),
        tls=read_tls(http.tls),
        tls_requirement=read_enum(
            TlsRequirement, pb.TlsRequirement, requirement, TlsRequirement.NONE, "http.tls_requirement", found
        ),
        resolver=http.resolver,
        auth=_read_auth(http, found),
        header_assertions=tuple(
            HeaderAssertion(
                one.name, _read_comparison(one.comparison, f"http.header_assertions[{index}]", found), one.value
            )
            for index, one in enumerate(http.header_assertions)
        ),
        body_regex=http.body_regex,
        body_regex_absent=http.body_regex_absent,
        json_assertions=tuple(
            JsonAssertion(
                one.path, _read_comparison(one.comparison, f"http.json_assertions[{index}]", found), one.value
            )
            for index, one in enumerate(http.json_assertions)
        ),
        min_body_bytes=http.min_body_bytes,
        max_body_bytes=http.max_body_bytes,
        min_certificate_days=http.min_certificate_days,
        http_version=read_enum(HttpVersion, pb.HttpVersion, version, HttpVersion.HTTP1, "http.http_version", found),
    )


def http_pb(check: HttpCheck) -> pb.HttpCheck:
    """Return the message of a check, without its secrets (T15)."""
    # The enums' numbers are the domain's own; a test holds them together.
    return pb.HttpCheck(
        url=check.url,
        method=check.method,
        headers=headers_pb(check.headers),
        body=check.body,
        accepted_status_codes=[
            str(codes.first) if codes.first == codes.last else f"{codes.first}-{codes.last}"
            for codes in check.accepted_status
        ],
        keyword=check.keyword,
        keyword_absent=check.keyword_absent,
        redirect_policy=pb.REDIRECT_POLICY_FOLLOW if check.follow_redirects else pb.REDIRECT_POLICY_NONE,
        max_redirects=check.max_redirects,
        expected_latency=latency_pb(check.expected_latency_ms),
        tls_verification=verification_pb(check.verify_tls),
        address_family=check.address_family,  # type: ignore[arg-type]
        tls=tls_pb(check.tls),
        tls_requirement=check.tls_requirement,  # type: ignore[arg-type]
        resolver=check.resolver,
        auth=_auth_pb(check.auth),
        header_assertions=[
            pb.HeaderAssertion(name=one.name, comparison=one.comparison, value=one.value)  # type: ignore[arg-type]
            for one in check.header_assertions
        ],
        body_regex=check.body_regex,
        body_regex_absent=check.body_regex_absent,
        json_assertions=[
            pb.JsonAssertion(path=one.path, comparison=one.comparison, value=one.value)  # type: ignore[arg-type]
            for one in check.json_assertions
        ],
        min_body_bytes=check.min_body_bytes,
        max_body_bytes=check.max_body_bytes,
        min_certificate_days=check.min_certificate_days,
        http_version=check.http_version,  # type: ignore[arg-type]
    )


def _read_comparison(number: int, at: str, found: list[Violation]) -> Comparison:
    field = f"{at}.comparison"
    if number == 0:
        found.append(Violation(field, "must be set, such as COMPARISON_EQUALS"))
        return Comparison.PRESENT
    return read_enum(Comparison, pb.Comparison, number, Comparison.PRESENT, field, found)


def _read_auth(http: pb.HttpCheck, found: list[Violation]) -> HttpAuth | None:
    if not http.HasField("auth"):
        return None
    match http.auth.WhichOneof("scheme"):
        case "basic":
            return BasicAuth(http.auth.basic.username, Secret(http.auth.basic.password))
        case "bearer":
            return BearerAuth(Secret(http.auth.bearer.token))
        case "oauth2":
            asked = http.auth.oauth2
            return Oauth2Auth(asked.token_url, asked.client_id, Secret(asked.client_secret), tuple(asked.scopes))
        case _:
            found.append(Violation("http.auth", "must have one of basic, bearer and oauth2; or leave it out"))
            return None


def _auth_pb(auth: HttpAuth | None) -> pb.HttpAuth | None:
    match auth:
        case BasicAuth(username):
            return pb.HttpAuth(basic=pb.BasicAuth(username=username))
        case BearerAuth():
            return pb.HttpAuth(bearer=pb.BearerAuth())
        case Oauth2Auth(token_url, client_id, _, scopes):
            return pb.HttpAuth(oauth2=pb.Oauth2Auth(token_url=token_url, client_id=client_id, scopes=scopes))
        case _:
            return None


def _read_status_codes(http: pb.HttpCheck, found: list[Violation]) -> tuple[StatusRange, ...]:
    texts = http.accepted_status_codes
    if len(texts) > MAX_STATUS_RANGES:
        found.append(Violation("http.accepted_status_codes", f"must be at most {MAX_STATUS_RANGES}, not {len(texts)}"))
        return DEFAULT_STATUS
    ranges = []
    for index, text in enumerate(texts):
        match = _STATUS_RANGE.fullmatch(text)
        if match is None:
            found.append(
                Violation(
                    f"http.accepted_status_codes[{index}]",
                    f"must be a number such as 404 or a range such as 200-299, not {quoted(text)}",
                )
            )
        else:
            first = int(match[1])
            ranges.append(StatusRange(first, int(match[2]) if match[2] else first))
    return tuple(ranges) or DEFAULT_STATUS
