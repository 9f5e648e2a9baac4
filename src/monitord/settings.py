"""Every setting with its default, read from the environment once and never changed."""

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class EgressMode(StrEnum):
    """Which addresses may be dialled."""

    PRIVATE = "private"
    PUBLIC = "public"


class Settings(BaseSettings):
    """monitord's settings. Each is the environment variable ``MONITORD_<NAME>``; some have an older alias."""

    model_config = SettingsConfigDict(env_prefix="MONITORD_", frozen=True, extra="forbid", populate_by_name=True)

    # Where things are
    state_dir: Path = Field(default_factory=lambda: default_state_dir())
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("MONITORD_DATABASE_URL", "DATABASE_URL", "POSTGRES_CONNECTION"),
    )
    database_pool_size: int = Field(default=8, ge=2, le=100)

    # gRPC
    host: str = "127.0.0.1"
    port: int = Field(default=50051, ge=0, le=65535, validation_alias=AliasChoices("MONITORD_PORT", "PORT"))
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allow_plaintext: bool = False

    # The HTTP listener for metrics and health
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    metrics_per_monitor: bool = True

    # Checking
    min_interval_s: int = Field(default=5, ge=1, le=86_400)
    max_checks_in_flight: int = Field(default=500, ge=1, le=20_000)
    max_checks_per_host: int = Field(default=8, ge=1, le=20_000)
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    tls_engine: str = Field(default="auto", pattern="^(auto|openssl)$")
    operator_url: str = "about:blank"

    # Which addresses may be dialled
    egress_mode: EgressMode = EgressMode.PRIVATE
    egress_allow: Annotated[tuple[str, ...], NoDecode] = ()
    egress_deny: Annotated[tuple[str, ...], NoDecode] = ()

    # Keeping
    log_retention_days: int = Field(default=30, ge=1, le=3650)
    spool_rows: int = Field(default=200_000, ge=1_000, le=10_000_000)

    # The first administrator
    admin_email: str = "admin@localhost"
    admin_password: SecretStr | None = None

    # Being watched
    heartbeat_url: str | None = None
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    @field_validator("egress_allow", "egress_deny", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("MONITORD_TLS_CERT and MONITORD_TLS_KEY go together: set both or neither")
        if self.tls_cert is None and not self.allow_plaintext and not _is_loopback(self.host):
            raise ValueError(
                f"MONITORD_HOST={self.host} would serve gRPC without TLS to other machines: set MONITORD_TLS_CERT and "
                "MONITORD_TLS_KEY, or MONITORD_ALLOW_PLAINTEXT=true where something else encrypts"
            )
        return self


def default_state_dir() -> Path:
    """Return where monitord keeps its private Postgres, keys and logs unless told otherwise (XDG state folder)."""
    import os

    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "monitord"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
