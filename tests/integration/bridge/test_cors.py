"""Which pages may call the bridge, as their browsers ask."""

from collections.abc import Mapping

import pytest

from tests.support.connect import MONITORS, TAIL, Web, bridged
from tests.support.rpc_server import Api

LIST = MONITORS + "ListMonitors"
APP, OTHER = "https://app.example.org", "https://evil.example.org"


async def asked(web: Web, origin: str, path: str = LIST) -> tuple[int, Mapping[str, str]]:
    """Ask as a browser does before a call from another origin."""
    status, headers, _ = await web.raw(
        path,
        b"",
        method="OPTIONS",
        Origin=origin,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization,connect-protocol-version,content-type",
    )
    return status, headers


def allowing(headers: Mapping[str, str]) -> list[str]:
    return [name for name in headers if name.startswith("Access-Control-")]


async def test_a_page_that_is_listed_may_call(api: Api) -> None:
    async with bridged(api, origins=[APP, "http://localhost:5173"]) as web:
        for path in (LIST, TAIL):
            status, headers = await asked(web, APP, path)
            assert status == 204
            assert headers["Access-Control-Allow-Origin"] == APP
            assert headers["Access-Control-Allow-Methods"] == "POST"
            allowed = set(headers["Access-Control-Allow-Headers"].lower().split(", "))
            assert allowed == {
                "authorization",
                "connect-protocol-version",
                "connect-timeout-ms",
                "content-type",
                "x-monitord-organisation",
                "x-user-agent",
            }
            assert "Origin" in headers["Vary"]
        status, headers, _ = await web.raw(LIST, user=api.ann, Origin="http://localhost:5173")
        assert status == 200
        assert headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
        assert headers["Access-Control-Expose-Headers"] == "Retry-After"
        assert headers["Vary"] == "Origin"
        status, headers, _ = await web.raw(LIST, b"[", Origin=APP)
        assert (status, headers["Access-Control-Allow-Origin"]) == (400, APP), "errors are readable too"
        async with web.stream(Origin=APP) as stream:
            assert stream.response.headers["Access-Control-Allow-Origin"] == APP


@pytest.mark.parametrize(
    "origin", [OTHER, "null", APP + ".evil.org", "http://app.example.org", APP + ":8443", APP.upper(), "*", ""]
)
async def test_a_page_that_is_not_listed_may_not(api: Api, origin: str) -> None:
    async with bridged(api, origins=[APP]) as web:
        status, headers = await asked(web, origin)
        assert (status, allowing(headers)) == (403, [])
        status, headers, _ = await web.raw(LIST, user=api.ann, Origin=origin)
        assert (status, allowing(headers), headers["Vary"]) == (403, [], "Origin")
        error = await web.refused(LIST, Origin=origin)
        assert (error.code, error.reason) == ("permission_denied", "PERMISSION_DENIED")
        assert "MONITORD_CORS_ORIGINS" in error.message
    assert api.meter.calls == [], "nothing reaches the server"


async def test_without_a_list_only_the_pages_own_origin_and_what_is_no_browser(api: Api) -> None:
    async with bridged(api, public_url="https://monitord.example.org/base") as web:
        assert (await asked(web, APP))[0] == 403
        assert (await web.raw(LIST, user=api.ann))[0] == 200
        for own in (web.url, "https://monitord.example.org"):
            status, headers, _ = await web.raw(LIST, user=api.ann, Origin=own)
            assert (status, allowing(headers)) == (200, [])
        assert (await web.raw(LIST, user=api.ann, Origin=web.url.replace("http:", "https:")))[0] == 403


async def test_any_page_may_when_all_are_allowed_and_never_with_credentials(api: Api) -> None:
    async with bridged(api, origins=["*"]) as web:
        for origin in (OTHER, "null"):
            status, headers = await asked(web, origin)
            assert (status, headers["Access-Control-Allow-Origin"]) == (204, "*")
            assert "Access-Control-Allow-Credentials" not in headers
            status, headers, _ = await web.raw(LIST, user=api.ann, Origin=origin)
            assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*"), "never the page's own word"
