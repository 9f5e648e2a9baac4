"""Monitors as YAML: there and back again, and errors that say where and what would be right."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from monitord_client import HttpCheck, HttpHeader, Monitor
from monitord_client.monitorctl.export import manifest_text
from monitord_client.monitorctl.fields import DURATION, OUTPUT_ONLY
from monitord_client.monitorctl.manifest import SERVER_FIELDS, Manifest, ManifestError, Place, Problem, read_manifest
from monitord_client.monitorctl.schemes import KINDS
from monitord_client.v1 import connection_pb2, http_check_pb2
from monitord_client.v1 import monitor_pb2 as pb

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@st.composite
def _durations(draw: st.DrawFn) -> int:
    return draw(st.sampled_from([1, 1_000, 1_000_000, 1_000_000_000])) * draw(st.integers(1, 86_400))


@st.composite
def _monitors(draw: st.DrawFn, name: str) -> Monitor:
    headers = st.builds(HttpHeader, name=_TEXT, value=_TEXT, secret=st.just(False)) | st.builds(
        HttpHeader, name=_TEXT, secret=st.just(True)
    )
    check = HttpCheck(
        url=draw(_TEXT),
        method=draw(st.sampled_from(["", "GET", "POST"])),
        headers=draw(st.lists(headers, max_size=3)),
        body=draw(st.binary(max_size=20) | _TEXT.map(str.encode)),
        accepted_status_codes=draw(st.lists(st.sampled_from(["200", "200-299", "1_000", "0x10", "1:30"]), max_size=3)),
        keyword=draw(_TEXT),
        keyword_absent=draw(st.booleans()),
        redirect_policy=draw(st.sampled_from(http_check_pb2.RedirectPolicy.values())),
        max_redirects=draw(st.integers(0, 2**31 - 1)),
        address_family=draw(st.sampled_from(connection_pb2.AddressFamily.values())),
    )
    monitor = Monitor(name=name, labels=draw(st.dictionaries(_TEXT, _TEXT, max_size=3)), http=check)
    if draw(st.booleans()):
        monitor.http.expected_latency.FromNanoseconds(draw(_durations()))
    if draw(st.booleans()):
        monitor.active = draw(st.booleans())
    monitor.interval.FromNanoseconds(draw(_durations()))
    monitor.failure_threshold = draw(st.integers(0, 10))
    return monitor


def _scalars(fd: FieldDescriptor) -> st.SearchStrategy[Any]:
    if fd.enum_type is not None:
        return st.sampled_from([value.number for value in fd.enum_type.values])
    if fd.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=20) | _TEXT.map(str.encode)
    if fd.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if fd.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _TEXT
    return st.integers(0, 2**31 - 1)


def _fill(draw: st.DrawFn, message: Any) -> None:
    """Set some fields of any message, as its descriptor says; of a oneof one at most."""
    chosen: set[str] = set()
    for fd in message.DESCRIPTOR.fields:
        slot = fd.containing_oneof.name if fd.containing_oneof else fd.name
        if fd.full_name in OUTPUT_ONLY or slot in chosen or not draw(st.booleans()):
            continue
        chosen.add(slot)
        if fd.message_type is not None and fd.message_type.GetOptions().map_entry:
            getattr(message, fd.name).update(draw(st.dictionaries(_TEXT, _TEXT, max_size=2)))
        elif fd.is_repeated and fd.message_type is not None:
            for _ in range(draw(st.integers(0, 2))):
                _fill(draw, getattr(message, fd.name).add())
        elif fd.is_repeated:
            getattr(message, fd.name).extend(draw(st.lists(_scalars(fd), max_size=2)))
        elif fd.message_type is None:
            setattr(message, fd.name, draw(_scalars(fd)))
        elif fd.message_type.full_name == DURATION:
            getattr(message, fd.name).FromNanoseconds(draw(_durations()))
        else:
            getattr(message, fd.name).SetInParent()
            _fill(draw, getattr(message, fd.name))


@st.composite
def _of_any_kind(draw: st.DrawFn) -> Monitor:
    monitor = Monitor(name=draw(_NAMES))
    check = getattr(monitor, draw(st.sampled_from(KINDS)))
    check.SetInParent()
    _fill(draw, check)
    return monitor


@st.composite
def _sets(draw: st.DrawFn) -> list[Monitor]:
    return [draw(_monitors(name)) for name in draw(st.lists(_NAMES, unique=True, max_size=3))]


def _read(text: str) -> Manifest:
    return read_manifest([("m.yaml", text)])


def _complaints(text: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        _read(text)
    return [str(problem) for problem in caught.value.problems]


@given(_sets())
def test_what_is_exported_is_read_back_the_same(monitors: list[Monitor]) -> None:
    assert _read(manifest_text(monitors)).monitors == monitors


@given(_of_any_kind())
def test_checks_of_every_kind_are_exported_and_read_back_the_same(monitor: Monitor) -> None:
    assert _read(manifest_text([monitor])).monitors == [monitor]


@given(_monitors("site"))
def test_the_json_mapping_itself_is_read_the_same(monitor: Monitor) -> None:
    text = yaml.safe_dump({"monitors": [json_format.MessageToDict(monitor)]})
    assert _read(text).monitors == [monitor]


@given(_TEXT)
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    problems: list[Problem] = []
    try:
        _read(text)
    except ManifestError as error:
        problems = error.problems
    assert all(problem.place.line >= 1 and problem.message for problem in problems)


def test_what_the_server_sets_is_left_out_and_skipped() -> None:
    assert {field.name for field in Monitor.DESCRIPTOR.fields} >= SERVER_FIELDS
    stored = Monitor(id=7, name="x", status=pb.MONITOR_STATUS_UP, etag="e", http=HttpCheck(url="http://x/"))
    stored.status_time.seconds = 1
    assert yaml.safe_load(manifest_text([stored])) == {"monitors": [{"name": "x", "http": {"url": "http://x/"}}]}
    as_listed = yaml.safe_dump({"monitors": [json_format.MessageToDict(stored, preserving_proto_field_name=True)]})
    assert _read(as_listed).monitors == [Monitor(name="x", http=HttpCheck(url="http://x/"))]


def test_a_secret_is_exported_without_its_value() -> None:
    text = manifest_text([Monitor(name="x", http=HttpCheck(headers=[HttpHeader(name="Authorization", secret=True)]))])
    assert yaml.safe_load(text)["monitors"][0]["http"]["headers"] == [{"name": "Authorization", "secret": True}]


def test_conveniences() -> None:
    monitor = _read("""
