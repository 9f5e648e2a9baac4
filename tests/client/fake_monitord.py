"""A strict stand-in for monitord's API: keeps the contract to the letter, and breaks on command."""

# ruff: noqa: N802 - the contract names these methods

import asyncio
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from monitord_client.v1 import auth_service_pb2 as auth
from monitord_client.v1 import check_log_service_pb2 as logs
from monitord_client.v1 import monitor_service_pb2 as monitors
from monitord_client.v1.account_service_pb2_grpc import add_AccountServiceServicer_to_server
from monitord_client.v1.alert_service_pb2_grpc import add_AlertServiceServicer_to_server
from monitord_client.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from monitord_client.v1.auth_pb2 import IDENTITY_PROVIDER_PASSWORD, ApiKey, User
from monitord_client.v1.auth_service_pb2_grpc import AuthServiceServicer, add_AuthServiceServicer_to_server
from monitord_client.v1.check_log_pb2 import CheckLog
from monitord_client.v1.check_log_service_pb2_grpc import (
    CheckLogServiceServicer,
    add_CheckLogServiceServicer_to_server,
)
from monitord_client.v1.connection_pb2 import HttpHeader
from monitord_client.v1.contact_service_pb2 import DeliveryReport
from monitord_client.v1.contact_service_pb2_grpc import add_ContactServiceServicer_to_server
from monitord_client.v1.heartbeat_service_pb2_grpc import add_HeartbeatServiceServicer_to_server
from monitord_client.v1.incident_service_pb2_grpc import add_IncidentServiceServicer_to_server
from monitord_client.v1.maintenance_service_pb2_grpc import add_MaintenanceServiceServicer_to_server
from monitord_client.v1.monitor_pb2 import MONITOR_STATUS_PAUSED, MONITOR_STATUS_PENDING, Monitor, MonitorType
from monitord_client.v1.monitor_service_pb2_grpc import MonitorServiceServicer, add_MonitorServiceServicer_to_server
from monitord_client.v1.organisation_service_pb2_grpc import add_OrganisationServiceServicer_to_server
from tests.client.fake_accounts import PERSONAL, FakeAccounts, FakeAudit
from tests.client.fake_alerting import FakeAlerts, FakeContacts, FakeIncidents
from tests.client.fake_organisations import FakeOrganisations
from tests.client.fake_services import FakeHeartbeats, FakeMaintenance

KEY = "mk_test_0123456789"
Context = Any


