"""What the edge does before a handler runs, alone: to know who calls, how often, and what they may."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import uvloop

from benchmarks.report import Figure
from monitord.domain.instant import DAY, Instant
from monitord.domain.organisation import Role
from monitord.identity import api_keys
from monitord.identity.authenticator import ApiKeyState, Authenticator, Membership, Seat, SessionState
from monitord.identity.principal import Scope, SessionCredential
from monitord.identity.tokens import Tokens
from monitord.identity.vault import Vault
from monitord.rpc.interceptors import ORGANISATION_KEY, Edge
from monitord.rpc.limits import CallLimit
from monitord.rpc.permissions import RULES
from monitord.rpc.rates import CallRates, Rate
from monitord.rpc.reach import Reach

CALLS = 5000
_METHOD = "/monitord.v1.MonitorService/GetMonitor"


def _now() -> Instant:
    return time.time_ns() // 1000


class _Source:
    """Knows one key and one session; after the first call nobody asks it."""

    def __init__(self, key: ApiKeyState, session: SessionState) -> None:
        self._key, self._session = key, session

    async def api_key_state(self, key_id: str) -> ApiKeyState:
        return self._key

    async def session_state(self, session_id: uuid.UUID) -> SessionState:
        return self._session

    async def seat_of(self, member: Membership) -> Seat:
        return Seat(Role.OWNER)

    async def without_labels(self, org_id: int, monitor_ids: Sequence[int], labels: Mapping[str, str]) -> list[int]:
        return []


class _Call:
    """A call's context, as far as the edge looks at it."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata

    def peer(self) -> str:
        return "ipv4:127.0.0.1:4711"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


async def _no_plan(org_id: int) -> None:
    return None


def _edge() -> tuple[Edge, dict[str, Any]]:
    tokens = Tokens(Vault([bytes(32)]).derive, now=_now)
    key_id, secret = api_keys.generate()
    key = ApiKeyState(
        key_id=key_id,
        user_id=1,
        org_id=2,
        scope=Scope.READ,
        seat=Seat(Role.OWNER),
        digest=api_keys.digest(secret),
        expires_at=None,
    )
    credential = SessionCredential(uuid.uuid4(), 1)
    session = SessionState(
        session_id=credential.session_id, user_id=1, org_id=1, session_version=1, expires_at=_now() + DAY
    )
    source = _Source(key, session)
    edge = Edge(
        Authenticator(source, tokens, now=_now, on_use=lambda _: None),
        meter=None,  # type: ignore[arg-type]  # no call is finished here
        rules=RULES,
        unary=CallLimit("calls", per_caller=1, in_all=1),
        streams=CallLimit("streams", per_caller=1, in_all=1),
        rates=CallRates(Rate.of(1e6), Rate.of(20), of_plan=_no_plan),
        reach=Reach(source),
    )
    access, _ = tokens.issue_access(1, credential)
    return edge, {
        "API key": _Call(("authorization", f"Bearer {secret}")),
        "session in an organisation": _Call(("authorization", f"Bearer {access}"), (ORGANISATION_KEY, "2")),
    }


async def edge(windows: int) -> list[Figure]:
    """Measure it in a loop of its own, without gRPC and without a database."""
    return await asyncio.to_thread(_measured, windows)


def _measured(windows: int) -> list[Figure]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_figures(windows))


async def _figures(windows: int) -> list[Figure]:
    made, calls = _edge()
    figures = []
    for what, call in calls.items():
        samples = []
        for _ in range(max(windows, 3)):
            began = time.thread_time()
            for _ in range(CALLS):
                await made._admit(_METHOD, RULES[_METHOD], call)
            samples.append(1000 * (time.thread_time() - began) / CALLS)
        figures.append(Figure("the edge alone", f"CPU to know who calls, {what}", "ms", samples, "<= 0.2"))
    return figures