x-site: &site
  interval: 1m
  labels: {team: web, on-call: yes}
monitors:
  - <<: *site
    name: on
    timeout: 1.5s
    recheckInterval: 1m30s
    http:
      url: https://example.com
      accepted_status_codes: 200
      redirect_policy: none
      body_text: "{}"
      expected_latency: 500ms
""").monitors[0]
    assert monitor.name == "on"
    assert dict(monitor.labels) == {"team": "web", "on-call": "yes"}
    assert monitor.interval.ToMilliseconds() == 60_000
    assert monitor.timeout.ToMilliseconds() == 1_500
    assert monitor.recheck_interval.ToMilliseconds() == 90_000
    assert list(monitor.http.accepted_status_codes) == ["200"]
    assert monitor.http.redirect_policy == http_check_pb2.REDIRECT_POLICY_NONE
    assert monitor.http.body == b"{}"
    assert monitor.http.expected_latency.ToMilliseconds() == 500


_SPAN_EXAMPLES = "such as 500ms, 30s, 1m, 1h30m or 7d"


@pytest.mark.parametrize(("lines", "complaint"), [
    ("  - name: x\n    intervall: 1m", "3: monitors[0].intervall: there is no 'intervall' here; did you mean 'inter"),
    ("  - name: x\n    interval: 60", "3: monitors[0].interval: '60' has no unit: write 60s for seconds, or 60m"),
    ("  - name: x\n    interval: soon", f"a length of time: write a number with a unit, {_SPAN_EXAMPLES}"),
    ("  - name: x\n    active: maybe", "3: monitors[0].active: 'maybe' is neither true nor false"),
    ("  - name: x\n    failure_threshold: two", "3: monitors[0].failure_threshold: 'two' is not a whole number"),
    ("  - name: x\n    http: https://x", "3: monitors[0].http: must be a mapping with some of: url, method"),
    ("  - name: x\n    http:\n      redirect_policy: some", "redirect_policy: 'some' is not one of: follow, none"),
    ("  - name: x\n    http:\n      body: hello!", "body: this is not base64; plain text goes into body_text"),
    ("  - name: x\n    http:\n      body: aGk=\n      body_text: hi", "'body' and 'body_text' cannot both be given"),
    ("  - name: x\n    name: y", "3: monitors[0].name: is already given in line 2"),
    ("  - interval: 1m", "2: monitors[0]: a monitor needs a name"),
    ("  - name: x\n  - name: x", "3: monitors[1].name: 'x' is also the name of the monitor at m.yaml:2: names are"),
    ("  - name: [x]", "2: monitors[0].name: must be a single value, not a list"),
])  # fmt: skip
def test_errors_name_the_line_the_path_and_what_would_be_right(lines: str, complaint: str) -> None:
    (told,) = _complaints(f"monitors:\n{lines}\n")
    assert told.startswith("m.yaml:")
    assert complaint in told


def test_every_problem_is_told_at_once_and_in_every_file() -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifest([("a.yaml", "monitor: []"), ("b.yaml", "monitors:\n  - nam: x\n    intervl: 1m\n")])
    assert [str(problem.place) for problem in caught.value.problems[:3]] == ["a.yaml:1", "b.yaml:2", "b.yaml:3"]


@pytest.mark.parametrize("text", ["monitors: [", "\x00", "- 1", "a: &a [*a]\nmonitors: *a", "monitors: {}", "[" * 5000])
def test_broken_files_are_refused(text: str) -> None:
    assert _complaints(text)


def test_aliases_cannot_make_a_file_explode() -> None:
    lines = ["x-0: &a0 {k: v}"]
    lines += [f"x-{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    assert any("too large" in line for line in _complaints("\n".join([*lines, "monitors: [*a11]"])))


def test_what_the_server_complains_of_has_a_line() -> None:
    manifest = _read("monitors:\n  - name: x\n    http:\n      url: ftp://x\n      headers:\n        - name: A\n")
    assert manifest.place_of("monitors[0].http.url") == Place("m.yaml", 4)
    assert manifest.place_of("monitors[0].http.headers[0].value") == Place("m.yaml", 6)
    assert manifest.place_of("monitors[0].timeout") == Place("m.yaml", 2)
    assert manifest.place_of("request_id") is None


def test_the_examples_can_be_read() -> None:
    files = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
    assert files
    for file in files:
        assert read_manifest([(file.name, file.read_text())], {"SLACK_WEBHOOK_URL": "https://x.example/"}).monitors
