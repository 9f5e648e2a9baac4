"""AuthService as a client sees it: over gRPC, through the interceptor, on a real database."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_status import rpc_status
from structlog.testing import capture_logs

from monitord.domain.instant import HOUR
from monitord.identity.principal import Scope
from monitord.identity.throttle import FREE_FAILURES
from monitord.rpc.auth import AuthHandler
from monitord.rpc.interceptors import Edge
from monitord.rpc.limits import CallLimit
from monitord.rpc.permissions import RULES
from monitord.storage.requests import RequestLedger
from monitord.v1 import auth_pb2, auth_service_pb2_grpc
from monitord.v1 import auth_service_pb2 as pb
from tests.integration.identity.conftest import ADMIN, PASSWORD, Identity
from tests.support.rpc_server import NOWHERE, UNLIMITED


class _Meter:
    def rpc(self, method: str, code: str, seconds: float) -> None:
        pass


@dataclass
class Client:
    stub: auth_service_pb2_grpc.AuthServiceStub
    identity: Identity
    admin_key: str

    def bearer(self, credential: str | None = None) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {credential or self.admin_key}"),)

    async def login(self, password: str = PASSWORD, email: str = ADMIN) -> pb.LoginResponse:
        return await self.stub.Login(pb.LoginRequest(email=email, password=password))

    async def create_key(self, **fields: Any) -> pb.CreateApiKeyResponse:
        wish: dict[str, Any] = {"display_name": "ci", "scope": auth_pb2.SCOPE_READ}
        return await self.stub.CreateApiKey(pb.CreateApiKeyRequest(**(wish | fields)), metadata=self.bearer())


@pytest.fixture
async def client(identity: Identity) -> AsyncIterator[Client]:
    edge = Edge(
        identity.authenticator,
        _Meter(),
        RULES,
        unary=CallLimit("calls", per_caller=100, in_all=100),
        streams=CallLimit("streams", per_caller=100, in_all=100),
        rates=UNLIMITED,
        reach=NOWHERE,
    )
    server = grpc.aio.server(interceptors=[edge])
    handler = AuthHandler(
        identity.sessions, identity.accounts, RequestLedger(identity.database, clock=identity.clock.now)
    )
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(handler, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    secret = await identity.accounts.bootstrap_admin(ADMIN, PASSWORD)
    assert secret is not None
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Client(auth_service_pb2_grpc.AuthServiceStub(channel), identity, secret)
    await server.stop(None)


@dataclass
class Refusal:
    code: StatusCode
    reason: str
    fields: list[str]
    retry_s: float | None


async def refusal(call: Awaitable[object]) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    status: Any = rpc_status.from_call(raised.value)  # type: ignore[arg-type]
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    fields: list[str] = []
    retry_s = None
    for detail in status.details:
        detail.Unpack(info)
        if detail.Unpack(bad):
            fields = [violation.field for violation in bad.field_violations]
        if detail.Unpack(retry):
            retry_s = retry.retry_delay.ToTimedelta().total_seconds()
    return Refusal(raised.value.code(), info.reason, fields, retry_s)


async def test_sign_in_ask_refresh_sign_out(client: Client) -> None:
    signed_in = await client.login()
    tokens = signed_in.tokens
    clock = client.identity.clock
    assert tokens.access_token_expire_time.ToMicroseconds() - clock.now() == 15 * 60 * 1_000_000
    assert tokens.refresh_token_expire_time.ToMicroseconds() > clock.now()

    answer = await client.stub.GetUser(pb.GetUserRequest(), metadata=client.bearer(tokens.access_token))
    assert answer.user == signed_in.user
    assert answer.user.email == ADMIN
    assert answer.user.provider == auth_pb2.IDENTITY_PROVIDER_PASSWORD
    assert answer.user.create_time.ToMicroseconds() == clock.now()

    renewed = (await client.stub.Refresh(pb.RefreshRequest(refresh_token=tokens.refresh_token))).tokens
    await client.stub.GetUser(pb.GetUserRequest(), metadata=client.bearer(renewed.access_token))
    for _ in range(2):
        await client.stub.Logout(pb.LogoutRequest(refresh_token=renewed.refresh_token))
    refused = await refusal(client.stub.GetUser(pb.GetUserRequest(), metadata=client.bearer(renewed.access_token)))
    assert (refused.code, refused.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_a_wrong_login_and_too_many_of_them(client: Client) -> None:
    for email in (ADMIN, "nobody@example.org"):
        for _ in range(FREE_FAILURES):
            refused = await refusal(client.login("wrong password", email))
            assert refused == Refusal(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", [], None)
        refused = await refusal(client.login(PASSWORD, email))
        assert refused == Refusal(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED", [], 1.0)


async def test_a_refresh_token_that_comes_back_ends_the_session(client: Client) -> None:
    tokens = (await client.login()).tokens
    await client.stub.Refresh(pb.RefreshRequest(refresh_token=tokens.refresh_token))

    refused = await refusal(client.stub.Refresh(pb.RefreshRequest(refresh_token=tokens.refresh_token)))

    assert refused.code is StatusCode.UNAUTHENTICATED


async def test_make_list_and_revoke_keys(client: Client) -> None:
    made = await client.create_key(scope=auth_pb2.SCOPE_WRITE, time_to_live=Duration(seconds=3600))
    assert made.api_key.expire_time.ToMicroseconds() == client.identity.clock.now() + HOUR
    assert not made.api_key.HasField("last_use_time")
    await client.stub.GetUser(pb.GetUserRequest(), metadata=client.bearer(made.secret))
    await client.identity.upkeep.flush()

    listed = await client.stub.ListApiKeys(pb.ListApiKeysRequest(), metadata=client.bearer())
    mine = next(key for key in listed.api_keys if key.id == made.api_key.id)
    assert mine.last_use_time.ToMicroseconds() == client.identity.clock.now() // 60_000_000 * 60_000_000
    mine.ClearField("last_use_time")
    assert mine == made.api_key
    assert made.secret not in str(listed)

    await client.stub.RevokeApiKey(pb.RevokeApiKeyRequest(id=made.api_key.id), metadata=client.bearer())
    refused = await refusal(client.stub.GetUser(pb.GetUserRequest(), metadata=client.bearer(made.secret)))
    assert refused.code is StatusCode.UNAUTHENTICATED
    listed = await client.stub.ListApiKeys(pb.ListApiKeysRequest(), metadata=client.bearer())
    assert made.api_key.id not in {key.id for key in listed.api_keys}


async def test_pages_of_keys(client: Client) -> None:
    for _ in range(4):
        await client.create_key()
    seen: list[str] = []
    token, pages = "", 0
    while pages < 10:
        page = await client.stub.ListApiKeys(
            pb.ListApiKeysRequest(page_size=2, page_token=token), metadata=client.bearer()
        )
        seen += [key.id for key in page.api_keys]
        pages += 1
        if not (token := page.next_page_token):
            break

    assert pages == 3
    assert len(seen) == len(set(seen)) == 5


async def test_the_scope_of_a_key_limits_what_it_may_do(client: Client) -> None:
    made = await client.create_key(scope=auth_pb2.SCOPE_WRITE)

    for call in (
        client.stub.ListApiKeys(pb.ListApiKeysRequest(), metadata=client.bearer(made.secret)),
        client.stub.CreateApiKey(pb.CreateApiKeyRequest(), metadata=client.bearer(made.secret)),
        client.stub.RevokeApiKey(pb.RevokeApiKeyRequest(id="x"), metadata=client.bearer(made.secret)),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_anothers_key_is_not_found_and_stays(client: Client) -> None:
    """T9."""
    made = await client.create_key()
    other = await client.identity.add_user("other@example.org")
    theirs = await client.identity.accounts.create_api_key(other, "theirs", Scope.ADMIN)
    metadata = client.bearer(theirs.secret)

    for key_id in (made.api_key.id, "doesnotexist"):
        refused = await refusal(client.stub.RevokeApiKey(pb.RevokeApiKeyRequest(id=key_id), metadata=metadata))
        assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND")
    listed = await client.stub.ListApiKeys(pb.ListApiKeysRequest(), metadata=metadata)
    assert [key.id for key in listed.api_keys] == [theirs.key.id]
    await client.stub.GetUser(pb.GetUserRequest(), metadata=client.bearer(made.secret))


async def test_a_request_id_makes_one_key(client: Client) -> None:
    """I14."""
    request_id = str(uuid4())
    first, *again = await asyncio.gather(*(client.create_key(request_id=request_id) for _ in range(3)))

    assert again == [first, first]
    listed = await client.stub.ListApiKeys(pb.ListApiKeysRequest(), metadata=client.bearer())
    assert len(listed.api_keys) == 2, "the first administrator's, and one"


async def test_an_answer_is_bound_to_the_user_and_the_wish(client: Client) -> None:
    """I14, T9: another of the same organisation must not be given this one's secret."""
    request_id = str(uuid4())
    await client.create_key(request_id=request_id)
    refused = await refusal(client.create_key(request_id=request_id, display_name="other"))
    assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    async with client.identity.database.connection() as connection:
        await connection.execute("INSERT INTO users (org_id, email) SELECT org_id, 'colleague@localhost' FROM users")
        await connection.execute("UPDATE api_keys SET user_id = (SELECT max(id) FROM users)")
    client.identity.clock.advance(HOUR)
    refused = await refusal(client.create_key(request_id=request_id))
    assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")


