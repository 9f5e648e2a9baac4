"""The gRPC server: its port, its services, its health, its end."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from monitord.rpc.accounts import AccountService
from monitord.rpc.alerts import AlertService
from monitord.rpc.audit import AuditService
from monitord.rpc.certificates import credentials
from monitord.rpc.check_logs import CheckLogService
from monitord.rpc.contacts import ContactService
from monitord.rpc.health import Health
from monitord.rpc.heartbeats import HeartbeatService
from monitord.rpc.incidents import IncidentService
from monitord.rpc.interceptors import Authenticator, Edge, RpcMeter
from monitord.rpc.limits import CallLimit
from monitord.rpc.maintenance import MaintenanceService
from monitord.rpc.monitors import MonitorService
from monitord.rpc.organisations import OrganisationService
from monitord.rpc.permissions import RULES
from monitord.rpc.private_door import PrivateDoor
from monitord.rpc.rates import CallRates
from monitord.rpc.reach import Reach
from monitord.served_certificate import ServedCertificate
from monitord.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    alert_service_pb2,
    alert_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    auth_service_pb2,
    auth_service_pb2_grpc,
    check_log_service_pb2,
    check_log_service_pb2_grpc,
    contact_service_pb2,
    contact_service_pb2_grpc,
    heartbeat_service_pb2,
    heartbeat_service_pb2_grpc,
    incident_service_pb2,
    incident_service_pb2_grpc,
    maintenance_service_pb2,
    maintenance_service_pb2_grpc,
    monitor_service_pb2,
    monitor_service_pb2_grpc,
    organisation_service_pb2,
    organisation_service_pb2_grpc,
)

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    # How often clients may ping an idle connection; by default those that ping every 30 s are sent away. The C macro
    # says MIN_RECV_PING_INTERVAL, but gRPC ignores an option of that name.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 256 * 1024),
    # Messages wait in gRPC's memory until a handler takes them: bounded for each connection (T18).
    ("grpc.max_concurrent_streams", 1024),
    # Longer than the longest unary call, so only streams are cut, and they can be resumed.
    ("grpc.max_connection_age_ms", 30 * 60_000),
    ("grpc.max_connection_age_grace_ms", 150_000),
    # With it a second process would share the port in silence and get half of the calls.
    ("grpc.so_reuseport", 0),
)
_READINESS_POLL_S = 1.0

_log = structlog.get_logger(__name__)


class BindError(OSError):
    """The port could not be opened. The text says what to change."""


class Readiness(Protocol):
    """Knows whether calls can be served: Postgres is writable and the engine runs."""

    async def is_ready(self) -> bool:
        """Return whether they can, within a few seconds; must not raise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many calls may be in flight (T18)."""

    unary_per_caller: int = 256
    unary_in_all: int = 2_000
    streams_per_caller: int = 128
    streams_in_all: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the server serves besides health and reflection."""

    monitors: MonitorService
    check_logs: CheckLogService
    auth: auth_service_pb2_grpc.AuthServiceServicer
    maintenance: MaintenanceService
    heartbeats: HeartbeatService
    contacts: ContactService
    incidents: IncidentService
    alerts: AlertService
    accounts: AccountService
    organisations: OrganisationService
    audit: AuditService


