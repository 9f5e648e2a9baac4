"""From what a user types as a target to a check of the kind that its scheme chooses, and back."""

import re
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from google.protobuf.message import Message

from monitord_client.monitorctl.exits import CommandError
from monitord_client.monitorctl.scalars import parse_value
from monitord_client.monitorctl.schemes import GROUP, HEARTBEAT, SCHEMES, beginnings
from monitord_client.monitorctl.spans import span_words
from monitord_client.v1.connection_pb2 import SECURITY_PLAIN, SECURITY_TLS
from monitord_client.v1.dns_check_pb2 import DNS_RECORD_TYPE_A, DnsCheck, DnsRecordType
from monitord_client.v1.monitor_pb2 import Monitor

_REFERENCE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]*))?")
_RESERVED = re.compile(r"[%/?#@:\[\]&=+\s]")
_NEEDS_PORT = frozenset({"tcp", "grpc"})
_SIGNS_IN = frozenset({"postgres", "mysql", "redis"})
_DNS_PARAMETERS = {"type": "record_type", "server": "server", "transport": "transport"}


class _Parts(NamedTuple):
    scheme: str
    user: str
    host: str
    port: int
    """0: not given."""
    path: str
    """Without the slash at its beginning."""
    query: str
    """As it stands in the URL."""


def check_of(target: str) -> tuple[str, Message]:
    """Return the kind of a target and its check, with what the target alone says.

    Raises CommandError with a sentence that says what would be right; it never repeats a password.
    """
    if target in (HEARTBEAT, GROUP):
        return target, _new(target)
    match = _REFERENCE.fullmatch(target)
    scheme = (match[1] if match is not None else target.partition("://")[0]).lower()
    if match is None or scheme not in SCHEMES:
        raise CommandError(_no_scheme(target, scheme))
    _refuse_password(target)
    kind = SCHEMES[scheme].kind
    check: Any = _new(kind)
    if kind in ("http", "websocket"):
        check.url = target
        return kind, check
    parts = _parts(match, scheme)
    if kind == "dns":
        _fill_dns(check, parts)
    else:
        _fill_service(check, kind, parts)
    return kind, check


def target_text(monitor: Monitor) -> str:
    """Return what a monitor looks at, in the form that ``check_of`` reads; of what has no target, what it waits for."""
    kind = monitor.WhichOneof("kind")
    if kind is None:
        return "-"
    check: Any = getattr(monitor, kind)
    if kind in ("http", "websocket"):
        return str(check.url)
    if kind == HEARTBEAT:
        if check.HasField("cron"):
            return f"{HEARTBEAT} at {check.cron.expression} ({check.cron.time_zone or 'UTC'})"
        return f"{HEARTBEAT} every {span_words(check.period.ToNanoseconds())}"
    if kind == GROUP:
        return _group_text(check)
    if kind == "dns":
        return _dns_text(check)
    return _service_text(kind, check)


def _group_text(check: Any) -> str:
    chosen = (
        [f"{len(check.monitor_ids)} monitor{'s' if len(check.monitor_ids) > 1 else ''}"] if check.monitor_ids else []
    )
    if check.labels:
        chosen.append("those with " + ", ".join(f"{key}={value}" for key, value in sorted(check.labels.items())))
    need = f", of which {check.min_up} must work" if check.min_up else ""
    return f"{GROUP} of {' and '.join(chosen) or 'nothing'}{need}"


def _new(kind: str) -> Message:
    check: Message = getattr(Monitor(), kind)
    return check


