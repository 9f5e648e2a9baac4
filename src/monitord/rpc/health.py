"""grpc.health.v1, overall and for each service: SERVING only while calls can be served.

Not the reference servicer, which writes to a watcher while it holds the lock that the next change of status needs: a
watcher that does not read would then keep everyone's status from changing, and the server from stopping.
"""

# ruff: noqa: N802 (the generated base class names the methods)

import asyncio
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from monitord.domain.errors import NotFoundError

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health(health_pb2_grpc.HealthServicer):
    """One status for the server and all its services, which need the same: the database and the engine."""

    def __init__(self, services: list[str]) -> None:
        """``services`` are full names; the server as a whole, the empty name, is added to them."""
        self._services = ("", *services)
        self._status: int = NOT_SERVING
        self._changed = asyncio.Event()
        self._closed = False

    def set(self, serving: bool) -> bool:
        """Tell everyone who asks or watches; return whether it is news. After ``close`` nothing changes any more."""
        return self._announce(SERVING if serving else NOT_SERVING)

    def close(self) -> None:
        """Say NOT_SERVING for good, and end the watches once they have said so."""
        self._announce(NOT_SERVING)
        self._closed = True
        self._changed.set()

    def _announce(self, status: int) -> bool:
        if status == self._status or self._closed:
            return False
        self._status = status
        self._changed.set()
        self._changed = asyncio.Event()
        return True

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """Return the status of a service; an unknown one is NOT_FOUND, as the protocol has it."""
        if request.service not in self._services:
            raise NotFoundError("there is no service of that name; the empty name stands for the whole server")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def List(self, request: Any, context: Context) -> Any:
        """Return the status of every service."""
        status = health_pb2.HealthCheckResponse(status=self._status)
        return health_pb2.HealthListResponse(  # type: ignore[attr-defined]
            statuses=dict.fromkeys(self._services, status)
        )

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """Send the status of a service now and whenever it changes; of an unknown one, SERVICE_UNKNOWN."""
        told: int | None = None
        while True:
            changed, closed = self._changed, self._closed
            status = self._status if request.service in self._services else _UNKNOWN
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            if closed:
                return
            await changed.wait()
