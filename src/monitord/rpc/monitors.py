"""MonitorService: from messages to the store and the engine, and back. Handlers convert, call, convert."""

# ruff: noqa: N802 (the generated base class names the methods)

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import grpc
import msgspec

from monitord.domain.check import CheckResult, Trigger
from monitord.domain.errors import FailedPreconditionError, PermissionDeniedError
from monitord.domain.health import Status
from monitord.domain.instant import Instant
from monitord.domain.log import entry_of_result
from monitord.domain.monitor import MonitorSpec
from monitord.domain.organisation import Role
from monitord.domain.queries import Applied, ApplyAction, MonitorMetrics, MonitorQuery, MonitorView
from monitord.domain.secrets import lacks_secrets
from monitord.identity.principal import Principal, Scope
from monitord.rpc import context as call
from monitord.rpc.convert_log import check_log_pb
from monitord.rpc.convert_metrics import metrics_pb, window_of
from monitord.rpc.convert_monitor import mask_path, monitor_pb, version_of
from monitord.rpc.convert_query import monitors_token, read_monitor_query
from monitord.rpc.engine import Engine, Trial
from monitord.rpc.field_mask import paths_of
from monitord.rpc.limits import CallLimit
from monitord.rpc.paging import fill
from monitord.rpc.reach import require_reach
from monitord.rpc.requests import RequestLedger, require_id, require_request_id
from monitord.rpc.specs import SpecReader
from monitord.v1 import monitor_pb2, monitor_service_pb2_grpc
from monitord.v1 import monitor_service_pb2 as pb

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class MonitorStore(Protocol):
    """Where monitors are stored. The organisation comes first everywhere (T9); another's monitor is NotFoundError."""

    async def create(self, org_id: int, spec: MonitorSpec, *, tx: Any = None) -> MonitorView:
        """Store a monitor; raise AlreadyExistsError when the name is taken."""
        ...

    async def get(self, org_id: int, monitor_id: int) -> MonitorView:
        """Return a monitor."""
        ...

    async def list(self, org_id: int, query: MonitorQuery) -> Sequence[MonitorView]:
        """Return at most ``query.limit`` monitors."""
        ...

    async def update(
        self,
        org_id: int,
        monitor_id: int,
        edit: Callable[[MonitorSpec], MonitorSpec],
        *,
        expected_version: int | None = None,
    ) -> MonitorView:
        """Change a monitor; raise EtagMismatchError when it has another version than expected."""
        ...

    async def set_active(self, org_id: int, monitor_id: int, active: bool) -> MonitorView:
        """Pause or resume a monitor."""
        ...

    async def delete(self, org_id: int, monitor_id: int, *, expected_version: int | None = None) -> None:
        """Delete a monitor; raise EtagMismatchError when it has another version than expected."""
        ...

    async def apply(
        self, org_id: int, specs: Sequence[MonitorSpec], *, prune: bool, dry_run: bool, tx: Any = None
    ) -> Sequence[Applied]:
        """Make the stored set equal to ``specs``; tell what was done with each, in order, then with removed ones."""
        ...


class MetricsSource(Protocol):
    """Where figures come from."""

    async def metrics(self, org_id: int, monitor_id: int, start: Instant, end: Instant) -> MonitorMetrics:
        """Return the figures of a monitor over [start, end)."""
        ...


