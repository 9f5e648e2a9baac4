"""The composition root: builds everything, runs it under one TaskGroup, and takes it down in order."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import structlog

from monitord.browsers import bridge_to
from monitord.console.feed import Console
from monitord.domain.kinds import GroupCheck, HeartbeatCheck, HttpCheck
from monitord.domain.rules.monitor import Limits
from monitord.domain.target import parse_server
from monitord.engine.calendar import Calendar
from monitord.engine.checker import Checker
from monitord.engine.clock import ClockWatch, SystemClock
from monitord.engine.gate import Gate
from monitord.engine.groups import Groups
from monitord.engine.heartbeats import Heartbeats
from monitord.engine.network import NetworkWatch
from monitord.engine.reconciler import Reconciler
from monitord.engine.supervisor import Supervisor
from monitord.engine.tester import Tester
from monitord.first_start import FirstStart
from monitord.followers import FollowedLedger
from monitord.garbage import GarbageCollector
from monitord.identification import Identification
from monitord.identity.ping_urls import PingUrls
from monitord.identity.vault import Vault
from monitord.metrics.exposition import Exposition
from monitord.metrics.heartbeat import Heartbeat
from monitord.metrics.instruments import Gauges, Instruments
from monitord.metrics.listener import HttpListener
from monitord.metrics.readiness import Readiness
from monitord.notification import Notification
from monitord.observation import Observation
from monitord.pings.listener import PingListener
from monitord.probes.anchors import AnchorDialler
from monitord.probes.assembly import Options, assemble
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.outbound import Outbound
from monitord.probes.resolver import SystemResolver
from monitord.rpc.audit import AuditService
from monitord.rpc.check_logs import CheckLogService
from monitord.rpc.engine import Engine
from monitord.rpc.heartbeats import HeartbeatService
from monitord.rpc.maintenance import MaintenanceService
from monitord.rpc.monitors import MonitorService
from monitord.rpc.private_door import PrivateDoor
from monitord.rpc.reach import Reach
from monitord.rpc.server import RpcServer, Services
from monitord.rpc.specs import SpecReader
from monitord.served_certificate import ServedCertificate
from monitord.settings import Settings
from monitord.storage.assignments import Assignments
from monitord.storage.audit import Auditor
from monitord.storage.audit_log import AuditLog
from monitord.storage.census import Census
from monitord.storage.heartbeats import HeartbeatStore
from monitord.storage.hints import Hints
from monitord.storage.janitor import Janitor
from monitord.storage.ledger_commit import Commit
from monitord.storage.logs import LogStore
from monitord.storage.maintenance import MaintenanceStore
from monitord.storage.monitors import MonitorStore
from monitord.storage.requests import RequestLedger
from monitord.storage.tenancy import Pools
from monitord.streaming.feed import LogFeed
from monitord.well import DatabaseWell, EngineWell

Service: TypeAlias = tuple[str, Callable[[], Coroutine[Any, Any, object]]]
"""A name for messages, and what runs for as long as the process does."""

_LEAST_FLUSH_S = 5.0
"""How long the last results may take to be stored, however short the grace is."""

_log = structlog.get_logger(__name__)


class App:
    """Everything that makes up a monitord, built on one loop around one database.

    Construction wires: what serves calls gets the pool for tenants, and all else the engine's (``storage.tenancy``).
    ``open`` makes ready; ``services`` run until cancelled; ``close`` stops in order.
    """

    def __init__(
        self,
        settings: Settings,
        pools: Pools,
        vault: Vault,
        own_addresses: list[str],
        console: Console | None,
        certificate: ServedCertificate | None,
    ) -> None:
        self._settings, self._certificate, self._pools = settings, certificate, pools
        database, tenants = pools
        self._database = database
        self._console = console
        self._clock = SystemClock()
        self.instruments = Instruments()
        self._policy = EgressPolicy(
            settings.egress_mode.value, settings.egress_allow, settings.egress_deny, own_addresses
        )
        self._monitors = MonitorStore(tenants, vault)
        self._logs = LogStore(tenants)
        self._janitor = Janitor(
            database, retention_days=settings.log_retention_days, audit_days=settings.audit_retention_days
        )
        self._census = Census(database)
        self._build_engine(Assignments(database, vault))
        self.feed = LogFeed(self._logs)
        self._auditor = Auditor(database)
        self._hints = Hints(database.dsn, self._look)
        engine_well = EngineWell(self._supervisor, self._reconciler, self._ledger, spool_rows=settings.spool_rows)
        self.readiness = Readiness({"database": DatabaseWell(database), "engine": engine_well})
        self._exposition = Exposition(self.instruments, per_monitor=settings.metrics_per_monitor)
        self._listener = HttpListener(settings.metrics_host, settings.metrics_port, self._exposition, self.readiness)
        self._ping_urls = PingUrls(vault.derive, settings.public_url or "")
        self._collector = GarbageCollector(lambda: len(self._supervisor.running()) if self._reconciler.complete else 0)
        self._build_people(vault, own_addresses)
        self._door = PrivateDoor()
        self._bridge = bridge_to(self._door, settings)
        self._pings = PingListener(
            settings.ping_host,
            settings.ping_port,
            hearing=self._heartbeats,
            read_token=self._ping_urls.read,
            now=self._clock.now,
            others=(self._notification.pages, *self._identification.pages, self._observation, self._bridge),
            tls=certificate.context if certificate is not None and settings.http_tls else None,
        )
        self._specs = SpecReader(Limits(min_interval_s=settings.min_interval_s), self._policy, self._probes)
        self.first_start = FirstStart(
            self._specs,
            self._policy,
            MonitorStore(database, vault),
            self._notification,
            self._identification.authenticator,
        )
        self._rpc = self._build_rpc()
        self.instruments.attach(self._gauges())
        self._ledger.listeners.append(self._committed)
        self._ledger.followers.append(self.instruments)
        if console is not None:
            self._ledger.followers.append(console)

    def _build_people(self, vault: Vault, own_addresses: list[str]) -> None:
        """Build what tells people, shows them what was seen, and knows who they are."""
        settings, database = self._settings, self._database
        self._observation = Observation(
            settings, database, vault, self._outbound, own_addresses, now=self._clock.now, recorded=self._recorded
        )
        self._ledger.hold_s = self._observation.hold_s
        self._ledger.followers += self._observation.followers
        self._notification = Notification(
            settings,
            self._pools,
            vault,
            self._outbound,
            now=self._clock.now,
            meter=self.instruments,
            base=lambda: self._ping_urls.base,
            picture=self._observation.picture,
        )
        self._identification = Identification(
            settings,
            self._pools,
            vault,
            now=self._clock.now,
            post=self._notification.post,
            base=lambda: self._ping_urls.base,
        )
        self.accounts = self._identification.accounts

    def _build_engine(self, assignments: Assignments) -> None:
        settings, clock = self._settings, self._clock
        self._watch = ClockWatch(clock, on_step=self._realign, on_lag=self.instruments.loop_lag.observe)
        options = Options(
            tls_engine=settings.tls_engine,
            ca_file=settings.probe_ca_file,
            max_body_bytes=settings.max_body_bytes,
            operator_url=settings.operator_url,
        )
        dialler = Dialler(self._policy, SystemResolver())
        self._outbound = Outbound(dialler, self._policy, ca_file=settings.probe_ca_file)
        self._probes = assemble(dialler, options, now=clock.now)
        for kind, reason in self._probes.unsupported.items():
            _log.warning("kind_unsupported", kind=kind, reason=reason)
        anchors = [parse_server(anchor, 0) for anchor in settings.anchors]
        self._network = None
        if anchors:
            self._network = NetworkWatch(AnchorDialler(dialler, anchors), clock, changed=self._network_changed)
        self._calendar = Calendar(MaintenanceStore(self._database))
        self._gate = Gate(settings.max_checks_in_flight, settings.max_checks_per_host)
        self._ledger = FollowedLedger(self._database, clock=clock.now, spool_rows=settings.spool_rows)
        self._heartbeats = Heartbeats(
            HeartbeatStore(self._database), clock.now, lambda monitor_id: self._supervisor.recheck(monitor_id)
        )
        self._ledger.followers.append(self._heartbeats)
        self._groups = Groups(
            lambda: self._supervisor.standings(),
            lambda monitor_id: self._supervisor.recheck(monitor_id),
            lambda: self._reconciler.complete,
        )
        self._ledger.followers.append(self._groups)
        self._supervisor = Supervisor(
            checker=Checker(
                probe=self._probes,
                judges={HeartbeatCheck: self._heartbeats, GroupCheck: self._groups},
                gate=self._gate,
                clock=clock,
                stalled_since=self._watch.stalled_since,
                network=self._network,
                maintenance=self._calendar,
            ),
            recorder=self._ledger,
            meter=self.instruments,
            clock=clock,
        )
        self._reconciler = Reconciler(assignments, self._supervisor, clock=clock)

    def _build_rpc(self) -> RpcServer:
        settings, tenants = self._settings, self._pools.tenants
        requests = RequestLedger(tenants)
        engine = Engine(self._reconciler, self._supervisor, Tester(self._probes, self._gate, self._clock))
        return RpcServer(
            Services(
                monitors=MonitorService(
                    store=self._monitors,
                    metrics=self._logs,
                    requests=requests,
                    engine=engine,
                    specs=self._specs,
                    ping_url=self._ping_urls.url,
                    now=self._clock.now,
                ),
                check_logs=CheckLogService(
                    logs=self._logs,
                    monitors=self._monitors,
                    feed=self.feed,
                    sessions=self._identification.authenticator,
                    now=self._clock.now,
                ),
                auth=self._identification.auth_service(requests),
                heartbeats=HeartbeatService(HeartbeatStore(tenants), self._heartbeats, now=self._clock.now),
                contacts=self._notification.contact_service(requests, self._policy),
                incidents=self._notification.incident_service(self._identification.authenticator, self._clock.now),
                alerts=self._notification.alert_service(),
                accounts=self._identification.account_service(engine),
                organisations=self._identification.organisation_service(RequestLedger(self._database), engine),
                audit=AuditService(AuditLog(tenants)),
                maintenance=MaintenanceService(
                    MaintenanceStore(tenants), requests, changed=self._calendar.poke, now=self._clock.now
                ),
            ),
            host=settings.host,
            port=settings.port,
            tls=self._certificate,
            authenticator=self._identification.authenticator,
            meter=self.instruments,
            readiness=self.readiness,
            rates=self._identification.call_rates(),
            reach=Reach(self._monitors),
            door=self._door if self._bridge is not None else None,
        )

    def _gauges(self) -> Gauges:
        return Gauges(
            in_flight=lambda: self._supervisor.in_flight,
            overdue=self._supervisor.overdue,
            spool_rows=lambda: self._ledger.spooled,
            slots_uncovered=lambda: self._auditor.uncovered,
            outbox_pending=lambda: self._census.outbox_pending,
            outbox_oldest_s=lambda: self._census.outbox_oldest_s,
            tail_streams=lambda: self.feed.readers,
            paused_monitors=lambda: self._census.paused_monitors,
            network_up=lambda: None if self._network is None else not self._network.is_down,
        )

    # The life of it

    async def open(self) -> tuple[int, int]:
        """Make the log's partitions and open both ports; return that of gRPC and that of the HTTP listener."""
        await self._janitor.prepare()
        metrics_port = await self._listener.start()
        await self._pings.start()
        self._ping_urls.base = self._ping_urls.base or self._pings.url
        self._observation.linked_at(self._ping_urls.base)
        self._notification.greet()
        return await self._rpc.start(), metrics_port

    def services(self) -> list[Service]:
        """Return what is to run for as long as the process does."""
        services: list[Service] = [
            ("the writer of the check log", self._ledger.run),
            ("the supervisor of the checks", self._supervisor.run),
            ("the reconciler", self._reconciler.run),
            ("the calendar of maintenance", self._calendar.run),
            ("the watch over the clocks", self._watch.run),
            ("the dispatcher of alerts", self._notification.deliver),
            ("the sign of life beside claims", self._notification.claimant.run),
            ("the lookout for slowness and certificates", self._notification.lookout().run),
            ("the audit of slots", self._auditor.run),
            ("the janitor", self._janitor.run),
            ("the listener for hints", self._hints.run),
            ("the census", self._census.run),
            ("the upkeep of keys and sessions", self._identification.upkeep.run),
            ("the deletion of accounts", self._identification.purge.run),
            ("the collector of garbage", self._collector.run),
        ]
        if self._certificate is not None:
            services.append(("the watch over the certificate", self._certificate.run))
        if self._bridge is not None:
            services.append(("the bridge for browsers", self._bridge.run))
        if self._console is not None:
            services.append(("the console", self._console.run))
        if self._notification.operator_desk is not None:
            services.append(("the desk of the operator", self._notification.operator_desk.run))
        if self._settings.heartbeat_url is not None:
            heartbeat = Heartbeat(self._settings.heartbeat_url, self._get, self.readiness.is_ready)
            services.append(("the heartbeat", heartbeat.run))
        return services

    async def close(self, grace_s: float) -> None:
        """Stop in the order in which nothing is lost, while the services still run."""
        self.readiness.drain()
        self._rpc.begin_shutdown()
        await self._supervisor.drain(grace_s)
        unsaved = await self._ledger.close(max(grace_s, _LEAST_FLUSH_S))
        if unsaved:
            _log.error("results_lost", rows=unsaved, reason="the database did not take them before the end")
        await self._observation.drain()
        await self._notification.dispatcher.drain(grace_s)
        await self._rpc.stop(grace_s)
        await self._identification.upkeep.flush()

    async def shut(self) -> None:
        """Close what is open, in whatever state the services ended."""
        await self._rpc.stop(0)
        await self._listener.stop()
        await self._pings.stop()
        if self._bridge is not None:
            await self._bridge.close()
        await self._notification.close()
        await self._observation.close()
        if self._network is not None:
            await self._network.close()
        await self._identification.close()

    # What connects the parts

    def _committed(self, commit: Commit) -> None:
        self.instruments.batch(commit.row_count, commit.seconds)
        for change in commit.changes:
            self._supervisor.settled(change.monitor_id, change.health)
            self._groups.settled(change.monitor_id, change.health)
            self.instruments.settled(change.monitor_id, change.health)
        if commit.changes:
            self._notification.poke()
            self._observation.committed(commit.changes)
        self.feed.publish(commit)
        if self._console is not None:
            self._console.committed(commit)

    def _network_changed(self, is_down: bool) -> None:
        self._notification.network_changed(is_down)

    def _recorded(self) -> None:
        """A screenshot came, or none will: the alerts that waited for it may go."""
        self._notification.poke()

    def _look(self) -> None:
        """Another process changed something: it does not say what."""
        self._reconciler.poke()
        self._calendar.poke()

    async def _realign(self) -> None:
        await self._supervisor.realign()

    async def _get(self, url: str, timeout_s: float) -> int:
        """Ask for a URL through the prober: the guarded dialler is the only way out."""
        seen = await self._probes(HttpCheck(url=url), timeout_s)
        if seen.status_code is None:
            raise OSError(seen.message)
        return seen.status_code