WRONG: list[tuple[str, Any, list[str]]] = [
    ("Login", pb.LoginRequest(email="nonsense", password=PASSWORD), ["email"]),
    ("Login", pb.LoginRequest(email="a\x00@b", password=PASSWORD), ["email"]),
    ("Login", pb.LoginRequest(email=ADMIN), ["password"]),
    ("Login", pb.LoginRequest(email=ADMIN, password="x" * 73), ["password"]),
    ("Refresh", pb.RefreshRequest(), ["refresh_token"]),
    ("Logout", pb.LogoutRequest(), ["refresh_token"]),
    ("CreateApiKey", pb.CreateApiKeyRequest(), ["scope", "display_name"]),
    ("CreateApiKey", pb.CreateApiKeyRequest(display_name="a\x00", scope=auth_pb2.SCOPE_READ), ["display_name"]),
    ("CreateApiKey", pb.CreateApiKeyRequest(display_name="ci", scope=99), ["scope"]),  # type: ignore[arg-type]
    (
        "CreateApiKey",
        pb.CreateApiKeyRequest(display_name="ci", scope=1, time_to_live=Duration(seconds=59)),  # type: ignore[arg-type]
        ["time_to_live"],
    ),
    (
        "CreateApiKey",
        pb.CreateApiKeyRequest(
            display_name="ci",
            scope=auth_pb2.SCOPE_READ,
            time_to_live=Duration(seconds=2**63 - 1, nanos=2**31 - 1),
        ),
        ["time_to_live"],
    ),
    (
        "CreateApiKey",
        pb.CreateApiKeyRequest(display_name="ci", scope=auth_pb2.SCOPE_READ, request_id="1"),
        ["request_id"],
    ),
    ("ListApiKeys", pb.ListApiKeysRequest(page_size=-1), ["page_size"]),
    ("ListApiKeys", pb.ListApiKeysRequest(page_token="nonsense"), ["page_token"]),
    ("RevokeApiKey", pb.RevokeApiKeyRequest(), ["id"]),
    ("RevokeApiKey", pb.RevokeApiKeyRequest(id="a\x00b"), ["id"]),
    ("RevokeApiKey", pb.RevokeApiKeyRequest(id="x" * 100_000), ["id"]),
]


