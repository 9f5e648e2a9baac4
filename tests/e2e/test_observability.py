"""monitord seen from outside: reflection, health, metrics."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from monitord_client import Client, http_monitor
from tests.e2e.target import Target
from tests.e2e.watching import UP, becomes
from tests.support.process import Monitord, run_monitord, until

SERVICES = {"monitord.v1.MonitorService", "monitord.v1.CheckLogService", "monitord.v1.AuthService"}

ALWAYS = {
    "monitord_checks": {"type", "verdict"},
    "monitord_check_duration_seconds": {"type", "le"},
    "monitord_checks_in_flight": set(),
    "monitord_schedule_lag_seconds": {"le"},
    "monitord_monitors": {"status"},
    "monitord_monitors_overdue": set(),
    "monitord_actor_restarts": set(),
    "monitord_spool_rows": set(),
    "monitord_log_batch_seconds": {"le"},
    "monitord_log_rows": set(),
    "monitord_tail_streams": set(),
    "monitord_rpc_seconds": {"method", "code", "le"},
    "monitord_loop_lag_seconds": {"le"},
}
"""Families with samples from the start on, and their labels; the parser drops ``_total``."""
LATER = {"monitord_slots_uncovered", "monitord_outbox_pending", "monitord_outbox_oldest_seconds"}
"""Families whose number is asked for in the database now and then."""
PER_MONITOR = {
    "probe_success": {"monitor_id"},
    "probe_duration_seconds": {"monitor_id"},
    "probe_http_duration_seconds": {"monitor_id", "phase"},
    "probe_http_status_code": {"monitor_id"},
    "monitord_monitor_info": {"monitor_id", "name", "type", "target"},
}


async def test_reflection_lists_the_services_without_a_key(shared: Monitord) -> None:
    async with grpc.aio.insecure_channel(shared.address) as channel:
        untyped: Any = channel  # published without types for the asynchronous one
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(untyped)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="*")]))
        answer = await call.read()
        call.cancel()
    names = {service.name for service in answer.list_services_response.service}
    assert names >= {*SERVICES, "grpc.health.v1.Health"}


@pytest.mark.parametrize("service", ["", *sorted(SERVICES)])
async def test_health_is_served_for_each_service(shared: Monitord, service: str) -> None:
    async with grpc.aio.insecure_channel(shared.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def serving() -> bool:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        await until(serving, "SERVING")


async def test_the_exposition_has_the_names_that_dashboards_know(shared: Monitord, client: Client, up: Target) -> None:
    monitor = await client.create_monitor(http_monitor('odd "name"\\', up.url(), interval=1))
    await becomes(client, monitor.id, UP)
    metrics = await shared.metrics()
    for name, labels in (ALWAYS | PER_MONITOR).items():
        samples = metrics[name].samples
        assert samples, name
        assert {label for sample in samples for label in sample.labels} == labels, name
    assert metrics.keys() >= LATER
    of_monitor = {"monitor_id": str(monitor.id)}
    assert [s.value for s in metrics["probe_success"].samples if s.labels == of_monitor] == [1]
    (info,) = [s.labels for s in metrics["monitord_monitor_info"].samples if s.labels["monitor_id"] == str(monitor.id)]
    assert info["name"] == monitor.name
    assert metrics["monitord_spool_rows"].type == "gauge"
    assert metrics["monitord_actor_restarts"].samples[0].value == 0

    await client.delete_monitor(monitor.id)
    after = await shared.metrics()
    for name in PER_MONITOR:
        left = [s for s in after[name].samples if s.labels["monitor_id"] == str(monitor.id)] if name in after else []
        assert not left, "the series of a deleted monitor go at once"


async def test_the_health_command_says_what_readyz_says(shared: Monitord, tmp_path: Path) -> None:
    settings = {"MONITORD_METRICS_PORT": shared.web.rpartition(":")[2]}
    answer = await run_monitord(tmp_path, "health", settings=settings)
    assert (answer.status, '"ready": true' in answer.stdout) == (0, True)
