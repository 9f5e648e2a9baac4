"""Update masks after AIP-134: which fields of a stored monitor a request replaces."""

from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.message import Message

from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.rules.wording import quoted
from monitord.v1 import monitor_pb2 as pb

_KINDS = (
    "http",
    "tcp",
    "tls",
    "icmp",
    "dns",
    "grpc",
    "websocket",
    "heartbeat",
    "postgres",
    "mysql",
    "redis",
    "group",
)
WRITABLE = (
    "name",
    "labels",
    "interval",
    "timeout",
    "failure_threshold",
    "success_threshold",
    "recheck_interval",
    "active",
    "parent_ids",
    *_KINDS,
)
"""Fields of a monitor that a user decides: an explicit list, so that no new field becomes writable by itself (T11)."""

_TLS = ("tls_verification", "tls")
_SERVICE = ("host", "port", "address_family", "resolver", "expected_latency")
_SECURE = (*_SERVICE, "security", *_TLS, "min_certificate_days")
_DATABASE = (*_SECURE, "user", "password", "database")

WRITABLE_WITHIN = {
    "http": (
        "url",
        "method",
        "headers",
        "body",
        "accepted_status_codes",
        "keyword",
        "keyword_absent",
        "redirect_policy",
        "max_redirects",
        "expected_latency",
        "address_family",
        *_TLS,
        "tls_requirement",
        "resolver",
        "auth",
        "header_assertions",
        "body_regex",
        "body_regex_absent",
        "json_assertions",
        "min_body_bytes",
        "max_body_bytes",
        "min_certificate_days",
        "http_version",
    ),
    "tcp": (*_SECURE, "send", "expect"),
    "tls": (*_SECURE, "names", "min_version", "fingerprints_sha256"),
    "icmp": (
        "host",
        "address_family",
        "resolver",
        "expected_latency",
        "count",
        "packet_interval",
        "payload_bytes",
        "max_loss_percent",
        "degraded_loss_percent",
    ),
    "dns": (
        "name",
        "record_type",
        "server",
        "transport",
        "address_family",
        "expected_latency",
        "expected_answers",
        "match",
        "accepted_rcodes",
        "require_authenticated_data",
        "no_recursion",
        *_TLS,
    ),
    "grpc": (*_SECURE, "service", "metadata"),
    "websocket": (
        "url",
        "headers",
        "subprotocols",
        "send",
        "expect",
        "expected_latency",
        *_TLS,
        "min_certificate_days",
        "address_family",
        "resolver",
    ),
    "heartbeat": ("period", "cron", "grace", "ping_url_version"),
    "postgres": (*_DATABASE, "query", "expect"),
    "mysql": (*_DATABASE, "query", "expect"),
    "redis": (*_DATABASE, "command", "expect"),
    "group": ("monitor_ids", "labels", "min_up"),
}
"""The same for the fields within each kind."""
OUTPUT_ONLY_WITHIN = {"heartbeat": frozenset({"ping_url"})}
OUTPUT_ONLY = frozenset({"id", "status", "status_time", "last_check", "create_time", "update_time", "etag"})

_PATHS = frozenset(WRITABLE) | {f"{kind}.{field}" for kind, fields in WRITABLE_WITHIN.items() for field in fields}
_FIELD = "update_mask"
_MAX_PATHS = 100


def paths_of(request: pb.Monitor, mask: Iterable[str]) -> list[str]:
    """Return which paths an update replaces: those of the mask, all for ``*``, without a mask those that are set.

    Raises InvalidArgumentError for a path that can't be written.
    """
    asked = list(mask)
    if not asked:
        return list(_populated(request))
    if len(asked) > _MAX_PATHS:
        raise InvalidArgumentError([Violation(_FIELD, f"must have at most {_MAX_PATHS} paths, not {len(asked)}")])
    wrong = [path for path in asked if path not in _PATHS and path != "*"]
    if wrong:
        raise InvalidArgumentError([Violation(_FIELD, _why_not(path)) for path in wrong])
    return list(WRITABLE) if "*" in asked else asked


def merge(stored: pb.Monitor, request: pb.Monitor, paths: Iterable[str]) -> None:
    """Replace the fields of ``stored`` that ``paths`` name by those of ``request``; unset ones become unset."""
    for path in paths:
        kind, _, field = path.partition(".")
        if field:
            replace_field(getattr(stored, kind), getattr(request, kind), field)
        else:
            replace_field(stored, request, kind)


def _populated(request: pb.Monitor) -> Iterator[str]:
    for descriptor, value in request.ListFields():
        if descriptor.name in WRITABLE_WITHIN:
            yield from (
                path for inner, _ in value.ListFields() if (path := f"{descriptor.name}.{inner.name}") in _PATHS
            )
        elif descriptor.name in WRITABLE:
            yield descriptor.name


def replace_field(target: Message, source: Message, field: str) -> None:
    """Give a field of ``target`` the value that it has in ``source``; if it has none, take it away."""
    target.ClearField(field)
    descriptor = target.DESCRIPTOR.fields_by_name[field]
    if descriptor.is_repeated:
        getattr(target, field).MergeFrom(getattr(source, field))
    elif descriptor.has_presence and not source.HasField(field):
        return
    elif descriptor.message_type is not None:
        getattr(target, field).CopyFrom(getattr(source, field))
    else:
        setattr(target, field, getattr(source, field))


def _why_not(path: str) -> str:
    if path.partition(".")[0] in OUTPUT_ONLY:
        return f"{quoted(path)} is written by the server only; leave it out"
    kind = path.partition(".")[0]
    if "." in path and kind in WRITABLE_WITHIN:
        valid = ", ".join(f"{kind}.{field}" for field in sorted(WRITABLE_WITHIN[kind]))
        return f"{quoted(path)} is no path of a monitor; valid are {kind} or any of {valid}"
    valid = ", ".join(sorted(WRITABLE))
    return f"{quoted(path)} is no path of a monitor; valid are *, any of {valid}, and paths within a kind, as http.url"


def written_paths(request: Message, mask: Iterable[str], writable: Sequence[str], oneof: str = "") -> list[str]:
    """Return which fields of a thing without paths within it an update replaces, as ``paths_of`` does.

    Of the fields of ``oneof``, if there is one, the one that is there is written last.
    """
    asked = list(mask)
    if not asked:
        return [field.name for field, _ in request.ListFields() if field.name in writable]
    wrong = [path for path in asked if path not in writable and path != "*"]
    if wrong:
        valid = ", ".join(writable)
        raise InvalidArgumentError(
            [
                Violation(_FIELD, f"{quoted(path)} is no field to change; valid are * or any of {valid}")
                for path in wrong[:10]
            ]
        )
    if "*" not in asked:
        return asked
    last = request.WhichOneof(oneof) if oneof else None
    return sorted(writable, key=lambda name: name == last)
