"""MonitorService as a client sees it: a real server, a real database, an engine that the test holds."""

import asyncio
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from monitord.domain.queries import MonitorQuery
from monitord.rpc import engine as engine_of_rpc
from monitord.v1 import connection_pb2, http_check_pb2, monitor_pb2
from monitord.v1 import monitor_service_pb2 as pb
from tests.support.rpc_server import NOW, Api, refusal

UUID = "6f1d3a5e-8a1c-4a53-9d5b-0c1a2b3c4d5e"


NO_KIND = (
    "must be set, or another kind of check (http, tcp, tls, icmp, dns, grpc, websocket, heartbeat, postgres, mysql, "
    "redis, group): "
)


def http(**fields: Any) -> http_check_pb2.HttpCheck:
    return http_check_pb2.HttpCheck(**({"url": "https://example.org/"} | fields))


async def update(api: Api, monitor: monitor_pb2.Monitor, *paths: str) -> monitor_pb2.Monitor:
    request = pb.UpdateMonitorRequest(monitor=monitor, update_mask=FieldMask(paths=paths))
    return (await api.monitors.UpdateMonitor(request, metadata=api.ann.metadata)).monitor


async def test_what_is_not_set_gets_the_documented_defaults(api: Api) -> None:
    monitor = await api.create()
    assert monitor.id > 0
    assert monitor.interval == Duration(seconds=60)
    assert monitor.timeout == Duration(seconds=10)
    assert monitor.recheck_interval == Duration(seconds=10)
    assert (monitor.failure_threshold, monitor.success_threshold, monitor.active) == (2, 1, True)
    assert monitor.status == monitor_pb2.MONITOR_STATUS_PENDING
    assert monitor.http == http(
        method="GET",
        accepted_status_codes=["200-399"],
        redirect_policy=http_check_pb2.REDIRECT_POLICY_FOLLOW,
        max_redirects=10,
        tls_verification=connection_pb2.TLS_VERIFICATION_FULL,
        address_family=connection_pb2.ADDRESS_FAMILY_ANY,
        tls_requirement=http_check_pb2.TLS_REQUIREMENT_NONE,
        http_version=http_check_pb2.HTTP_VERSION_HTTP1,
    )
    assert not monitor.HasField("last_check")


async def test_short_intervals_shorten_the_defaults(api: Api) -> None:
    monitor = await api.create(interval=Duration(seconds=7))
    assert (monitor.timeout, monitor.recheck_interval) == (Duration(seconds=7), Duration(seconds=7))


