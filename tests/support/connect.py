"""The bridge before a running server, and a client of the Connect protocol that checks what it gets."""

import asyncio
import base64
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse, ClientSession, web
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from monitord.bridge.bridge import Bridge
from monitord.bridge.callers import Proxies
from monitord.bridge.cors import Cors
from monitord.http_server import HttpServer
from monitord.rpc import errors
from monitord.rpc.limits import CallLimit
from monitord.rpc.server import SERVICE_NAMES
from tests.support.rpc_server import Api, User

MONITORS = "/monitord.v1.MonitorService/"
TAIL = "/monitord.v1.CheckLogService/TailCheckLogs"

STATUSES = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}
"""https://connectrpc.com/docs/protocol#error-codes"""


@dataclass
class Told:
    """An error as a client of the protocol reads it."""

    code: str
    message: str
    reason: str = "none"
    violations: dict[str, str] = field(default_factory=dict)
    retry_s: float | None = None
    quotas: dict[str, str] = field(default_factory=dict)


def told(error: Mapping[str, Any]) -> Told:
    """Read an Error; fail where it is not as the protocol has it."""
    assert set(error) <= {"code", "message", "details"}
    assert error["code"] in STATUSES
    found = Told(error["code"], error.get("message", ""))
    for detail in error.get("details", ()):
        assert set(detail) == {"type", "value", "debug"}
        assert not detail["value"].endswith("=")
        kind = {
            "google.rpc.ErrorInfo": error_details_pb2.ErrorInfo,
            "google.rpc.BadRequest": error_details_pb2.BadRequest,
            "google.rpc.QuotaFailure": error_details_pb2.QuotaFailure,
            "google.rpc.RetryInfo": error_details_pb2.RetryInfo,
        }[detail["type"]]
        message = kind.FromString(base64.b64decode(detail["value"] + "=" * (-len(detail["value"]) % 4)))
        if isinstance(message, error_details_pb2.ErrorInfo):
            assert (message.domain, detail["debug"]["reason"]) == ("monitord", message.reason)
            found.reason = message.reason
        elif isinstance(message, error_details_pb2.BadRequest):
            found.violations = {one.field: one.description for one in message.field_violations}
        elif isinstance(message, error_details_pb2.QuotaFailure):
            found.quotas = {one.subject: one.description for one in message.violations}
        else:
            found.retry_s = message.retry_delay.ToTimedelta().total_seconds()
    return found


def envelope(message: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(message)) + message


class Stream:
    """A stream that is open."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def frame(self) -> tuple[int, bytes]:
        """Return the flags and the message of the next envelope."""
        async with asyncio.timeout(10):
            flags, length = struct.unpack(">BI", await self.response.content.readexactly(5))
            return flags, await self.response.content.readexactly(length)

    async def next(self, kind: type[Message] | None = None) -> Any:
        """Return the next message: JSON, or of a kind."""
        flags, raw = await self.frame()
        assert flags == 0, raw
        return json.loads(raw) if kind is None else kind.FromString(raw)

    async def end(self) -> dict[str, Any]:
        """Return what the stream ends with; fail if anything follows it."""
        flags, raw = await self.frame()
        assert flags == 2, raw
        assert await self.response.content.read() == b""
        end: dict[str, Any] = json.loads(raw)
        assert end.get("error", ...) not in (None, {})
        return end


@dataclass
class Web:
    """The bridge as others reach it."""

    api: Api
    bridge: Bridge
    url: str
    http: ClientSession

    async def raw(
        self, path: str, body: bytes = b"{}", *, method: str = "POST", user: User | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Ask, and return status, headers and body. Underscores in the names of headers are dashes."""
        async with self.http.request(method, self.url + path, data=body, headers=self._headers(headers, user)) as got:
            return got.status, got.headers.copy(), await got.read()

    async def call(self, path: str, request: Mapping[str, Any] | None = None, **headers: Any) -> dict[str, Any]:
        """Call in JSON as Ann, unless another ``user`` is named; return the answer, which has to be good."""
        headers = {"user": self.api.ann} | headers
        status, got, body = await self.raw(path, json.dumps(request or {}).encode(), **headers)
        assert (status, got["Content-Type"]) == (200, "application/json"), body
        answer: dict[str, Any] = json.loads(body)
        return answer

    async def refused(self, path: str, body: bytes = b"{}", *, status: int | None = None, **headers: Any) -> Told:
        """Call as Ann, and return how that was refused, with the status that belongs to the code or the one given."""
        found, got, answer = await self.raw(path, body, **({"user": self.api.ann} | headers))
        assert got["Content-Type"] == "application/json", answer
        error = told(json.loads(answer))
        assert found == (status or STATUSES[error.code]), answer
        assert got.get("Retry-After") == (None if error.retry_s is None else str(int(max(1, error.retry_s))))
        return error

    @contextlib.asynccontextmanager
    async def stream(self, path: str = TAIL, body: bytes = envelope(b"{}"), **headers: Any) -> AsyncIterator[Stream]:
        """Open a stream as Ann, in JSON unless ``Content_Type`` says otherwise; close it after the block."""
        given = {"Content_Type": "application/connect+json", "user": self.api.ann} | headers
        user = given.pop("user")
        async with self.http.post(self.url + path, data=body, headers=self._headers(given, user)) as response:
            assert response.status == 200, await response.read()
            assert response.headers["Content-Type"] == given["Content_Type"]
            yield Stream(response)

    def _headers(self, headers: Mapping[str, str], user: User | None) -> dict[str, str]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        proof = {} if user is None else {"Authorization": f"Bearer {user.bearer}"}
        return {"Content-Type": "application/json"} | proof | given


@contextlib.asynccontextmanager
async def bridged(
    api: Api,
    *,
    origins: Sequence[str] = (),
    public_url: str | None = None,
    proxies: Sequence[str] = (),
    per_caller: int = 100,
) -> AsyncIterator[Web]:
    """Serve the bridge on a free port, in front of a running server."""
    bridge = Bridge(
        SERVICE_NAMES,
        target=lambda: api.door.target,
        errors=errors,
        calls=CallLimit("calls", per_caller=per_caller, in_all=100),
        streams=CallLimit("streams", per_caller=per_caller, in_all=100),
        cors=Cors(origins, public_url),
        proxies=Proxies(proxies),
    )
    application = web.Application()
    application.router.add_routes(bridge.routes())
    server = HttpServer("127.0.0.1", 0, purpose="test")
    port = await server.start(application)
    watch = asyncio.create_task(bridge.run())
    try:
        async with ClientSession() as http:
            yield Web(api, bridge, f"http://127.0.0.1:{port}", http)
    finally:
        await server.stop()
        await bridge.close()
        watch.cancel()
        await asyncio.wait([watch])