class MonitorService(monitor_service_pb2_grpc.MonitorServiceServicer):
    """Serves MonitorService. Whose monitors are meant comes from the call's context alone (T10)."""

    def __init__(
        self,
        *,
        store: MonitorStore,
        metrics: MetricsSource,
        requests: RequestLedger,
        engine: Engine,
        specs: SpecReader,
        ping_url: Callable[[int, int], str],
        now: Callable[[], Instant],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._requests = requests
        self._engine = engine
        self._specs = specs
        self._ping_url = ping_url
        self._now = now
        self._tests = CallLimit("tests", per_caller=4, in_all=32)

    async def CreateMonitor(self, request: pb.CreateMonitorRequest, context: Context) -> pb.CreateMonitorResponse:
        """Store a monitor and see to it that it is checked."""
        org_id = call.principal().org_id
        request_id = require_request_id(request.request_id)
        spec = self._specs.new(request.monitor)
        require_reach(call.principal(), spec)
        created: list[MonitorView] = []

        async def create(tx: Any = None) -> pb.CreateMonitorResponse:
            created.append(await self._store.create(org_id, spec, tx=tx))
            return pb.CreateMonitorResponse(monitor=monitor_pb(created[-1]))

        async def create_in(tx: Any) -> bytes:
            return (await create(tx)).SerializeToString()

        if request_id:
            asked = request.SerializeToString(deterministic=True)
            answer = await self._requests.once(org_id, "CreateMonitor", request_id, asked, create_in)
            response = pb.CreateMonitorResponse.FromString(answer)
        else:
            response = await create()
        await self._engine.acts_on([_aim(view) for view in created])
        self._add_ping_url(response.monitor)
        return response

    async def GetMonitor(self, request: pb.GetMonitorRequest, context: Context) -> pb.GetMonitorResponse:
        """Return a monitor."""
        view = await self._store.get(call.principal().org_id, require_id(request.id))
        return pb.GetMonitorResponse(monitor=self._monitor_pb(view))

    async def ListMonitors(self, request: pb.ListMonitorsRequest, context: Context) -> pb.ListMonitorsResponse:
        """Return a page of monitors."""
        org_id = call.principal().org_id
        query, page = read_monitor_query(request, org_id)
        query = _within_reach(query, call.principal())
        views = await self._store.list(org_id, query)
        messages = fill(views, page.size, self._monitor_pb)
        token = monitors_token(page, query.order, views, len(messages))
        return pb.ListMonitorsResponse(monitors=messages, next_page_token=token)

    async def UpdateMonitor(self, request: pb.UpdateMonitorRequest, context: Context) -> pb.UpdateMonitorResponse:
        """Change a monitor, and see to it that checks follow."""
        monitor_id = require_id(request.monitor.id, "monitor.id")
        paths = paths_of(request.monitor, request.update_mask.paths)
        principal = call.principal()

        def edit(stored: MonitorSpec) -> MonitorSpec:
            edited = self._specs.edited(request.monitor, paths, stored)
            require_reach(principal, edited)
            return edited

        view = await self._store.update(
            principal.org_id,
            monitor_id,
            edit,
            expected_version=version_of(request.monitor.etag),
        )
        await self._engine.acts_on([_aim(view)])
        return pb.UpdateMonitorResponse(monitor=self._monitor_pb(view))

    async def DeleteMonitor(self, request: pb.DeleteMonitorRequest, context: Context) -> pb.DeleteMonitorResponse:
        """Delete a monitor, and wait until no check of it can start any more (I13)."""
        monitor_id = require_id(request.id)
        await self._store.delete(call.principal().org_id, monitor_id, expected_version=version_of(request.etag))
        await self._engine.let_go(monitor_id)
        return pb.DeleteMonitorResponse()

    async def PauseMonitor(self, request: pb.PauseMonitorRequest, context: Context) -> pb.PauseMonitorResponse:
        """Stop the checks of a monitor."""
        return pb.PauseMonitorResponse(monitor=self._monitor_pb(await self._set_active(request.id, False)))

    async def ResumeMonitor(self, request: pb.ResumeMonitorRequest, context: Context) -> pb.ResumeMonitorResponse:
        """Check a monitor again."""
        return pb.ResumeMonitorResponse(monitor=self._monitor_pb(await self._set_active(request.id, True)))

    async def CheckNow(self, request: pb.CheckNowRequest, context: Context) -> pb.CheckNowResponse:
        """Check a monitor at once and return the stored row."""
        view = await self._store.get(call.principal().org_id, require_id(request.id))
        if view.health.status is Status.FAULTED:
            raise FailedPreconditionError("the monitor is FAULTED, by a fault of monitord's own; resume it first")
        entry = await self._engine.check_now(view.monitor)
        return pb.CheckNowResponse(check_log=check_log_pb(entry, with_evidence=True))

    async def TestMonitor(self, request: pb.TestMonitorRequest, context: Context) -> pb.TestMonitorResponse:
        """Check a configuration once, and explain."""
        principal = call.principal()
        stored = None
        if request.monitor.id:
            view = await self._store.get(principal.org_id, require_id(request.monitor.id, "monitor.id"))
            stored = view.monitor.spec
        spec = self._specs.trial(request.monitor, stored)
        with self._tests.hold(principal.user_id):
            trial = await self._engine.test(spec.check, spec.timeout_ms)
        entry = entry_of_result(_result(trial), seq=0, shard=0, position=0, counted=False)
        return pb.TestMonitorResponse(check_log=check_log_pb(entry, with_evidence=True))

    async def GetMonitorMetrics(
        self, request: pb.GetMonitorMetricsRequest, context: Context
    ) -> pb.GetMonitorMetricsResponse:
        """Return the figures of a monitor over a window."""
        monitor_id = require_id(request.id)
        start, end = window_of(request, self._now())
        return metrics_pb(await self._metrics.metrics(call.principal().org_id, monitor_id, start, end))

    async def ApplyMonitors(self, request: pb.ApplyMonitorsRequest, context: Context) -> pb.ApplyMonitorsResponse:
        """Make the stored set equal to the one that is given."""
        org_id = call.principal().org_id
        request_id = require_request_id(request.request_id)
        specs = await self._with_stored_secrets(org_id, self._specs.whole_set(request.monitors))
        done: list[Applied] = []

        async def apply(tx: Any = None) -> pb.ApplyMonitorsResponse:
            done[:] = await self._store.apply(org_id, specs, prune=request.prune, dry_run=request.dry_run, tx=tx)
            return pb.ApplyMonitorsResponse(results=[_applied_pb(one) for one in done])

        async def apply_in(tx: Any) -> bytes:
            return (await apply(tx)).SerializeToString()

        if not request_id or request.dry_run:
            response = await apply()
        else:
            asked = request.SerializeToString(deterministic=True)
            answer = await self._requests.once(org_id, "ApplyMonitors", request_id, asked, apply_in)
            response = pb.ApplyMonitorsResponse.FromString(answer)
        if not request.dry_run:
            await self._engine.acts_on(_aims(done, specs))
        return response

    async def _with_stored_secrets(self, org_id: int, specs: list[MonitorSpec]) -> list[MonitorSpec]:
        names = tuple(spec.name for spec in specs if lacks_secrets(spec.check))
        if not names:
            return specs
        stored = await self._store.list(org_id, MonitorQuery(limit=len(names), names=names))
        return self._specs.with_secrets(specs, {view.monitor.spec.name: view.monitor.spec for view in stored})

    def _monitor_pb(self, view: MonitorView) -> monitor_pb2.Monitor:
        message = monitor_pb(view)
        self._add_ping_url(message)
        return message

    def _add_ping_url(self, message: monitor_pb2.Monitor) -> None:
        """Add the URL of a heartbeat's job, for those who may change the monitor; it is stored nowhere (T15)."""
        principal = call.principal()
        may_change = principal.scope >= Scope.WRITE and principal.role >= Role.EDITOR
        if message.WhichOneof("kind") == "heartbeat" and may_change:
            message.heartbeat.ping_url = self._ping_url(message.id, message.heartbeat.ping_url_version)

    async def _set_active(self, monitor_id: int, active: bool) -> MonitorView:
        view = await self._store.set_active(call.principal().org_id, require_id(monitor_id), active)
        await self._engine.acts_on([_aim(view)])
        return view


def _within_reach(query: MonitorQuery, principal: Principal) -> MonitorQuery:
    """Ask for no more than a key that is for some monitors may see."""
    if not principal.labels:
        return query
    if any(query.labels.get(key, value) != value for key, value in principal.labels.items()):
        raise PermissionDeniedError("this key is for monitors with other labels than those that are asked for")
    return msgspec.structs.replace(query, labels={**query.labels, **principal.labels})


def _aim(view: MonitorView) -> tuple[int, int | None]:
    """Return what the engine has to act on: a version, or None where the monitor is not to be checked."""
    monitor = view.monitor
    return monitor.id, monitor.version if monitor.spec.active else None


def _aims(done: Sequence[Applied], specs: Sequence[MonitorSpec]) -> list[tuple[int, int | None]]:
    active = {spec.name for spec in specs if spec.active}
    return [
        (one.id, one.version if one.name in active else None) for one in done if one.action is not ApplyAction.UNCHANGED
    ]


def _applied_pb(one: Applied) -> pb.AppliedMonitor:
    return pb.AppliedMonitor(
        name=one.name,
        action=one.action,  # type: ignore[arg-type]  # the same numbers; a test holds them together
        changed_fields=[mask_path(field) for field in one.changed_fields],
        id=one.id,
    )


def _result(trial: Trial) -> CheckResult:
    return CheckResult(
        monitor_id=0,
        org_id=0,
        monitor_version=0,
        trigger=Trigger.MANUAL,
        scheduled_at=trial.started_at,
        started_at=trial.started_at,
        duration_ms=trial.duration_ms,
        observation=trial.observation,
    )