async def test_what_is_created_is_read_back_the_same_but_for_secrets(api: Api) -> None:
    made = await api.create(
        labels={"team": "shop", "a/b": ""},
        interval=Duration(seconds=30),
        timeout=Duration(seconds=1, nanos=500_000_000),
        failure_threshold=10,
        success_threshold=3,
        recheck_interval=Duration(seconds=15),
        active=False,
        http=http(
            method="POST",
            headers=[{"name": "Authorization", "value": "s3cret", "secret": True}, {"name": "Accept", "value": "*/*"}],
            body=b"\0\xff",
            accepted_status_codes=["200-299", "404"],
            keyword="ok",
            keyword_absent=True,
            redirect_policy=http_check_pb2.REDIRECT_POLICY_NONE,
            max_redirects=3,
            expected_latency=Duration(nanos=250_000_000),
            tls_verification=connection_pb2.TLS_VERIFICATION_NONE,
            address_family=connection_pb2.ADDRESS_FAMILY_IPV6,
        ),
    )
    got = (await api.monitors.GetMonitor(pb.GetMonitorRequest(id=made.id), metadata=api.ann.metadata)).monitor
    assert got == made
    assert got.http.headers[0] == connection_pb2.HttpHeader(name="Authorization", secret=True)
    assert got.http.accepted_status_codes == ["200-299", "404"]
    assert got.timeout == Duration(seconds=1, nanos=500_000_000)
    assert got.status == monitor_pb2.MONITOR_STATUS_PAUSED
    stored = await api.store.get(api.ann.principal.org_id, made.id)
    assert stored.monitor.spec.check.headers[0].value == "s3cret"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"interval": Duration(seconds=2)}, "monitor.interval", "must be 5 s to 86400 s (24 h), not 2 s"),
    (
        {"interval": Duration(seconds=60, nanos=1)},
        "monitor.interval",
        "must be a whole number of seconds, not 60 s and 1 ns",
    ),
    (
        {"interval": Duration(seconds=2**62)},
        "monitor.interval",
        "must be a whole number of seconds, not 4611686018427387904 s and 0 ns",
    ),
    (
        {"timeout": Duration(seconds=1, nanos=1)},
        "monitor.timeout",
        "must be a whole number of milliseconds, not 1 s and 1 ns",
    ),
    ({"http": http(url="ftp://example.org/")}, "monitor.http.url", "the scheme must be http or https, not 'ftp'"),
    (
        {"http": http(url="http://169.254.169.254/")},
        "monitor.http.url",
        "it is a metadata service",
    ),
    (
        {"http": http(body=b"x")},
        "monitor.http.body",
        "must be empty with GET; only POST, PUT, PATCH and DELETE may have one",
    ),
    (
        {"http": http(accepted_status_codes=["200-299", "2xx"])},
        "monitor.http.accepted_status_codes[1]",
        "must be a number such as 404 or a range such as 200-299, not '2xx'",
    ),
    (
        {"http": http(redirect_policy=77)},
        "monitor.http.redirect_policy",
        "must be one of REDIRECT_POLICY_FOLLOW, REDIRECT_POLICY_NONE, not 77",
    ),
    (
        {"http": http(expected_latency=Duration())},
        "monitor.http.expected_latency",
        "must be more than 0; leave it out for no expectation",
    ),
    ({"labels": {f"k{i}": "" for i in range(10_000)}}, "monitor.labels", "must be at most 64, not 10000"),
    ({"name": "a\0"}, "monitor.name", "must contain no control characters, line breaks or NUL"),
    (
        {"http": None},
        "monitor.http",
        NO_KIND + "it is what is checked, such as {url: 'https://example.org/'}",
    ),
]


async def test_a_wrong_field_is_named_with_what_would_be_right(api: Api) -> None:
    for fields, path, sentence in WRONG:
        refused = await refusal(api.create(**fields))
        assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert refused.violations == {path: sentence}
        assert path in refused.message


async def test_everything_wrong_is_told_at_once(api: Api) -> None:
    refused = await refusal(api.create(name="", interval=Duration(seconds=-1), failure_threshold=11))
    assert set(refused.violations) == {"monitor.name", "monitor.interval", "monitor.failure_threshold"}


