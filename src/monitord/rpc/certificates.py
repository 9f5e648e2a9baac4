"""The served certificate, as gRPC wants it: asked for anew with each handshake."""

import threading
from typing import Any

import grpc

from monitord.served_certificate import Loaded, ServedCertificate


def credentials(served: ServedCertificate) -> grpc.ServerCredentials:
    """Return credentials that follow the files. With authorities of clients, whoever connects shows a certificate.

    Connections that are open stay as they are, for as long as the server lets any live.
    """
    given = served.current
    lock = threading.Lock()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # On a thread of gRPC's own, before each handshake: nothing is read here, and nothing can fail.
        nonlocal given
        with lock:
            current = served.current
            if current is given:
                return None  # what gRPC has is good
            given = current
        return _configuration(current)

    untyped: Any = fetch  # the published types don't know that it may return None
    return grpc.dynamic_ssl_server_credentials(
        _configuration(given), untyped, require_client_authentication=given.client_ca is not None
    )


def _configuration(loaded: Loaded) -> grpc.ServerCertificateConfiguration:
    """Make one of its own for each use: gRPC empties what it takes."""
    return grpc.ssl_server_certificate_configuration(
        [(loaded.key, loaded.certificate)], root_certificates=loaded.client_ca
    )
