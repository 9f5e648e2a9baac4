"""The gRPC channel: its options, and the refusal to whisper secrets across a room."""

from pathlib import Path

import grpc

from monitord_client.address import Address, Tls
from monitord_client.errors import InsecureChannelError

_MAX_ANSWER_BYTES = 64 * 1024 * 1024

_OPTIONS: tuple[tuple[str, int], ...] = (
    # A connection that died without a word is noticed within 40 s, also while only a stream is open.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Retrying is this package's own business, so gRPC must be ready to dial again quickly.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.max_receive_message_length", _MAX_ANSWER_BYTES),
    # Two clients in one process share nothing: one's broken connection is not the other's.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(address: Address, tls: Tls | None, *, insecure: bool) -> grpc.aio.Channel:
    """Return a channel; it connects with its first call.

    Raises InsecureChannelError when there is no TLS, the address is another machine's and ``insecure`` does not
    say that this is meant; OSError when the file of ``tls`` cannot be read.
    """
    options: list[tuple[str, int | str]] = list(_OPTIONS)
    if address.local:
        # A proxy of the environment has no business between a machine and itself.
        options.append(("grpc.enable_http_proxy", 0))
    if tls is None:
        if not (address.local or insecure):
            raise InsecureChannelError(
                f"{address} is another machine, and without TLS anyone on the way could read the key: "
                "use TLS, or say explicitly that plain text is meant (insecure)"
            )
        return grpc.aio.insecure_channel(address.target, options=options)
    if tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    roots = Path(tls.ca_file).read_bytes() if tls.ca_file else None
    return grpc.aio.secure_channel(address.target, grpc.ssl_channel_credentials(roots), options=options)
