"""Which methods there are, and what they take and give: read from the descriptors, so that no list can fall behind."""

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the API."""

    path: str
    """As gRPC and Connect both spell it, such as ``/monitord.v1.MonitorService/GetMonitor``."""
    request: type[Message]
    response: type[Message]
    streams: bool
    """Whether it answers with a stream."""


def methods_of(services: Iterable[str]) -> dict[str, Method]:
    """Return the methods of services by their paths. Those that take a stream are left out: HTTP/1.1 can't carry them.

    Raises KeyError for a service that no loaded contract defines.
    """
    pool = descriptor_pool.Default()
    return {
        path: Method(
            path,
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
            bool(method.server_streaming),
        )
        for name in services
        for method in pool.FindServiceByName(name).methods
        if not method.client_streaming
        for path in (f"/{name}/{method.name}",)
    }
