"""The real gRPC server on the real stores and the real identity, with an engine and a feed that tests hold."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from monitord.alerting.greeter import Greeter
from monitord.domain.check import Evidence, Observation, Step, Trigger, Verdict
from monitord.domain.contacts import Channel
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.heartbeat import Ping, Words
from monitord.domain.instant import SECOND, Instant
from monitord.domain.kinds import Check
from monitord.domain.log import LogEntry
from monitord.domain.monitor import Monitor
from monitord.domain.notice import Notice
from monitord.domain.plan import Bounds
from monitord.domain.rules.monitor import Limits
from monitord.domain.tail import TailEvent, TailStart
from monitord.engine.heartbeats import Heartbeats
from monitord.identity.accounts import Accounts
from monitord.identity.contact_links import ContactLinks
from monitord.identity.principal import Principal
from monitord.identity.vault import Vault
from monitord.rpc.account_export import AccountFile
from monitord.rpc.accounts import AccountService
from monitord.rpc.alerts import AlertService
from monitord.rpc.audit import AuditService
from monitord.rpc.auth import AuthHandler
from monitord.rpc.check_logs import CheckLogService
from monitord.rpc.contacts import ContactService
from monitord.rpc.convert_contact import ContactReader
from monitord.rpc.engine import Engine
from monitord.rpc.heartbeats import HeartbeatService
from monitord.rpc.incidents import IncidentService
from monitord.rpc.maintenance import MaintenanceService
from monitord.rpc.monitors import MonitorService
from monitord.rpc.organisations import OrganisationService
from monitord.rpc.private_door import PrivateDoor
from monitord.rpc.rates import CallRates, Rate
from monitord.rpc.reach import Reach
from monitord.rpc.server import RpcServer, Services
from monitord.rpc.specs import SpecReader
from monitord.storage.account_export import AccountExport
from monitord.storage.accounts import AccountStore
from monitord.storage.alert_configs import AlertConfigStore
from monitord.storage.alert_history import AlertHistory
from monitord.storage.api_keys import ApiKeyStore
from monitord.storage.audit_log import AuditLog
from monitord.storage.confirmations import ConfirmationStore
from monitord.storage.contacts import ContactStore
from monitord.storage.database import Database
from monitord.storage.explanations import Explanations
from monitord.storage.heartbeats import HeartbeatStore
from monitord.storage.incidents import IncidentStore
from monitord.storage.logs import LogStore
from monitord.storage.maintenance import MaintenanceStore
from monitord.storage.monitors import MonitorStore
from monitord.storage.plans import PlanStore
from monitord.storage.requests import RequestLedger
from monitord.storage.tenancy import TenantDatabase
from monitord.streaming.feed import LogFeed
from monitord.streaming.incident_feed import IncidentFeed
from monitord.v1 import (
    account_service_pb2_grpc,
    alert_service_pb2_grpc,
    audit_service_pb2_grpc,
    auth_service_pb2_grpc,
    check_log_service_pb2_grpc,
    contact_service_pb2_grpc,
    heartbeat_service_pb2_grpc,
    incident_service_pb2_grpc,
    maintenance_service_pb2_grpc,
    monitor_pb2,
    monitor_service_pb2,
    monitor_service_pb2_grpc,
    organisation_service_pb2_grpc,
)
from tests.integration.identity.conftest import ADMIN, PASSWORD, Identity
from tests.support.postgres import tenants_of

NOW: Instant = 1_800_000_000 * SECOND

BOUNDS = Bounds(min_interval_s=5, retention_days=30, rpc_rate=50.0)

UNLIMITED = CallRates(Rate.of(0), Rate.of(0))
"""Tests call as quickly as they can; those of the rates bring their own."""


class FakeEngine:
    """Reconciler, supervisor and tester in one: tells what it was asked, and can be held up."""

    def __init__(self) -> None:
        self.settled: list[tuple[int, int | None]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.tested: list[tuple[Check, float]] = []
        self.checked: list[Monitor] = []
        self.held_up: asyncio.Queue[None] = asyncio.Queue()
        self.calendar_changes = 0
        self.rechecked: list[int] = []

    def calendar_changed(self) -> None:
        self.calendar_changes += 1

    async def hold_up(self) -> None:
        if not self.go_on.is_set():
            self.held_up.put_nowait(None)
        await self.go_on.wait()

    async def is_held_up(self, times: int = 1) -> None:
        """Return when so many calls wait."""
        async with asyncio.timeout(5):
            for _ in range(times):
                await self.held_up.get()

    async def settle(self, monitor_id: int, version: int | None) -> None:
        self.settled.append((monitor_id, version))
        await self.hold_up()

    async def check_now(self, monitor: Monitor) -> LogEntry:
        self.checked.append(monitor)
        await self.hold_up()
        return log_entry(monitor, evidence=Evidence(steps=(Step(1.5, "dns", "looked up"),)))

    async def test(self, check: Check, timeout_s: float) -> tuple[Instant, float, Observation]:
        self.tested.append((check, timeout_s))
        await self.hold_up()
        evidence = Evidence(steps=(Step(0.5, "judge", "good"),), body_excerpt=b"\xff\x00ok")
        return NOW, 12.5, Observation(Verdict.UP, status_code=200, evidence=evidence)


def log_entry(monitor: Monitor, *, evidence: Evidence | None = None, seq: int = 1) -> LogEntry:
    return LogEntry(
        org_id=monitor.org_id,
        monitor_id=monitor.id,
        seq=seq,
        shard=0,
        position=seq,
        trigger=Trigger.MANUAL,
        verdict=Verdict.UP,
        counted=True,
        monitor_version=monitor.version,
        scheduled_at=NOW,
        checked_at=NOW + 1,
        response_time_ms=3.25,
        evidence=evidence,
    )


class FakeFeed:
    """A feed that sends what a test puts into ``events``; an exception there is raised, None ends it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[TailEvent | Exception | None] = asyncio.Queue()
        self.asked: list[tuple[int, Sequence[int] | None, TailStart]] = []
        self.opened = asyncio.Semaphore(0)
        """Released by each tail that begins."""
        self.closed = asyncio.Event()

    async def tail(
        self, org_id: int, monitor_ids: Sequence[int] | None, start: TailStart
    ) -> AsyncGenerator[TailEvent, None]:
        self.asked.append((org_id, monitor_ids, start))
        self.opened.release()
        try:
            while (event := await self.events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed.set()


class FakeReadiness:
    def __init__(self) -> None:
        self.ready = True

    async def is_ready(self) -> bool:
        return self.ready


class NoMonitors:
    """Has no monitor with any label."""

    async def without_labels(self, org_id: int, monitor_ids: Sequence[int], labels: Mapping[str, str]) -> Sequence[int]:
        return monitor_ids


NOWHERE = Reach(NoMonitors())


@dataclass
class FakeMeter:
    calls: list[tuple[str, str]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def rpc(self, method: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append((method, code))
        self.news.set()

    async def told(self, count: int = 1) -> list[tuple[str, str]]:
        """Return the calls once there are so many: a caller may have its answer before the server has counted it."""
        async with asyncio.timeout(5):
            while len(self.calls) < count:
                self.news.clear()
                await self.news.wait()
        return self.calls


class AnyKind:
    """A machine that can run every kind of check."""

    def why_not(self, check: Check) -> None:
        """Say that it can."""


class AnyAddress:
    """An egress policy that forbids one address."""

    def check(self, ip: object, port: int) -> str | None:
        return "it is a metadata service" if str(ip) == "169.254.169.254" else None


class EnginesWords:
    """Where words are kept that come by a signed URL: none of a caller's may get there."""

    async def record(self, monitor_id: int, url_version: int | None, ping: Ping) -> Words:
        raise AssertionError("a caller's word is not kept in the caller's name")


class Mailbox:
    """Takes the messages that somebody waits for, each with the end that a test chose."""

    def __init__(self) -> None:
        self.attempt = Attempt(outcome=Outcome.ACCEPTED, code="smtp.250", detail="queued")
        self.sent: asyncio.Queue[tuple[Channel, Notice]] = asyncio.Queue()

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        self.sent.put_nowait((channel, notice))
        return self.attempt

    async def next(self) -> Notice:
        async with asyncio.timeout(5):
            return (await self.sent.get())[1]


@dataclass
class User:
    """Someone with an organisation, and the metadata that proves it."""

    principal: Principal
    bearer: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.bearer}"),)


@dataclass
class Api:
    """A running server, and what stands behind it."""

    server: RpcServer
    port: int
    channel: grpc.aio.Channel
    database: Database
    identity: Identity
    store: MonitorStore
    engine: FakeEngine
    feed: FakeFeed
    readiness: FakeReadiness
    meter: FakeMeter
    ann: User
    bob: User
    mailbox: Mailbox
    door: PrivateDoor

    def __post_init__(self) -> None:
        self.monitors = monitor_service_pb2_grpc.MonitorServiceStub(self.channel)
        self.check_logs = check_log_service_pb2_grpc.CheckLogServiceStub(self.channel)
        self.auth = auth_service_pb2_grpc.AuthServiceStub(self.channel)
        self.contacts = contact_service_pb2_grpc.ContactServiceStub(self.channel)
        self.incidents = incident_service_pb2_grpc.IncidentServiceStub(self.channel)
        self.alerts = alert_service_pb2_grpc.AlertServiceStub(self.channel)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(self.channel)
        self.organisations = organisation_service_pb2_grpc.OrganisationServiceStub(self.channel)
        self.audit = audit_service_pb2_grpc.AuditServiceStub(self.channel)
        self.heartbeats = heartbeat_service_pb2_grpc.HeartbeatServiceStub(self.channel)
        self.maintenance = maintenance_service_pb2_grpc.MaintenanceServiceStub(self.channel)

    async def create(self, user: User | None = None, **fields: Any) -> monitor_pb2.Monitor:
        wish = {"name": "shop", "http": {"url": "https://example.org/"}} | fields
        request = monitor_service_pb2.CreateMonitorRequest(monitor=monitor_pb2.Monitor(**wish))
        response = await self.monitors.CreateMonitor(request, metadata=(user or self.ann).metadata)
        return response.monitor


@contextlib.asynccontextmanager
async def running_api(
    database: Database, *, real_feed: bool = False, rates: CallRates = UNLIMITED
) -> AsyncIterator[Api]:
    """Start a server for two users, Ann and Bob, each with an organisation of their own, behind the second wall."""
    async with tenants_of(database.dsn) as tenants, _serving(database, tenants, real_feed, rates) as api:
        yield api


@contextlib.asynccontextmanager
async def _serving(
    database: Database, tenants: TenantDatabase, real_feed: bool, rates: CallRates
) -> AsyncIterator[Api]:
    identity = Identity(database)
    vault = Vault([bytes(32)])
    engine, feed, readiness, meter = FakeEngine(), FakeFeed(), FakeReadiness(), FakeMeter()
    store = MonitorStore(tenants, vault)
    requests = RequestLedger(tenants)
    accounts = Accounts(
        AccountStore(tenants),
        ApiKeyStore(tenants),
        identity.hasher,
        now=identity.clock.now,
        ended=identity.authenticator.forget,
    )
    mailbox = Mailbox()
    contacts = ContactStore(tenants, vault)
    greeter = Greeter(
        contacts,
        ConfirmationStore(tenants, contacts),
        ContactLinks(vault.derive, lambda: "http://public.test"),
        {"email": mailbox.send, "webhook": mailbox.send},
        now=lambda: NOW,
    )
    configs, incidents = AlertConfigStore(tenants), IncidentStore(tenants)
    services = Services(
        monitors=MonitorService(
            store=store,
            metrics=LogStore(tenants),
            requests=requests,
            engine=Engine(engine, engine, engine),
            specs=SpecReader(Limits(), AnyAddress(), AnyKind()),
            ping_url=lambda monitor_id, version: f"http://ping.test/{monitor_id}/{version}",
            now=lambda: NOW,
        ),
        check_logs=CheckLogService(
            logs=LogStore(tenants),
            monitors=store,
            feed=LogFeed(LogStore(tenants)) if real_feed else feed,
            sessions=identity.authenticator,
            now=lambda: NOW,
        ),
        audit=AuditService(AuditLog(tenants)),
        accounts=AccountService(
            identity.registration,
            accounts,
            identity.deletion,
            AccountFile(AccountExport(database, vault), identity.authenticator),
            Engine(engine, engine, engine),
        ),
        organisations=OrganisationService(
            identity.organisations,
            identity.invitations,
            RequestLedger(database),
            Engine(engine, engine, engine),
            lambda org_id: PlanStore(database).usage(org_id, BOUNDS, at=NOW),
        ),
        auth=AuthHandler(identity.sessions, accounts, requests),
        heartbeats=HeartbeatService(
            HeartbeatStore(tenants),
            Heartbeats(EnginesWords(), lambda: NOW, engine.rechecked.append),
            now=lambda: NOW,
        ),
        incidents=IncidentService(incidents, IncidentFeed(incidents), configs, identity.authenticator, now=lambda: NOW),
        alerts=AlertService(
            AlertHistory(tenants),
            configs,
            incidents,
            Explanations(tenants, contacts, configs),
            revived=engine.calendar_changed,
        ),
        contacts=ContactService(contacts, configs, requests, ContactReader(AnyAddress()), greeter),
        maintenance=MaintenanceService(
            MaintenanceStore(tenants), requests, changed=engine.calendar_changed, now=lambda: NOW
        ),
    )
    server = RpcServer(
        services,
        host="127.0.0.1",
        port=0,
        tls=None,
        authenticator=identity.authenticator,
        meter=meter,
        readiness=readiness,
        rates=rates,
        reach=Reach(store),
        door=(door := PrivateDoor()),
    )
    port = await server.start()
    ann, bob = await _admin(identity), await _other(identity, "bob@example.org")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Api(
                server,
                port,
                channel,
                database,
                identity,
                MonitorStore(database, vault),
                engine,
                feed,
                readiness,
                meter,
                ann,
                bob,
                mailbox,
                door,
            )
    finally:
        await server.stop(0)
        await greeter.close()
        identity.hasher.close()


async def _admin(identity: Identity) -> User:
    secret = await identity.accounts.bootstrap_admin(ADMIN, PASSWORD)
    assert secret is not None
    return User(await identity.authenticator.authenticate(f"Bearer {secret}"), secret)


async def _other(identity: Identity, email: str) -> User:
    principal = await identity.add_user(email)
    pair = (await identity.sessions.login(email, PASSWORD, "192.0.2.9")).tokens
    return User(principal, pair.access_token)


@dataclass
class Refusal:
    """An error as a client reads it."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    violations: dict[str, str]
    retry_s: float | None
    quotas: dict[str, str] = field(default_factory=dict)
    """What is said of each subject."""


async def refusal(call: Awaitable[object]) -> Refusal:
    """Return how a call was refused."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    raise AssertionError(f"not refused: {answer!r}")


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Return an error's details. One without an ErrorInfo has the reason ``none``."""
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
    refused = Refusal(error.code(), error.details() or "", "none", {}, {}, None)
    for detail in status.details if status is not None else ():
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        quota = error_details_pb2.QuotaFailure()
        if detail.Unpack(info):
            assert info.domain == "monitord"
            refused.reason, refused.metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            refused.violations = {one.field: one.description for one in bad.field_violations}
        elif detail.Unpack(quota):
            refused.quotas = {one.subject: one.description for one in quota.violations}
        elif detail.Unpack(retry):
            refused.retry_s = retry.retry_delay.ToTimedelta().total_seconds()
    return refused
