"""What a call does when it fails: typed errors, and retries of exactly what is safe to retry."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from monitord_client import (
    AlreadyExistsError,
    Client,
    DeadlineExceededError,
    EtagMismatchError,
    InsecureChannelError,
    InternalError,
    InvalidArgumentError,
    Monitor,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    Scope,
    UnauthenticatedError,
    UnavailableError,
    Violation,
    http_monitor,
)
from monitord_client.backoff import Backoff
from tests.client.fake_monitord import FakeMonitord, Fault

_LOST = grpc.StatusCode.UNAVAILABLE


def _site(name: str = "site") -> Monitor:
    return http_monitor(name, "http://127.0.0.1/", interval=timedelta(seconds=30))


async def test_create_get_update_delete(server: FakeMonitord, client: Client) -> None:
    made = await client.create_monitor(_site())
    assert (await client.get_monitor(made.id)).http.url == "http://127.0.0.1/"
    made.name = "renamed"
    changed = await client.update_monitor(made, fields=["name"])
    assert changed.name == "renamed"
    assert (await client.pause_monitor(made.id)).active is False
    assert (await client.resume_monitor(made.id)).active is True
    await client.delete_monitor(made.id)
    with pytest.raises(NotFoundError) as caught:
        await client.get_monitor(made.id)
    assert caught.value.reason == "NOT_FOUND"


async def test_a_created_monitor_whose_answer_was_lost_is_created_once(server: FakeMonitord, client: Client) -> None:
    server.faults["CreateMonitor"].append(Fault(_LOST, after_acting=True))
    made = await client.create_monitor(_site())
    assert [made.id] == list(server.monitors)
    first, second = server.called("CreateMonitor")
    assert first.request_id == second.request_id


async def test_a_key_and_an_applied_set_are_made_once_too(server: FakeMonitord, client: Client) -> None:
    server.faults["CreateApiKey"].append(Fault(_LOST, after_acting=True))
    server.faults["ApplyMonitors"].append(Fault(_LOST, after_acting=True))
    made = await client.create_api_key("ci", Scope.SCOPE_READ)
    await client.apply_monitors([_site()])
    assert list(server.keys) == [made.api_key.id]
    assert len(server.monitors) == 1


async def test_a_deletion_whose_answer_was_lost_is_done(server: FakeMonitord, client: Client) -> None:
    made = await client.create_monitor(_site())
    server.faults["DeleteMonitor"].append(Fault(_LOST, after_acting=True))
    await client.delete_monitor(made.id)
    assert not server.monitors
    with pytest.raises(NotFoundError):
        await client.delete_monitor(made.id)


async def test_reads_are_retried_but_not_for_ever(server: FakeMonitord, client: Client) -> None:
    made = await client.create_monitor(_site())
    server.faults["GetMonitor"].extend([Fault(_LOST)] * 3)
    assert await client.get_monitor(made.id) == server.monitors[made.id]
    server.faults["GetMonitor"].extend([Fault(_LOST)] * 4)
    with pytest.raises(UnavailableError) as caught:
        await client.get_monitor(made.id)
    assert caught.value.attempts == 4


@pytest.mark.parametrize("method", ["CheckNow", "TestMonitor", "UpdateMonitor", "Login"])
async def test_what_is_not_safe_to_repeat_is_sent_once(server: FakeMonitord, client: Client, method: str) -> None:
    made = await client.create_monitor(_site())
    server.faults[method].append(Fault(_LOST))
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "CheckNow": lambda: client.check_now(made.id),
        "TestMonitor": lambda: client.test_monitor(made),
        "UpdateMonitor": lambda: client.update_monitor(made),  # with an etag
        "Login": lambda: client.login("ada@example.com", "correct horse"),
    }
    with pytest.raises(UnavailableError):
        await calls[method]()
    assert len(server.called(method)) == 1


async def test_a_time_to_come_back_is_kept_and_must_fit_the_deadline(server: FakeMonitord, client: Client) -> None:
    made = await client.create_monitor(_site())
    limit = grpc.StatusCode.RESOURCE_EXHAUSTED
    server.faults["CheckNow"].append(Fault(limit, "LIMIT_REACHED", retry_after_s=0.05))
    begun = asyncio.get_running_loop().time()
    await client.check_now(made.id)
    assert asyncio.get_running_loop().time() - begun >= 0.05
    server.faults["CheckNow"].append(Fault(limit, "LIMIT_REACHED", retry_after_s=60.0))
    with pytest.raises(ResourceExhaustedError) as caught:
        await client.check_now(made.id, timeout_s=1.0)
    assert caught.value.retry_after_s == 60.0
    server.faults["GetMonitor"].append(Fault(limit, "LIMIT_REACHED"))
    with pytest.raises(ResourceExhaustedError) as caught:
        await client.get_monitor(made.id)
    assert (caught.value.attempts, caught.value.retry_after_s) == (1, None)


async def test_errors_are_typed_and_tell_what_the_server_told(server: FakeMonitord, client: Client) -> None:
    wrong = {"monitor.interval": "must be at least 5 s", "monitor.http.url": "must be absolute"}
    server.faults["CreateMonitor"].append(
        Fault(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "two fields are wrong", violations=wrong)
    )
    with pytest.raises(InvalidArgumentError, match="two fields are wrong") as caught:
        await client.create_monitor(_site())
    assert caught.value.violations == tuple(Violation(path, text) for path, text in wrong.items())
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT

    for code, reason, kind in (
        (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS", AlreadyExistsError),
        (grpc.StatusCode.ABORTED, "ETAG_MISMATCH", EtagMismatchError),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", PermissionDeniedError),
        (grpc.StatusCode.INTERNAL, "INTERNAL", InternalError),
    ):
        server.faults["GetUser"].append(Fault(code, reason, metadata={"error_id": "e1"}))
        with pytest.raises(kind) as error:
            await client.get_user()
        assert error.value.reason == reason
        assert error.value.metadata["error_id"] == "e1"


async def test_an_error_without_details_is_typed_by_its_code(server: FakeMonitord, client: Client) -> None:
    server.faults["GetUser"].append(Fault(grpc.StatusCode.INTERNAL))
    with pytest.raises(InternalError) as caught:
        await client.get_user()
    assert (caught.value.reason, caught.value.error_id) == ("", "")


async def test_a_wrong_key_is_refused_at_once(server: FakeMonitord) -> None:
    async with Client(server.address, api_key="mk_wrong") as client:
        with pytest.raises(UnauthenticatedError):
            await client.get_user()
    assert len(server.called("GetUser")) == 1


async def test_a_dead_address_is_unavailable_within_the_deadline(server: FakeMonitord) -> None:
    await server.stop()
    async with Client(server.address, api_key="k", timeout_s=5.0) as client:
        client._calls.backoff = Backoff(first_s=0.001, limit_s=0.002)
        with pytest.raises(UnavailableError):
            await client.get_user()


async def test_the_deadline_spans_all_attempts(server: FakeMonitord, client: Client) -> None:
    client._calls.backoff = Backoff(first_s=10.0, limit_s=10.0, random=lambda: 1.0)
    server.faults["GetUser"].append(Fault(_LOST))
    async with asyncio.timeout(5):
        with pytest.raises(UnavailableError):
            await client.get_user(timeout_s=1.0)
    server.held.add("GetUser")
    for timeout_s in (0.0, 0.05):
        with pytest.raises(DeadlineExceededError):
            await client.get_user(timeout_s=timeout_s)


async def test_lists_run_over_all_pages(server: FakeMonitord, client: Client) -> None:
    server.page_size = 3
    for number in range(8):
        server.put(_site(f"site-{number}"))
    names = [monitor.name async for monitor in client.list_monitors()]
    assert names == [f"site-{number}" for number in range(8)]
    assert len(server.called("ListMonitors")) == 3
    assert [m.name async for m in client.list_monitors(names=["site-5"])] == ["site-5"]


async def test_metrics_take_moments_with_a_zone_alone(server: FakeMonitord, client: Client) -> None:
    made = server.put(_site())
    end = datetime(2026, 1, 2, tzinfo=UTC)
    stats = await client.get_monitor_metrics(made.id, start=end - timedelta(days=1), end=end)
    assert stats.start_time.ToDatetime(tzinfo=UTC) == end - timedelta(days=1)
    with pytest.raises(ValueError, match="no time zone"):
        await client.get_monitor_metrics(made.id, end=datetime(2026, 1, 2))


@pytest.mark.parametrize("address", ["192.0.2.7:50051", "monitord.example", "[2001:db8::1]:1", "http://example.com"])
def test_keys_do_not_travel_in_plain_text_to_another_machine(address: str) -> None:
    with pytest.raises(InsecureChannelError):
        Client(address, api_key="mk_secret")


def test_backoff_has_full_jitter_below_a_growing_ceiling() -> None:
    ceiling = Backoff(first_s=0.1, limit_s=1.0, random=lambda: 1.0)
    assert [ceiling.wait_s(n) for n in range(1, 7)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert Backoff(random=lambda: 0.0).wait_s(5) == 0.0
    assert Backoff(first_s=0.1, random=lambda: 0.5).wait_s(1, at_least_s=3.0) == pytest.approx(3.05)
    assert ceiling.wait_s(10_000) == 1.0
