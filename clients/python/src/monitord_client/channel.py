"""The gRPC channel: its options, and the refusal to whisper secrets across a room."""

import ssl
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
    say that this is meant; OSError when a file of ``tls`` cannot be read; ValueError when what they hold is of no use.
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
    return grpc.aio.secure_channel(address.target, _credentials(tls), options=options)


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    roots = Path(tls.ca_file).read_bytes() if tls.ca_file else None
    if tls.cert_file is None:
        if tls.key_file is not None:
            raise ValueError(f"the key {tls.key_file} is of no use without its certificate: give that too")
        return grpc.ssl_channel_credentials(roots)
    key_file = tls.key_file or tls.cert_file
    chain, key = Path(tls.cert_file).read_bytes(), Path(key_file).read_bytes()
    try:
        # gRPC would say of a wrong file no more than that there is no connection. With a password: it is not asked for.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(tls.cert_file, key_file, password="")
    except ssl.SSLError as error:
        raise ValueError(
            f"the certificate {tls.cert_file} and the key {key_file} can't be used: both must be PEM, the key without "
            f"a password, and they must belong together ({error.reason or 'no PEM'})"
        ) from None
    return grpc.ssl_channel_credentials(roots, key, chain)
