"""Which kind of check a target's scheme chooses. Free of protobuf, so that completion and help stay quick."""

from typing import NamedTuple

HEARTBEAT = "heartbeat"
GROUP = "group"
"""What stands in place of a target where there is none to dial."""


class Scheme(NamedTuple):
    """What a scheme stands for."""

    kind: str
    """The field of ``Monitor.kind``."""
    form: str
    """How a target looks, for sentences and help."""
    security: str = ""
    """How its connection is protected; empty: as the kind's default says, or as the kind reads from the URL."""


SCHEMES = {
    "http": Scheme("http", "http://HOST[:PORT]/PATH"),
    "https": Scheme("http", "https://HOST[:PORT]/PATH"),
    "tcp": Scheme("tcp", "tcp://HOST:PORT"),
    "tls": Scheme("tls", "tls://HOST[:443]"),
    "ping": Scheme("icmp", "ping://HOST"),
    "icmp": Scheme("icmp", "icmp://HOST"),
    "dns": Scheme("dns", "dns://NAME?type=MX&server=192.0.2.53"),
    "grpc": Scheme("grpc", "grpc://HOST:PORT[/SERVICE]", "plain"),
    "grpcs": Scheme("grpc", "grpcs://HOST:PORT[/SERVICE]", "tls"),
    "ws": Scheme("websocket", "ws://HOST[:PORT]/PATH"),
    "wss": Scheme("websocket", "wss://HOST[:PORT]/PATH"),
    "postgres": Scheme("postgres", "postgres://[USER@]HOST[:5432][/DATABASE]"),
    "postgresql": Scheme("postgres", "postgresql://[USER@]HOST[:5432][/DATABASE]"),
    "mysql": Scheme("mysql", "mysql://[USER@]HOST[:3306][/DATABASE]"),
    "redis": Scheme("redis", "redis://[USER@]HOST[:6379][/NUMBER]", "plain"),
    "rediss": Scheme("redis", "rediss://[USER@]HOST[:6379][/NUMBER]", "tls"),
}

KINDS = (*dict.fromkeys(scheme.kind for scheme in SCHEMES.values()), HEARTBEAT, GROUP)
"""All kinds of check."""


CONTACT_BEGINNINGS = ("mailto:", "https://", "slack", "teams", "discord", "telegram:", "pagerduty:", "apprise")
"""What targets of contacts begin with; see ``contact_targets``."""


def is_target(text: str) -> bool:
    """Tell a target from the name of a monitor."""
    return "://" in text


def kind_of(target: str) -> str:
    """Return the kind that a target's scheme chooses; empty when it chooses none."""
    scheme, mark, _ = target.partition("://")
    if not mark:
        return target if target in (HEARTBEAT, GROUP) else ""
    known = SCHEMES.get(scheme.lower())
    return known.kind if known is not None else ""


def beginnings() -> list[str]:
    """Return what targets begin with."""
    return [f"{name}://" for name in SCHEMES] + [HEARTBEAT, GROUP]
