"""Signing in with Firebase as app.py puts it together: on a real database, over gRPC."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from monitord.domain.instant import SECOND
from monitord.firebase import Firebase
from monitord.identity.authenticator import Authenticator
from monitord.identity.service_account import read_service_account
from monitord.identity.sessions import Sessions
from monitord.rpc.auth import AuthHandler
from monitord.rpc.interceptors import Edge
from monitord.rpc.limits import CallLimit
from monitord.rpc.permissions import RULES
from monitord.storage.database import Database
from monitord.storage.requests import RequestLedger
from monitord.v1 import auth_pb2, auth_service_pb2_grpc
from monitord.v1 import auth_service_pb2 as pb
from tests.integration.identity.conftest import Identity
from tests.support.firebase_emulator import Emulator, running_emulator
from tests.support.google_keys import PROJECT, Google, running_google
from tests.support.rpc_server import NOWHERE, UNLIMITED, FakeMeter

EMULATED = "FIREBASE_AUTH_EMULATOR_HOST"


class World:
    """A server that lets people in by one Firebase project, and a client of it."""

    def __init__(self, identity: Identity, firebase: Firebase, stub: auth_service_pb2_grpc.AuthServiceStub) -> None:
        self.identity = identity
        self.firebase = firebase
        self.database = identity.database
        self.clock = identity.clock
        self.authenticator = identity.authenticator
        self.stub = stub

    async def login(self, id_token: str) -> pb.LoginWithIdTokenResponse:
        return await self.stub.LoginWithIdToken(pb.LoginWithIdTokenRequest(id_token=id_token))

    async def user(self, bearer: str) -> auth_pb2.User:
        answer = await self.stub.GetUser(pb.GetUserRequest(), metadata=(("authorization", f"Bearer {bearer}"),))
        return answer.user


@contextlib.asynccontextmanager
async def world_of(database: Database, account: str, *, development: bool) -> AsyncIterator[World]:
    identity = Identity(database)
    clock = identity.clock
    clock.instant = int(time.time()) * SECOND
    firebase = Firebase(
        read_service_account(account), database, now=clock.now, development=development, clock=clock.monotonic
    )
    identity.authenticator = Authenticator(
        identity.credentials,
        identity.tokens,
        now=clock.now,
        on_use=identity.upkeep.note_use,
        clock=clock.monotonic,
        firebase=firebase.bearers,
    )
    identity.sessions = Sessions(
        identity.store,
        identity.hasher,
        identity.tokens,
        identity.throttle,
        now=clock.now,
        ended=identity.authenticator.forget,
        welcome=firebase.welcome,
    )
    sign_in = firebase.sign_in(identity.sessions, identity.throttle)
    handler = AuthHandler(identity.sessions, identity.accounts, RequestLedger(database), sign_in)
    limit = CallLimit("calls", per_caller=100, in_all=100)
    server = grpc.aio.server(
        interceptors=[
            Edge(identity.authenticator, FakeMeter(), RULES, unary=limit, streams=limit, rates=UNLIMITED, reach=NOWHERE)
        ]
    )
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(handler, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield World(identity, firebase, auth_service_pb2_grpc.AuthServiceStub(channel))
    finally:
        await server.stop(None)
        firebase.close()
        identity.hasher.close()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The real emulator, started by the first test of this process that needs it."""
    with running_emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
async def google(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Google]:
    """A stand-in for Google, which firebase-admin asks instead."""
    from firebase_admin import _token_gen, _user_mgt

    monkeypatch.delenv(EMULATED, raising=False)
    async with running_google() as running:
        monkeypatch.setattr(_token_gen, "ID_TOKEN_CERT_URI", f"{running.base}/keys")
        monkeypatch.setattr(_user_mgt.UserManager, "ID_TOOLKIT_URL", f"{running.base}/v1")
        yield running


@pytest.fixture
async def emulated(
    database: Database, emulator: Emulator, google: Google, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A server whose Firebase is the emulator."""
    monkeypatch.setenv(EMULATED, emulator.host)
    account = google.service_account().replace(PROJECT, "demo-monitord")
    async with world_of(database, account, development=True) as world:
        yield world


@pytest.fixture
async def world(database: Database, google: Google) -> AsyncIterator[World]:
    """A server whose Firebase is judged as in production, by keys that Google publishes."""
    google.add_user()
    async with world_of(database, google.service_account(), development=False) as made:
        yield made