class RpcServer:
    """Serves monitord's API. Made within a running loop; one for a process, as grpc.aio wants it."""

    def __init__(
        self,
        services: Services,
        *,
        host: str,
        port: int,
        tls: ServedCertificate | None,
        authenticator: Authenticator,
        meter: RpcMeter,
        readiness: Readiness,
        rates: CallRates,
        reach: Reach,
        limits: Limits | None = None,
        door: PrivateDoor | None = None,
    ) -> None:
        """Port 0 takes a free one. Without ``tls`` the caller has made sure that plaintext is meant.

        ``door`` is served too while the server runs, for this process's own callers.
        """
        limits = limits or Limits()
        self._services = services
        self._host = host
        self._port = port
        self._tls = tls
        self._readiness = readiness
        self._door = door
        self._health = Health(SERVICE_NAMES)
        self._watch: asyncio.Task[None] | None = None
        self._server = grpc.aio.server(
            interceptors=[
                Edge(
                    authenticator,
                    meter,
                    RULES,
                    unary=CallLimit("calls", per_caller=limits.unary_per_caller, in_all=limits.unary_in_all),
                    streams=CallLimit("streams", per_caller=limits.streams_per_caller, in_all=limits.streams_in_all),
                    rates=rates,
                    reach=reach,
                )
            ],
            options=_OPTIONS,
        )
        _register(self._server, services, self._health)

    async def start(self) -> int:
        """Open the port and serve; return the port. Raises BindError when it can't be opened."""
        bound = self._bind()
        self._open_door()
        await self._server.start()
        await self._look()
        self._watch = asyncio.create_task(self._keep_health_true(), name="rpc-health")
        return bound

    def begin_shutdown(self) -> None:
        """Say NOT_SERVING, and end the streams, each with a cursor to come back with. Unary calls are still served."""
        self._health.close()
        self._services.check_logs.end_streams()
        self._services.incidents.end_streams()

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, give those in flight ``grace_s`` seconds to finish, and cancel the rest."""
        self.begin_shutdown()
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self._server.stop(grace_s)
        if self._door is not None:
            self._door.shut()

    def _bind(self) -> int:
        host = f"[{self._host}]" if ":" in self._host else self._host
        address = f"{host}:{self._port}"
        try:
            if self._tls is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials(self._tls))
        except RuntimeError as error:
            raise BindError(
                f"gRPC can't listen on {address}: another process has the port (a second monitord?), or the address "
                "is not this machine's. Set MONITORD_PORT or MONITORD_HOST"
            ) from error

    def _open_door(self) -> None:
        if self._door is None:
            return
        target = self._door.open()
        try:
            self._server.add_insecure_port(target)
        except RuntimeError as error:
            self._door.shut()
            raise BindError(
                f"gRPC can't listen on {target}: point TMPDIR to a short path that can be written"
            ) from error

    async def _keep_health_true(self) -> None:
        while True:
            await asyncio.sleep(_READINESS_POLL_S)
            await self._look()

    async def _look(self) -> None:
        ready = await self._readiness.is_ready()
        if self._health.set(ready):
            _log.info("rpc.health", serving=ready)


SERVICE_NAMES = [
    service.full_name
    for file in (
        monitor_service_pb2,
        check_log_service_pb2,
        maintenance_service_pb2,
        heartbeat_service_pb2,
        contact_service_pb2,
        incident_service_pb2,
        alert_service_pb2,
        auth_service_pb2,
        account_service_pb2,
        organisation_service_pb2,
        audit_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
]
"""Full names of the services of the API."""


def _register(server: grpc.aio.Server, services: Services, health: Health) -> None:
    untyped: Any = server  # the published types know the synchronous server only
    monitor_service_pb2_grpc.add_MonitorServiceServicer_to_server(services.monitors, server)
    check_log_service_pb2_grpc.add_CheckLogServiceServicer_to_server(services.check_logs, server)
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(services.auth, server)
    heartbeat_service_pb2_grpc.add_HeartbeatServiceServicer_to_server(services.heartbeats, server)
    contact_service_pb2_grpc.add_ContactServiceServicer_to_server(services.contacts, server)
    incident_service_pb2_grpc.add_IncidentServiceServicer_to_server(services.incidents, server)
    alert_service_pb2_grpc.add_AlertServiceServicer_to_server(services.alerts, server)
    audit_service_pb2_grpc.add_AuditServiceServicer_to_server(services.audit, server)
    account_service_pb2_grpc.add_AccountServiceServicer_to_server(services.accounts, server)
    organisation_service_pb2_grpc.add_OrganisationServiceServicer_to_server(services.organisations, server)
    maintenance_service_pb2_grpc.add_MaintenanceServiceServicer_to_server(services.maintenance, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, untyped)
    reflected = [*SERVICE_NAMES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(reflected, untyped)