def _no_scheme(target: str, scheme: str) -> str:
    known = ", ".join(beginnings())
    if scheme == HEARTBEAT:
        return f"a heartbeat has no URL: write {HEARTBEAT} --period 1d, or {HEARTBEAT} --cron '30 4 * * 1-5'"
    if "://" not in target:
        near = get_close_matches(target, [HEARTBEAT, GROUP], n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        shown = "the target" if "@" in target else repr(target)
        return f"{shown} does not say what kind of check it wants: {hint}write https://..., or one of {known}"
    near = get_close_matches(scheme, SCHEMES, n=1)
    return f"there is no check for {scheme + '://'!r}" + (
        f"; did you mean {near[0] + '://'!r}?" if near else f"; there is {known}"
    )


def _refuse_password(target: str) -> None:
    """A command line stays in the shell's history, and is seen by everybody on the machine while it runs (T15)."""
    scheme, _, rest = target.partition("://")
    # In the second form a / within the password ends the authority for every parser: tell it from host:port/path.
    found = re.match(r"([^:/?#@]*):[^/?#]*@([^/?#]*)(/[^?#]*)?", rest) or re.match(
        r"(?!\[[0-9A-Fa-f:.]*\])([^:/?#@]*):(?![0-9]+[/?#]).*@([^/?#]*)(/[^?#]*)?", rest, re.DOTALL
    )
    if found is None:
        return
    user, place, kind = found[1], f"{found[2]}{found[3] or ''}", SCHEMES[scheme.lower()].kind
    ways = {
        "http": f" --set auth.basic.username={user or 'USER'} --secret auth.basic.password",
        "websocket": " --secret headers.Authorization",
        "grpc": " --secret metadata.authorization",
    }
    if kind in _SIGNS_IN:
        way, place = " --secret password", f"{user}@{place}" if user else place
    else:
        way = ways.get(kind, "")
    how = "; it is asked for, or =@FILE or =env:NAME after that says where it is" if way else ""
    raise CommandError(
        f"a password must not stand in a URL, where your shell's history would keep it: write {scheme}://{place}{way}{how}"
    )


def _parts(match: re.Match[str], scheme: str) -> _Parts:
    form = SCHEMES[scheme].form
    userinfo, _, place = match[2].rpartition("@")
    if userinfo and SCHEMES[scheme].kind not in _SIGNS_IN:
        raise CommandError(f"nobody signs in there: leave out what stands before the @, and write {form}")
    if match[5]:
        raise CommandError(f"leave out what follows the #: write {form}")
    found = _AUTHORITY.fullmatch(place)
    if found is None and place.count(":") > 1 and scheme in ("ping", "icmp", "dns"):
        host, port_text = place, None  # an IPv6 address without brackets: there is no port to confuse it with
    elif found is None:
        raise CommandError(f"{place!r} is not a host with a port: an IPv6 address stands in [brackets]; write {form}")
    else:
        host, port_text = found[1] or found[2] or "", found[3]
    if not host:
        raise CommandError(f"the host is missing: write {form}")
    port = int(port_text) if port_text and len(port_text) <= 5 else 0
    if port_text is not None and not 1 <= port <= 65535:
        raise CommandError(f"the port must be 1 to 65535, not {port_text!r}")
    return _Parts(scheme, unquote(userinfo), unquote(host), port, unquote(match[3].removeprefix("/")), match[4] or "")


def _fill_service(check: Any, kind: str, parts: _Parts) -> None:
    form = SCHEMES[parts.scheme].form
    if parts.query:
        name = re.split("[=&]", parts.query, maxsplit=1)[0]
        raise CommandError(f"leave out ?{name}...: further fields are given by --set FIELD=VALUE or --secret FIELD")
    check.host = parts.host
    if kind == "icmp":
        if parts.port:
            raise CommandError(f"a ping has no port: write {form}, or tcp://{parts.host}:{parts.port} to connect to it")
    elif not parts.port and kind in _NEEDS_PORT:
        raise CommandError(f"the port is missing: write {form}")
    else:
        check.port = parts.port
    if SCHEMES[parts.scheme].security:
        check.security = SECURITY_TLS if SCHEMES[parts.scheme].security == "tls" else SECURITY_PLAIN
    if kind in _SIGNS_IN:
        check.user = parts.user
        if kind == "redis" and parts.path and not (parts.path.isascii() and parts.path.isdecimal()):
            raise CommandError(f"databases of Redis have numbers, not names such as {parts.path!r}: write {form}")
        check.database = int(parts.path[:10] or 0) if kind == "redis" else parts.path
    elif kind == "grpc":
        check.service = parts.path
    elif parts.path:
        raise CommandError(f"leave out what follows the host, /{parts.path}: write {form}")


def _fill_dns(check: DnsCheck, parts: _Parts) -> None:
    if parts.path:
        raise CommandError(
            f"the name to ask for comes first, the server after it: write dns://{parts.path}?server={parts.host}"
        )
    if parts.port:
        raise CommandError(f"the port is the server's: write dns://{parts.host}?server=192.0.2.53:{parts.port}")
    check.name = parts.host
    given: set[str] = set()
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _DNS_PARAMETERS:
            near = get_close_matches(name, _DNS_PARAMETERS, n=1)
            right = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(_DNS_PARAMETERS)}"
            raise CommandError(
                f"after the ? there is no {name!r}; {right} Further fields are given by --set FIELD=VALUE"
            )
        if name in given:
            raise CommandError(f"{name!r} is given twice after the ?")
        given.add(name)
        field = check.DESCRIPTOR.fields_by_name[_DNS_PARAMETERS[name]]
        try:
            setattr(check, field.name, parse_value(field, value, as_text=False))
        except ValueError as error:
            raise CommandError(f"{name}: {error}") from None


def _dns_text(check: DnsCheck) -> str:
    parameters = []
    if check.record_type not in (0, DNS_RECORD_TYPE_A):
        known = DnsRecordType.DESCRIPTOR.values_by_number.get(check.record_type)
        parameters.append(f"type={known.name.removeprefix('DNS_RECORD_TYPE_') if known else check.record_type}")
    if check.server:
        parameters.append(f"server={_quoted(check.server, keep=':[]')}")
    return f"dns://{_quoted(check.name, keep=':')}{'?' if parameters else ''}{'&'.join(parameters)}"


def _service_text(kind: str, check: Any) -> str:
    # A gRPC server is spoken to over TLS unless it is said otherwise, Redis in the clear.
    scheme = {"icmp": "ping"}.get(kind, kind)
    if kind == "grpc" and check.security != SECURITY_PLAIN:
        scheme = "grpcs"
    elif kind == "redis" and check.security == SECURITY_TLS:
        scheme = "rediss"
    user = f"{_quoted(check.user)}@" if kind in _SIGNS_IN and check.user else ""
    host = f"[{check.host}]" if ":" in check.host and kind != "icmp" else check.host
    port = f":{check.port}" if kind != "icmp" and check.port else ""
    path = ""
    if kind == "grpc":
        path = check.service
    elif kind in _SIGNS_IN and check.database:
        path = str(check.database)
    return f"{scheme}://{user}{_quoted(host, keep=':[]')}{port}{'/' + _quoted(path, keep='/') if path else ''}"


def _quoted(text: str, keep: str = "") -> str:
    """Percent-encode what would mean something else in a URL; names stay readable."""
    return _RESERVED.sub(lambda m: m[0] if m[0] in keep else "".join(f"%{byte:02X}" for byte in m[0].encode()), text)
