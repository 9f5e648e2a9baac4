"""The calls of HeartbeatService."""

from collections.abc import AsyncIterator

from monitord_client.calls import Calls
from monitord_client.v1 import heartbeat_service_pb2 as pb
from monitord_client.v1.heartbeat_service_pb2_grpc import HeartbeatServiceStub


class HeartbeatCalls:
    """What jobs tell of themselves."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._heartbeats = HeartbeatServiceStub(calls.channel)

    async def ping(
        self,
        monitor_id: int,
        kind: pb.PingKind.ValueType = pb.PING_KIND_UNSPECIFIED,
        *,
        exit_code: int | None = None,
        body: bytes = b"",
        timeout_s: float | None = None,
    ) -> None:
        """Tell of a job, as its ``ping_url`` does: what ``kind`` says, else what the exit code does, else a success.

        ``exit_code`` is 0 to 255, ``body`` at most 10 KiB. A retry may tell it twice, which makes no difference but to
        the list of words.
        """
        request = pb.PingRequest(monitor_id=monitor_id, kind=kind, exit_code=exit_code, body=body)
        await self._calls.unary(self._heartbeats.Ping, request, safe=True, timeout_s=timeout_s)

    def list_pings(
        self, monitor_id: int, *, page_size: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[pb.Ping]:
        """Iterate over the words of a job, newest first. ``timeout_s`` is the deadline of each page."""
        request = pb.ListPingsRequest(monitor_id=monitor_id, page_size=page_size)

        async def fetch(token: str) -> pb.ListPingsResponse:
            request.page_token = token
            return await self._calls.unary(self._heartbeats.ListPings, request, safe=True, timeout_s=timeout_s)

        return self._calls.pages(fetch, lambda page: page.pings, lambda page: page.next_page_token)