@pytest.mark.parametrize(("method", "request_", "fields"), WRONG)
async def test_bad_input_is_told_by_field(client: Client, method: str, request_: Any, fields: list[str]) -> None:
    refused = await refusal(getattr(client.stub, method)(request_, metadata=client.bearer()))

    assert (refused.code, refused.fields) == (StatusCode.INVALID_ARGUMENT, fields)


async def test_a_forged_page_token_with_an_instant_beyond_all_calendars_is_bad_input(client: Client) -> None:
    from monitord.rpc.auth import _KeyPosition
    from monitord.rpc.paging import encode_page_token, fingerprint

    admin = await client.identity.authenticator.authenticate(f"Bearer {client.admin_key}")
    query = fingerprint(admin.org_id, pb.ListApiKeysRequest())
    for created_at in (2**63 - 1, -(2**63)):
        token = encode_page_token(query, _KeyPosition(created_at, "x"))
        refused = await refusal(
            client.stub.ListApiKeys(pb.ListApiKeysRequest(page_token=token), metadata=client.bearer())
        )
        assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")


async def test_no_secret_reaches_a_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """T15: the canary, through right and wrong uses alike."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as entries:
        tokens = (await client.login()).tokens
        made = await client.create_key()
        wrong_password = "a password of another site"
        calls: list[Awaitable[object]] = [
            client.login(wrong_password),
            client.stub.Refresh(pb.RefreshRequest(refresh_token=made.secret)),
            client.stub.Refresh(pb.RefreshRequest(refresh_token=tokens.refresh_token[:-2] + "AA")),
            client.stub.GetUser(pb.GetUserRequest(), metadata=client.bearer(made.secret[:-1])),
            client.stub.GetUser(pb.GetUserRequest(), metadata=client.bearer(tokens.refresh_token)),
            client.stub.GetUser(pb.GetUserRequest(), metadata=client.bearer(tokens.access_token[:-3])),
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        renewed = (await client.stub.Refresh(pb.RefreshRequest(refresh_token=tokens.refresh_token))).tokens
        await refusal(client.stub.Refresh(pb.RefreshRequest(refresh_token=tokens.refresh_token)))

    assert all(isinstance(answer, grpc.aio.AioRpcError) for answer in answers)
    assert entries, "the end of the session was logged, so the capture works"
    told = f"{entries}{caplog.text}{answers}"
    for secret in (
        PASSWORD,
        wrong_password,
        client.admin_key[:40],
        made.secret[:40],
        tokens.access_token[-20:-5],
        tokens.refresh_token[:40],
        renewed.refresh_token[:60],
    ):
        assert secret not in told