@dataclass
class Fault:
    """What goes wrong with the next call of a method."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = "as the test wants it"
    retry_after_s: float | None = None
    violations: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    after_acting: bool = False
    """The server acts, and only then the answer is lost."""


@dataclass
class Plan:
    """How one connection of a tail goes; rows are sent from the place that the client asks for."""

    rows: int | None = None
    """After so many rows, what comes next happens; None: never."""
    ends: int | None = None
    """The reason of a TailEnd."""
    breaks: Fault | None = None
    repeats: int = 0
    """A server that forgets its promise: sends so many rows before the cursor again."""
    skips: int = 0
    """A server that forgets its promise: leaves out so many rows after the first."""
    gap: str = ""
    """Announce a gap before the first row."""
    greets: bool = True
    """Begin with a heartbeat, as the contract says."""


def details_of(fault: Fault) -> tuple[tuple[str, bytes], ...]:
    if not fault.reason:
        return ()
    parts: list[Message] = [
        error_details_pb2.ErrorInfo(reason=fault.reason, domain="monitord", metadata=fault.metadata)
    ]
    if fault.violations:
        bad = error_details_pb2.BadRequest()
        for path, description in fault.violations.items():
            bad.field_violations.add(field=path, description=description)
        parts.append(bad)
    if fault.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(fault.retry_after_s * 1e9))
        parts.append(retry)
    status = status_pb2.Status(code=getattr(code_pb2, fault.code.name), message=fault.message)
    for part in parts:
        packed = any_pb2.Any()
        packed.Pack(part)
        status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)


class FakeMonitord(
    MonitorServiceServicer,
    CheckLogServiceServicer,
    AuthServiceServicer,
    FakeMaintenance,
    FakeHeartbeats,
    FakeContacts,
    FakeIncidents,
    FakeAlerts,
    FakeAccounts,
    FakeOrganisations,
    FakeAudit,
):
    """In-memory monitors, rows, sessions and keys. Unknown or missing proof is refused; request ids count once."""

    def __init__(self) -> None:
        self.monitors: dict[int, Monitor] = {}
        self.windows = {}
        self.words = {}
        self.contacts, self.contact_secrets, self.configs = {}, {}, {}
        self.report = DeliveryReport(accepted=True, code="smtp.250", detail="queued")
        self.incidents, self.timelines, self.scripts, self.watched = {}, {}, [], []
        self.alerts, self.reasons = {}, []
        self.password, self.sessions, self.events = "correct horse", [], []
        self.user = User(
            id=1, email="ada@example.com", full_name="Ada", organisation_id=1, provider=IDENTITY_PROVIDER_PASSWORD
        )
        self.teams, self.team_members, self.invitations = {}, {}, {}
        self.found_team(PERSONAL, personal=True)
        self.acted: list[tuple[str, int]] = []
        """In which organisation each call acted."""
        self.secrets: dict[tuple[int, str], str] = {}
        self.rows: list[CheckLog] = []
        self.calls: list[tuple[str, Any]] = []
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.plans: deque[Plan] = deque()
        self.tails: list[logs.TailCheckLogsRequest] = []
        self.valid_tokens = {KEY}
        self.refreshable: dict[str, str] = {}
        self.used_refresh_tokens: set[str] = set()
        self.keys: dict[str, ApiKey] = {}
        self.verdict = CheckLog()
        self.page_size = 50
        self.held: set[str] = set()
        """Methods that never answer."""
        self.token_life_s = 900.0
        self.changed = asyncio.Condition()
        self._answers: dict[str, tuple[bytes, Any]] = {}
        self._ids = 0
        self._server: grpc.aio.Server | None = None
        self.address = ""

    async def start(self, port: int = 0) -> None:
        self._server = grpc.aio.server()
        add_MonitorServiceServicer_to_server(self, self._server)
        add_CheckLogServiceServicer_to_server(self, self._server)
        add_AuthServiceServicer_to_server(self, self._server)
        add_MaintenanceServiceServicer_to_server(self, self._server)
        add_HeartbeatServiceServicer_to_server(self, self._server)
        add_ContactServiceServicer_to_server(self, self._server)
        add_IncidentServiceServicer_to_server(self, self._server)
        add_AlertServiceServicer_to_server(self, self._server)
        add_AccountServiceServicer_to_server(self, self._server)
        add_OrganisationServiceServicer_to_server(self, self._server)
        add_AuditServiceServicer_to_server(self, self._server)
        bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{bound}"
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    def called(self, method: str) -> list[Any]:
        return [request for name, request in self.calls if name == method]

    async def store(self, *rows: CheckLog) -> None:
        async with self.changed:
            self.rows += rows
            self.changed.notify_all()

    async def until_tails(self, count: int) -> None:
        """Wait until so many tails have been asked for."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.tails) >= count)

    def put(self, monitor: Monitor) -> Monitor:
        self._ids += 1
        stored = Monitor()
        stored.CopyFrom(monitor)
        stored.id = self._ids
        stored.etag = uuid.uuid4().hex
        if not stored.HasField("active"):
            stored.active = True
        if not stored.interval.seconds:
            stored.interval.seconds = 60
        stored.status = MONITOR_STATUS_PENDING
        stored.create_time.GetCurrentTime()
        if stored.HasField("heartbeat"):
            stored.heartbeat.ping_url = f"http://127.0.0.1:9464/ping/{stored.id}-s3cret"
        self._hide_secrets(stored)
        self.monitors[stored.id] = stored
        for contact in self.contacts.values():
            if contact.HasField("default_settings"):
                self.configs[stored.id, contact.id] = contact.default_settings
        return stored

    def _hide_secrets(self, stored: Monitor) -> None:
        self._hide(stored.id, getattr(stored, stored.WhichOneof("kind") or "http"))

    def _hide(self, monitor_id: int, message: Any) -> None:
        for fd, value in message.ListFields():
            if fd.name in ("password", "token", "client_secret", "client_key_pem"):
                self.secrets[monitor_id, fd.name] = value
                message.ClearField(fd.name)
            elif fd.message_type is HttpHeader.DESCRIPTOR:
                for header in value:
                    if header.secret:
                        if header.value:
                            self.secrets[monitor_id, header.name] = header.value
                        header.value = ""
            elif fd.message_type is not None and not fd.is_repeated:
                self._hide(monitor_id, value)

    # What every call goes through

    async def _enter(self, method: str, request: Any, context: Context, *, proof: bool = True) -> Fault | None:
        self.calls.append((method, request))
        if proof:
            sent = dict(context.invocation_metadata()).get("authorization", "")
            if sent.removeprefix("Bearer ") not in self.valid_tokens or not sent.startswith("Bearer "):
                await self._abort(context, Fault(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", "who are you?"))
            await self._take_place(method, context)
        if method in self.held:
            await asyncio.Event().wait()
        fault = self.faults[method].popleft() if self.faults[method] else None
        if fault is not None and not fault.after_acting:
            await self._abort(context, fault)
        return fault

    async def _take_place(self, method: str, context: Context) -> None:
        """Note in which organisation a call acts, and refuse those that the caller is not in."""
        organisation = self.acting(context)
        if organisation not in self.teams:
            message = f"There is no organisation {organisation} that this credential may act in."
            metadata = {"organisation_id": str(organisation)}
            await self._abort(context, Fault(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", message, metadata=metadata))
        self.acted.append((method, organisation))

    @staticmethod
    def acting(context: Context) -> int:
        return int(dict(context.invocation_metadata()).get("x-monitord-organisation", 1))

    async def _leave(self, context: Context, fault: Fault | None) -> None:
        if fault is not None:
            await self._abort(context, fault)

    async def _abort(self, context: Context, fault: Fault) -> None:
        await context.abort(fault.code, fault.message, details_of(fault))

    async def refuse(self, context: Context, code: grpc.StatusCode, reason: str, message: str) -> None:
        await self._abort(context, Fault(code, reason, message))

    async def refuse_field(self, context: Context, path: str, description: str) -> None:
        fault = Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", violations={path: description})
        await self._abort(context, fault)

    async def _once(self, request: Any, context: Context, act: Callable[[], Any]) -> Any:
        """Act at most once per request_id, as I14 says."""
        uuid.UUID(request.request_id)
        body = request.SerializeToString(deterministic=True)
        if request.request_id in self._answers:
            known, answer = self._answers[request.request_id]
            if known != body:
                await self._abort(context, Fault(grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"))
            return answer
        answer = act()
        self._answers[request.request_id] = (body, answer)
        return answer

    async def _monitor(self, monitor_id: int, context: Context) -> Monitor:
        if monitor_id not in self.monitors:
            await self._abort(
                context, Fault(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", f"there is no monitor {monitor_id}")
            )
        return self.monitors[monitor_id]

    async def _page(self, found: list[Any], request: Any, context: Context) -> tuple[list[Any], str]:
        """Return a page and the next token, which is bound to the request's conditions."""
        conditions = type(request)()
        conditions.CopyFrom(request)
        conditions.page_token = ""
        bound = conditions.SerializeToString(deterministic=True).hex()
        offset = 0
        if request.page_token:
            text, _, of = request.page_token.partition(":")
            if of != bound:
                await self._abort(context, Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"))
            offset = int(text)
        size = min(request.page_size or self.page_size, self.page_size)
        more = offset + size < len(found)
        return found[offset : offset + size], f"{offset + size}:{bound}" if more else ""

    # MonitorService

    async def CreateMonitor(self, request: Any, context: Context) -> Any:
        fault = await self._enter("CreateMonitor", request, context)
        answer = await self._once(
            request, context, lambda: monitors.CreateMonitorResponse(monitor=self.put(request.monitor))
        )
        await self._leave(context, fault)
        return answer

    async def GetMonitor(self, request: Any, context: Context) -> Any:
        await self._enter("GetMonitor", request, context)
        return monitors.GetMonitorResponse(monitor=await self._monitor(request.id, context))

    async def ListMonitors(self, request: Any, context: Context) -> Any:
        await self._enter("ListMonitors", request, context)
        found = [
            monitor
            for monitor in self.monitors.values()
            if (not request.names or monitor.name in request.names)
            and (not request.statuses or monitor.status in request.statuses)
            and (not request.types or self._type(monitor) in request.types)
            and (not request.HasField("active") or monitor.active == request.active)
            and all(monitor.labels.get(key) == value for key, value in request.labels.items())
        ]
        if request.order == monitors.MONITOR_ORDER_NAME:
            found.sort(key=lambda monitor: monitor.name)
        page, token = await self._page(found, request, context)
        return monitors.ListMonitorsResponse(monitors=page, next_page_token=token)

    @staticmethod
    def _type(monitor: Monitor) -> int:
        return MonitorType.Value(f"MONITOR_TYPE_{(monitor.WhichOneof('kind') or '').upper()}")

    async def UpdateMonitor(self, request: Any, context: Context) -> Any:
        fault = await self._enter("UpdateMonitor", request, context)
        stored = await self._monitor(request.monitor.id, context)
        if request.monitor.etag and request.monitor.etag != stored.etag:
            await self._abort(context, Fault(grpc.StatusCode.ABORTED, "ETAG_MISMATCH", "it was changed"))
        request.update_mask.MergeMessage(request.monitor, stored, True, True)
        stored.etag = uuid.uuid4().hex
        await self._leave(context, fault)
        return monitors.UpdateMonitorResponse(monitor=stored)

    async def DeleteMonitor(self, request: Any, context: Context) -> Any:
        fault = await self._enter("DeleteMonitor", request, context)
        await self._monitor(request.id, context)
        del self.monitors[request.id]
        await self._leave(context, fault)
        return monitors.DeleteMonitorResponse()

    async def PauseMonitor(self, request: Any, context: Context) -> Any:
        await self._enter("PauseMonitor", request, context)
        stored = await self._monitor(request.id, context)
        stored.active, stored.status = False, MONITOR_STATUS_PAUSED
        return monitors.PauseMonitorResponse(monitor=stored)

    async def ResumeMonitor(self, request: Any, context: Context) -> Any:
        await self._enter("ResumeMonitor", request, context)
        stored = await self._monitor(request.id, context)
        stored.active, stored.status = True, MONITOR_STATUS_PENDING
        return monitors.ResumeMonitorResponse(monitor=stored)

    async def CheckNow(self, request: Any, context: Context) -> Any:
        fault = await self._enter("CheckNow", request, context)
        await self._monitor(request.id, context)
        await self._leave(context, fault)
        return monitors.CheckNowResponse(check_log=self.verdict)

    async def TestMonitor(self, request: Any, context: Context) -> Any:
        await self._enter("TestMonitor", request, context)
        return monitors.TestMonitorResponse(check_log=self.verdict)

    async def GetMonitorMetrics(self, request: Any, context: Context) -> Any:
        await self._enter("GetMonitorMetrics", request, context)
        await self._monitor(request.id, context)
        answer = monitors.GetMonitorMetricsResponse(
            start_time=request.start_time, end_time=request.end_time, uptime_percent=99.9996, check_count=1440
        )
        answer.up_duration.seconds, answer.down_duration.seconds = 86_370, 30
        answer.response_times.p95_ms = 123.4
        return answer

    async def ApplyMonitors(self, request: Any, context: Context) -> Any:
        fault = await self._enter("ApplyMonitors", request, context)
        answer = await self._once(request, context, lambda: self._apply(request))
        await self._leave(context, fault)
        return answer

    def _apply(self, request: Any) -> Any:
        by_name = {monitor.name: monitor for monitor in self.monitors.values()}
        answer = monitors.ApplyMonitorsResponse()
        for wanted in request.monitors:
            stored = by_name.pop(wanted.name, None)
            if stored is None:
                made = None if request.dry_run else self.put(wanted)
                answer.results.add(name=wanted.name, action=monitors.APPLY_ACTION_CREATED, id=made.id if made else 0)
                continue
            changed = sorted(self._differences(wanted, stored))
            action = monitors.APPLY_ACTION_CHANGED if changed else monitors.APPLY_ACTION_UNCHANGED
            answer.results.add(name=wanted.name, action=action, changed_fields=changed, id=stored.id)
            if changed and not request.dry_run:
                kind = wanted.WhichOneof("kind") or "http"
                getattr(stored, kind).CopyFrom(getattr(wanted, kind))
                stored.interval.CopyFrom(wanted.interval)
                self._hide_secrets(stored)
        for stored in by_name.values() if request.prune else ():
            answer.results.add(name=stored.name, action=monitors.APPLY_ACTION_REMOVED, id=stored.id)
            if not request.dry_run:
                del self.monitors[stored.id]
        return answer

    def _differences(self, wanted: Monitor, stored: Monitor) -> set[str]:
        """Compare what a user decides, field by field; an empty secret is the stored one."""
        ours = Monitor()
        ours.CopyFrom(wanted)
        for header in ours.http.headers:
            if header.secret and header.value in ("", self.secrets.get((stored.id, header.name))):
                header.value = ""
        if ours.HasField("heartbeat"):
            ours.heartbeat.ping_url = stored.heartbeat.ping_url
        if not ours.HasField("active"):
            ours.active = True
        return {
            f.name
            for f in Monitor.DESCRIPTOR.fields
            if f.number < 30 and f.name != "id" and getattr(ours, f.name) != getattr(stored, f.name)
        }

    # CheckLogService

    async def ListCheckLogs(self, request: Any, context: Context) -> Any:
        await self._enter("ListCheckLogs", request, context)
        found = [
            row
            for row in reversed(self.rows)
            if row.monitor_id == request.monitor_id and (not request.verdicts or row.verdict in request.verdicts)
        ]
        page, token = await self._page(found, request, context)
        return logs.ListCheckLogsResponse(check_logs=page, next_page_token=token)

    async def GetCheckLog(self, request: Any, context: Context) -> Any:
        await self._enter("GetCheckLog", request, context)
        for row in self.rows:
            if (row.monitor_id, row.sequence) == (request.monitor_id, request.sequence):
                return logs.GetCheckLogResponse(check_log=row)
        await self._abort(context, Fault(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"))
        raise AssertionError

    async def TailCheckLogs(self, request: Any, context: Context) -> AsyncIterator[Any]:
        async with self.changed:
            self.tails.append(request)
            self.changed.notify_all()
        await self._enter("TailCheckLogs", request, context)
        plan = self.plans.popleft() if self.plans else Plan()
        position = self._begin(request)
        if plan.greets:
            yield self._message(position, heartbeat=logs.TailHeartbeat())
        if plan.gap:
            yield self._message(position, gap=logs.TailGap(message=plan.gap))
        position = max(0, position - plan.repeats)
        sent = 0
        while plan.rows is None or sent < plan.rows:
            async with self.changed:
                while position >= len(self.rows):
                    await self.changed.wait()
            row = self.rows[position]
            position += 1
            if request.monitor_ids and row.monitor_id not in request.monitor_ids:
                continue
            yield self._message(position, check_log=row)
            sent += 1
            if sent == 1:
                position += plan.skips
        if plan.breaks is not None:
            await self._abort(context, plan.breaks)
        if plan.ends is not None:
            yield self._message(position, end=logs.TailEnd(reason=plan.ends))  # type: ignore[arg-type]

    def _begin(self, request: Any) -> int:
        match request.WhichOneof("start"):
            case "cursor":
                return int(str(request.cursor).removeprefix("at-"))
            case "last":
                return max(0, len(self.rows) - int(request.last))
            case "start_time":
                return next(
                    (i for i, row in enumerate(self.rows) if row.start_time.seconds >= request.start_time.seconds),
                    len(self.rows),
                )
            case _:
                return len(self.rows)

    @staticmethod
    def _message(position: int, **event: Any) -> Any:
        return logs.TailCheckLogsResponse(cursor=f"at-{position}", **event)

    # AuthService

    def _tokens(self) -> Any:
        access, refresh = f"access-{uuid.uuid4().hex}", f"refresh-{uuid.uuid4().hex}"
        self.valid_tokens.add(access)
        self.refreshable[refresh] = access
        pair = auth.TokenPair(access_token=access, refresh_token=refresh)
        pair.access_token_expire_time.GetCurrentTime()
        pair.access_token_expire_time.seconds += int(self.token_life_s)
        return pair

    async def Login(self, request: Any, context: Context) -> Any:
        fault = await self._enter("Login", request, context, proof=False)
        if (request.email, request.password) != (self.user.email, self.password):
            await self._abort(context, Fault(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", "wrong"))
        await self._leave(context, fault)
        return auth.LoginResponse(tokens=self._tokens(), user=self.user)

    async def Refresh(self, request: Any, context: Context) -> Any:
        await self._enter("Refresh", request, context, proof=False)
        if request.refresh_token not in self.refreshable:
            # A second use ends the whole session.
            self.valid_tokens -= {token for token in self.valid_tokens if token.startswith("access-")}
            self.refreshable.clear()
            await self._abort(context, Fault(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", "session over"))
        self.valid_tokens.discard(self.refreshable.pop(request.refresh_token))
        return auth.RefreshResponse(tokens=self._tokens())

    async def Logout(self, request: Any, context: Context) -> Any:
        await self._enter("Logout", request, context, proof=False)
        self.valid_tokens.discard(self.refreshable.pop(request.refresh_token, ""))
        return auth.LogoutResponse()

    async def GetUser(self, request: Any, context: Context) -> Any:
        await self._enter("GetUser", request, context)
        return auth.GetUserResponse(user=self.user)

    async def CreateApiKey(self, request: Any, context: Context) -> Any:
        fault = await self._enter("CreateApiKey", request, context)

        def make() -> Any:
            key = ApiKey(
                id=f"k{len(self.keys) + 1}",
                display_name=request.display_name,
                scope=request.scope,
                labels=request.labels,
                allowed_networks=request.allowed_networks,
            )
            key.create_time.GetCurrentTime()
            self.keys[key.id] = key
            return auth.CreateApiKeyResponse(api_key=key, secret=f"mk_{key.id}_secret")

        answer = await self._once(request, context, make)
        await self._leave(context, fault)
        return answer

    async def ListApiKeys(self, request: Any, context: Context) -> Any:
        await self._enter("ListApiKeys", request, context)
        page, token = await self._page(list(reversed(self.keys.values())), request, context)
        return auth.ListApiKeysResponse(api_keys=page, next_page_token=token)

    async def RevokeApiKey(self, request: Any, context: Context) -> Any:
        await self._enter("RevokeApiKey", request, context)
        self.keys.pop(request.id, None)
        return auth.RevokeApiKeyResponse()
