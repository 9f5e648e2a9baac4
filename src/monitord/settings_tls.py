"""The settings of encryption: what monitord serves TLS with, and what may be served without."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, field_validator, model_validator

from monitord.settings_alerting import is_loopback


class TlsSettings(BaseModel):
    """The certificate, and where none is needed. A part of ``Settings``, which knows where monitord listens."""

    tls_cert: Path | None = Field(
        None,
        description="PEM file of the certificate chain for the gRPC API. It, and the two below, are read again when "
        "they change, without a restart.",
    )
    tls_key: Path | None = Field(None, description="PEM file of its private key, without a password.")
    tls_client_ca: Path | None = Field(
        None,
        description="PEM file of certificate authorities: who calls the gRPC API has to show a certificate that one of "
        "them signed (mTLS), besides a key or token.",
    )
    http_tls: bool = Field(
        False,
        description="Serve heartbeats, the links in mails and the bridge for browsers with that certificate too. "
        "Client certificates are not asked for there, and metrics stay without TLS.",
    )
    allow_plaintext: bool = Field(
        False,
        description="Serve everything to other machines without TLS, the API by gRPC and by the bridge for browsers "
        "included: only where something else encrypts.",
    )
    allow_plaintext_http: bool = Field(
        False,
        description="Serve metrics, heartbeats and the links in mails to other machines without TLS, but not the API: "
        "where their network is trusted. The container image sets it: what leaves a container is chosen where it runs.",
    )

    @field_validator("tls_cert", "tls_key", "tls_client_ca", mode="after")
    @classmethod
    def _from_the_root(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @model_validator(mode="after")
    def _all_of_it(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("MONITORD_TLS_CERT and MONITORD_TLS_KEY go together: set both or neither")
        if self.tls_cert is None:
            both = "set MONITORD_TLS_CERT and MONITORD_TLS_KEY too, or take it away"
            if self.tls_client_ca is not None:
                raise ValueError(f"MONITORD_TLS_CLIENT_CA asks clients for certificates, which takes TLS: {both}")
            if self.http_tls:
                raise ValueError(f"MONITORD_HTTP_TLS=true has no certificate to serve: {both}")
        return self

    def require_encryption(self, host: str, metrics_host: str, http_host: str, *, has_front: bool) -> None:
        """Raise ValueError for a listener that others reach without TLS, unless a setting says that this is meant.

        ``has_front`` says that a proxy encrypts what goes to ``http_host``.
        """
        if not (is_loopback(host) or self.tls_cert or self.allow_plaintext):
            raise ValueError(
                f"MONITORD_HOST={host} would serve gRPC without TLS to other machines: set MONITORD_TLS_CERT and "
                "MONITORD_TLS_KEY, or MONITORD_ALLOW_PLAINTEXT=true where something else encrypts"
            )
        if self.allow_plaintext or self.allow_plaintext_http:
            return
        if not (is_loopback(http_host) or self.http_tls or has_front):
            raise ValueError(
                f"MONITORD_PING_HOST={http_host} would serve heartbeats, and pages that take passwords, without TLS to "
                "other machines: set MONITORD_HTTP_TLS=true with MONITORD_TLS_CERT and MONITORD_TLS_KEY, "
                "MONITORD_PUBLIC_URL to the https:// URL of a proxy before it, or MONITORD_ALLOW_PLAINTEXT_HTTP=true"
            )
        if not is_loopback(metrics_host):
            raise ValueError(
                f"MONITORD_METRICS_HOST={metrics_host} would serve metrics without TLS to other machines: set "
                "MONITORD_ALLOW_PLAINTEXT_HTTP=true where that network is trusted"
            )