async def test_a_taken_name_is_refused(api: Api) -> None:
    await api.create()
    refused = await refusal(api.create())
    assert (refused.code, refused.reason) == (StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    await api.create(api.bob)  # names are unique for each user, not for all


async def test_the_same_request_id_creates_once_and_answers_the_same(api: Api) -> None:
    """(I14)"""
    request = pb.CreateMonitorRequest(monitor=monitor_pb2.Monitor(name="shop", http=http()), request_id=UUID)
    first, second = [await api.monitors.CreateMonitor(request, metadata=api.ann.metadata) for _ in range(2)]
    assert first == second
    listed = await api.monitors.ListMonitors(pb.ListMonitorsRequest(), metadata=api.ann.metadata)
    assert len(listed.monitors) == 1
    assert len(api.engine.settled) == 1
    request.monitor.name = "other"
    refused = await refusal(api.monitors.CreateMonitor(request, metadata=api.ann.metadata))
    assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    request.request_id = "1"
    refused = await refusal(api.monitors.CreateMonitor(request, metadata=api.ann.metadata))
    assert refused.violations == {"request_id": f"must be a UUID such as {UUID}, or empty"}


async def test_writes_wait_for_the_engine(api: Api) -> None:
    """(I13): the answer comes when the engine acts on what was committed."""
    made = await api.create()
    assert api.engine.settled == [(made.id, 1)]
    api.engine.go_on.clear()
    pausing = asyncio.create_task(_pause(api, made.id))
    await api.engine.is_held_up()
    assert not pausing.done()
    assert not (await api.store.get(api.ann.principal.org_id, made.id)).monitor.spec.active
    api.engine.go_on.set()
    paused = await pausing
    assert paused.status == monitor_pb2.MONITOR_STATUS_PAUSED
    assert api.engine.settled[1] == (made.id, None)


async def _pause(api: Api, monitor_id: int) -> monitor_pb2.Monitor:
    return (await api.monitors.PauseMonitor(pb.PauseMonitorRequest(id=monitor_id), metadata=api.ann.metadata)).monitor


async def test_a_late_engine_does_not_fail_a_change(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_of_rpc, "SETTLE_S", 0.01)
    api.engine.go_on.clear()
    assert (await api.create()).id


async def test_a_deletion_is_not_acknowledged_before_checks_have_ended(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(I13): after Delete returns, no further check starts; when that can't be said, it isn't."""
    monkeypatch.setattr(engine_of_rpc, "STOP_S", 0.01)
    made = await api.create()
    api.engine.go_on.clear()
    refused = await refusal(api.monitors.DeleteMonitor(pb.DeleteMonitorRequest(id=made.id), metadata=api.ann.metadata))
    assert (refused.code, refused.reason) == (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert api.engine.settled[-1] == (made.id, None)


async def test_nobody_depends_on_what_is_anothers(api: Api) -> None:
    """(T9)"""
    own = await api.create()
    theirs = await api.create(api.bob)
    refused = await refusal(api.create(name="child", parent_ids=[own.id, theirs.id]))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND")
    own.parent_ids.append(theirs.id)
    refused = await refusal(update(api, own, "parent_ids"))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND")
    child = await api.create(name="child", parent_ids=[own.id, own.id])
    assert list(child.parent_ids) == [own.id]


async def test_delete_pause_and_resume(api: Api) -> None:
    made = await api.create()
    assert not (await _pause(api, made.id)).active
    resumed = await api.monitors.ResumeMonitor(pb.ResumeMonitorRequest(id=made.id), metadata=api.ann.metadata)
    assert resumed.monitor.active
    assert resumed.monitor.status == monitor_pb2.MONITOR_STATUS_PENDING
    stale = pb.DeleteMonitorRequest(id=made.id, etag=made.etag)
    refused = await refusal(api.monitors.DeleteMonitor(stale, metadata=api.ann.metadata))
    assert (refused.code, refused.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")
    fresh = pb.DeleteMonitorRequest(id=made.id, etag=resumed.monitor.etag)
    await api.monitors.DeleteMonitor(fresh, metadata=api.ann.metadata)
    refused = await refusal(api.monitors.GetMonitor(pb.GetMonitorRequest(id=made.id), metadata=api.ann.metadata))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_a_mask_changes_what_it_names_and_nothing_else(api: Api) -> None:
    made = await api.create(labels={"a": "1"}, http=http(keyword="ok", method="POST"))
    wish = monitor_pb2.Monitor(id=made.id, name="new", labels={"b": "2"}, http=http(url="https://example.net/"))
    changed = await update(api, wish, "http.url", "labels")
    assert (changed.name, dict(changed.labels)) == ("shop", {"b": "2"})
    assert (changed.http.url, changed.http.keyword, changed.http.method) == ("https://example.net/", "ok", "POST")
    assert changed.etag != made.etag
    assert api.engine.settled[-1] == (made.id, 2)


async def test_a_masked_field_that_is_not_set_gets_its_default(api: Api) -> None:
    made = await api.create(interval=Duration(seconds=30), active=False, http=http(keyword="ok"))
    changed = await update(api, monitor_pb2.Monitor(id=made.id), "interval", "active", "http.keyword")
    assert (changed.interval.seconds, changed.active, changed.http.keyword) == (60, True, "")


async def test_without_a_mask_what_is_set_is_changed(api: Api) -> None:
    made = await api.create(http=http(keyword="ok"))
    wish = monitor_pb2.Monitor(id=made.id, failure_threshold=5, etag=made.etag)
    wish.http.method = "POST"
    wish.status = monitor_pb2.MONITOR_STATUS_DOWN
    changed = await update(api, wish)
    assert (changed.failure_threshold, changed.http.method, changed.http.keyword) == (5, "POST", "ok")
    assert changed.http.url == made.http.url
    assert changed.status == made.status


async def test_a_star_replaces_everything_a_user_decides(api: Api) -> None:
    made = await api.create(labels={"a": "1"}, http=http(keyword="ok"))
    changed = await update(api, monitor_pb2.Monitor(id=made.id, name="new", http=http()), "*")
    assert (changed.id, changed.name, dict(changed.labels), changed.http.keyword) == (made.id, "new", {}, "")


OTHER_PATHS = [
    ("id", "'id' is written by the server only; leave it out"),
    ("last_check.message", "'last_check.message' is written by the server only; leave it out"),
    ("etag", "'etag' is written by the server only; leave it out"),
    ("http.color", "'http.color' is no path of a monitor; valid are http or any of http.accepted_status_codes, "),
    ("org_id", "'org_id' is no path of a monitor; valid are *, any of active, dns, failure_threshold, group, grpc, "),
    ("http.url.x", "'http.url.x' is no path of a monitor; valid are http or any of http.accepted_status_codes, "),
    ("", "'' is no path of a monitor; valid are *, any of active, dns, failure_threshold, group, grpc, "),
]


async def test_other_paths_are_refused(api: Api) -> None:
    """(T11)"""
    made = await api.create()
    for path, sentence in OTHER_PATHS:
        refused = await refusal(update(api, monitor_pb2.Monitor(id=made.id, name="new"), "name", path))
        assert refused.code is StatusCode.INVALID_ARGUMENT
        assert refused.violations["update_mask"].startswith(sentence)
    assert (await api.store.get(api.ann.principal.org_id, made.id)).monitor.spec.name == "shop"


async def test_an_old_etag_stops_an_update(api: Api) -> None:
    made = await api.create()
    await update(api, monitor_pb2.Monitor(id=made.id, name="first", etag=made.etag), "name")
    for etag in (made.etag, "nonsense", "v0", "v" + "9" * 30):
        refused = await refusal(update(api, monitor_pb2.Monitor(id=made.id, name="second", etag=etag), "name"))
        assert (refused.code, refused.reason) == (StatusCode.ABORTED, "ETAG_MISMATCH")


async def test_an_update_keeps_a_secret_that_comes_without_its_value(api: Api) -> None:
    secret = {"name": "Authorization", "value": "s3cret", "secret": True}
    made = await api.create(http=http(headers=[secret]))
    wish = monitor_pb2.Monitor(id=made.id)
    wish.http.headers.add(name="authorization", secret=True)
    await update(api, wish, "http.headers")
    stored = await api.store.get(api.ann.principal.org_id, made.id)
    assert stored.monitor.spec.check.headers[0].value == "s3cret"
    wish.http.headers[0].name = "X-Other"
    refused = await refusal(update(api, wish, "http.headers"))
    must_be_given = "must be given: no value of this secret header is stored for this scheme, host and port"
    assert refused.violations == {"monitor.http.headers[0].value": must_be_given}
    elsewhere = monitor_pb2.Monitor(id=made.id)
    elsewhere.http.url = "http://127.0.0.1:81/"
    refused = await refusal(update(api, elsewhere, "http.url"))
    assert refused.violations == {"monitor.http.headers[0].value": must_be_given}


async def test_a_change_of_nothing_changes_nothing(api: Api) -> None:
    made = await api.create()
    assert (await update(api, monitor_pb2.Monitor(id=made.id))).etag == made.etag
    assert (await update(api, monitor_pb2.Monitor(id=made.id, name="shop"), "name")).etag == made.etag


async def pages(api: Api, **conditions: Any) -> list[list[str]]:
    request, found = pb.ListMonitorsRequest(**conditions), []
    while True:
        response = await api.monitors.ListMonitors(request, metadata=api.ann.metadata)
        found.append([monitor.name for monitor in response.monitors])
        if not response.next_page_token:
            return found
        request.page_token = response.next_page_token


async def test_lists_are_filtered_ordered_and_paged(api: Api) -> None:
    for name in ("b", "d", "a", "c"):
        await api.create(name=name, labels={"odd": str(name in "ac")}, active=name != "d")
    await api.create(api.bob, name="of bob")
    assert await pages(api) == [["b", "d", "a", "c"]]
    assert await pages(api, page_size=2) == [["b", "d"], ["a", "c"]]
    assert await pages(api, page_size=3, order=pb.MONITOR_ORDER_NAME_DESC) == [["d", "c", "b"], ["a"]]
    assert await pages(api, page_size=1, order=pb.MONITOR_ORDER_ID_DESC, labels={"odd": "True"}) == [["c"], ["a"]]
    assert await pages(api, active=False) == [["d"]]
    assert await pages(api, names=["a", "of bob"]) == [["a"]]
    assert await pages(api, statuses=[monitor_pb2.MONITOR_STATUS_PAUSED]) == [["d"]]
    assert await pages(api, types=[monitor_pb2.MONITOR_TYPE_HTTP], page_size=4) == [["b", "d", "a", "c"]]
    assert await pages(api, statuses=[monitor_pb2.MONITOR_STATUS_DOWN]) == [[]]


async def test_a_page_token_fits_its_own_query_only(api: Api) -> None:
    for name in ("a", "b"):
        await api.create(name=name)
        await api.create(api.bob, name=name)
    first = await api.monitors.ListMonitors(pb.ListMonitorsRequest(page_size=1), metadata=api.ann.metadata)
    token = first.next_page_token
    for request, user in (
        (pb.ListMonitorsRequest(page_token=token, active=True), api.ann),
        (pb.ListMonitorsRequest(page_token=token, order=pb.MONITOR_ORDER_NAME), api.ann),
        (pb.ListMonitorsRequest(page_token=token[:-2]), api.ann),
        (pb.ListMonitorsRequest(page_token=token), api.bob),
    ):
        refused = await refusal(api.monitors.ListMonitors(request, metadata=user.metadata))
        assert (refused.code, refused.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
        assert list(refused.violations) == ["page_token"]


WRONG_CONDITIONS: list[tuple[dict[str, Any], str]] = [
    ({"page_size": -1}, "page_size"),
    ({"order": 9}, "order"),
    ({"statuses": [3, 99]}, "statuses[1]"),
    ({"types": [0]}, "types[0]"),
    ({"labels": {"a": "\0"}}, "labels"),
    ({"names": ["a", "\0"]}, "names[1]"),
    ({"names": ["a"] * 1001}, "names"),
]


async def test_wrong_conditions_are_named(api: Api) -> None:
    for conditions, field in WRONG_CONDITIONS:
        call = api.monitors.ListMonitors(pb.ListMonitorsRequest(**conditions), metadata=api.ann.metadata)
        refused = await refusal(call)
        assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, [field])


async def test_check_now_returns_the_stored_row_with_its_evidence(api: Api) -> None:
    made = await api.create(active=False)
    response = await api.monitors.CheckNow(pb.CheckNowRequest(id=made.id), metadata=api.ann.metadata)
    assert (response.check_log.monitor_id, response.check_log.response_time_ms) == (made.id, 3.25)
    assert response.check_log.evidence.steps[0].text == "looked up"


async def test_check_now_gives_up_when_nothing_comes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_of_rpc, "ANSWER_SLACK_S", -0.19)
    made = await api.create(timeout=Duration(nanos=100_000_000))
    api.engine.go_on.clear()
    refused = await refusal(api.monitors.CheckNow(pb.CheckNowRequest(id=made.id), metadata=api.ann.metadata))
    assert (refused.code, refused.reason) == (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_a_configuration_is_tried_out_without_being_stored(api: Api) -> None:
    request = pb.TestMonitorRequest(monitor=monitor_pb2.Monitor(timeout=Duration(seconds=3), http=http()))
    log = (await api.monitors.TestMonitor(request, metadata=api.ann.metadata)).check_log
    assert (log.monitor_id, log.sequence, log.status_code, log.response_time_ms) == (0, 0, 200, 12.5)
    assert log.evidence.body_excerpt == "\ufffd\0ok"
    assert api.engine.tested[0][1] == 3.0
    assert await pages(api) == [[]]


async def test_a_trial_of_a_stored_monitor_uses_its_secrets(api: Api) -> None:
    made = await api.create(http=http(headers=[{"name": "X-Key", "value": "s3cret", "secret": True}]))
    wish = monitor_pb2.Monitor(id=made.id, http=http(headers=[{"name": "X-Key", "secret": True}]))
    await api.monitors.TestMonitor(pb.TestMonitorRequest(monitor=wish), metadata=api.ann.metadata)
    assert api.engine.tested[0][0].headers[0].value == "s3cret"
    refused = await refusal(api.monitors.TestMonitor(pb.TestMonitorRequest(monitor=wish), metadata=api.bob.metadata))
    assert refused.code is StatusCode.NOT_FOUND


async def test_trials_at_the_same_time_are_limited(api: Api) -> None:
    """(T17, T18)"""
    api.engine.go_on.clear()
    request = pb.TestMonitorRequest(monitor=monitor_pb2.Monitor(http=http()))
    running = [api.monitors.TestMonitor(request, metadata=api.ann.metadata) for _ in range(4)]
    waits = [asyncio.ensure_future(_result(call)) for call in running]
    await api.engine.is_held_up(4)
    refused = await refusal(api.monitors.TestMonitor(request, metadata=api.ann.metadata))
    assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    api.engine.go_on.set()
    assert len(await asyncio.gather(*waits)) == 4


async def _result(call: Any) -> pb.TestMonitorResponse:
    answer: pb.TestMonitorResponse = await call
    return answer


async def test_metrics_of_a_new_monitor_are_unknown(api: Api) -> None:
    made = await api.create()
    request = pb.GetMonitorMetricsRequest(id=made.id)
    metrics = await api.monitors.GetMonitorMetrics(request, metadata=api.ann.metadata)
    assert metrics.end_time == Timestamp(seconds=NOW // 1_000_000)
    assert metrics.end_time.seconds - metrics.start_time.seconds == 86_400
    assert not metrics.HasField("uptime_percent")
    assert metrics.unknown_duration == Duration(seconds=86_400)
    assert not metrics.response_times.HasField("p99_ms")


WRONG_WINDOWS: list[tuple[dict[str, Timestamp], str]] = [
    ({"start_time": Timestamp(seconds=20), "end_time": Timestamp(seconds=10)}, "start_time"),
    ({"start_time": Timestamp(seconds=2 * NOW // 1_000_000)}, "start_time"),
    ({"start_time": Timestamp(seconds=0)}, "start_time"),
    ({"start_time": Timestamp(seconds=10, nanos=-1)}, "start_time"),
    ({"end_time": Timestamp(seconds=2**60)}, "end_time"),
]


async def test_wrong_windows_are_named(api: Api) -> None:
    made = await api.create()
    for window, field in WRONG_WINDOWS:
        request = pb.GetMonitorMetricsRequest(id=made.id, **window)
        refused = await refusal(api.monitors.GetMonitorMetrics(request, metadata=api.ann.metadata))
        assert (refused.code, list(refused.violations)) == (StatusCode.INVALID_ARGUMENT, [field])


async def apply(api: Api, *monitors: Any, **fields: Any) -> list[tuple[str, int, list[str]]]:
    request = pb.ApplyMonitorsRequest(monitors=monitors, **fields)
    response = await api.monitors.ApplyMonitors(request, metadata=api.ann.metadata)
    return [(one.name, one.action, list(one.changed_fields)) for one in response.results]


async def test_a_set_is_applied_by_name(api: Api) -> None:
    kept, changed = await api.create(name="kept"), await api.create(name="changed")
    gone = await api.create(name="gone")
    wish = [
        {"name": "kept", "http": http()},
        {"name": "new", "http": http()},
        {"name": "changed", "interval": Duration(seconds=30), "http": http(accepted_status_codes=["204"])},
    ]
    expected = [
        ("kept", pb.APPLY_ACTION_UNCHANGED, []),
        ("new", pb.APPLY_ACTION_CREATED, []),
        ("changed", pb.APPLY_ACTION_CHANGED, ["http.accepted_status_codes", "interval"]),
        ("gone", pb.APPLY_ACTION_REMOVED, []),
    ]
    tried = await apply(api, *wish, prune=True, dry_run=True)
    assert [(name, action, sorted(fields)) for name, action, fields in tried] == expected
    assert await pages(api) == [["kept", "changed", "gone"]]
    api.engine.settled.clear()
    done = await apply(api, *wish, prune=True)
    assert [(name, action, sorted(fields)) for name, action, fields in done] == expected
    assert await pages(api) == [["kept", "changed", "new"]]
    new = await api.store.list(api.ann.principal.org_id, MonitorQuery(names=("new",)))
    assert sorted(api.engine.settled, key=lambda one: one[0]) == sorted(
        [(changed.id, 2), (gone.id, None), (new[0].monitor.id, 1)], key=lambda one: one[0]
    )
    assert kept.id not in dict(api.engine.settled)


async def test_a_set_keeps_stored_secrets_and_asks_for_others(api: Api) -> None:
    secret = {"name": "X-Key", "value": "s3cret", "secret": True}
    await api.create(name="old", http=http(headers=[secret]))
    without = http(headers=[{"name": "X-Key", "secret": True}])
    assert await apply(api, {"name": "old", "http": without}) == [("old", pb.APPLY_ACTION_UNCHANGED, [])]
    refused = await refusal(apply(api, {"name": "old", "http": without}, {"name": "new", "http": without}))
    assert list(refused.violations) == ["monitors[1].http.headers[0].value"]


async def test_a_wrong_set_changes_nothing_and_names_each_monitor(api: Api) -> None:
    good = {"name": "a", "http": http()}
    refused = await refusal(apply(api, good, {"name": "b"}, good))
    assert refused.violations == {
        "monitors[1].http": NO_KIND + "it is what is checked, such as {url: 'https://example.org/'}",
        "monitors[2].name": "must be unique within the set; monitors[0] has it too",
    }
    refused = await refusal(apply(api, *[good] * 1001))
    assert refused.violations == {"monitors": "must be at most 1000, not 1001"}
    assert await pages(api) == [[]]


async def test_the_same_request_id_applies_once(api: Api) -> None:
    first = await apply(api, {"name": "a", "http": http()}, request_id=UUID)
    assert await apply(api, {"name": "a", "http": http()}, request_id=UUID) == first
    assert first[0][1] == pb.APPLY_ACTION_CREATED
