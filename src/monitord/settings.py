"""Every setting with its default: one frozen value, checked as a whole. ``environment`` reads it."""

import ipaddress
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic.fields import FieldInfo

from monitord import settings_alerting, settings_screenshots
from monitord.domain.account import RegistrationMode
from monitord.domain.target import InvalidTargetError, parse_server
from monitord.identity.service_account import read_service_account
from monitord.settings_accounts import AccountSettings
from monitord.settings_alerting import AlertingSettings, Listed, is_loopback
from monitord.settings_bridge import BridgeSettings
from monitord.settings_screenshots import ScreenshotSettings
from monitord.settings_tls import TlsSettings

PREFIX = "MONITORD_"

OTHER_NAMES = {
    "database_url": ("DATABASE_URL", "POSTGRES_CONNECTION"),
    "port": ("PORT",),
    "firebase_service_account": ("FIREBASE_SERVICE_ACCOUNT",),
    **settings_alerting.OTHER_NAMES,
    **settings_screenshots.OTHER_NAMES,
}
"""Names without the prefix that are accepted too: those of the original's ``.env``, and of hosting platforms."""


class EgressMode(StrEnum):
    """Which addresses may be dialled."""

    PRIVATE = "private"
    PUBLIC = "public"


def default_state_dir() -> Path:
    """Return where monitord keeps its private Postgres, keys and logs unless told otherwise (XDG state folder)."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "monitord"


Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(AlertingSettings, ScreenshotSettings, AccountSettings, BridgeSettings, TlsSettings):
    """monitord's settings. Each is the environment variable ``MONITORD_<NAME>``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Where things are
    state_dir: Path = Field(
        default_factory=default_state_dir,
        description="The folder for what monitord keeps itself: the private Postgres, its own secret key, the first "
        "API key. Made with mode 0700.",
        json_schema_extra={"default": "~/.local/state/monitord"},
    )
    env_file: Path | None = Field(None, description="A file of `NAME=value` lines to read too; the environment wins.")
    database_url: SecretStr | None = Field(
        None,
        description="`postgresql://user:password@host/database`, Postgres 14 or newer. Without it monitord starts a "
        "private Postgres of its own in the state folder.",
    )
    database_pool_size: int = Field(8, ge=2, le=100, description="Connections to Postgres, at most.")
    database_wait_s: float = Field(
        60, ge=0, le=3600, description="How long a start waits for that Postgres to answer, in seconds."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="What secrets in the database are sealed with: 32 random bytes in base64 (`openssl rand -base64 "
        "32`); after a rotation the new key, a comma, and the old ones. Without it monitord makes one and keeps it in "
        "the state folder.",
    )

    # gRPC
    host: str = Field("127.0.0.1", min_length=1, description="The address that the gRPC API listens on.")
    port: Port = Field(50051, description="Its port; 0 takes any that is free.")
    rpc_rate: float = Field(
        50,
        ge=0,
        le=1_000_000,
        description="Calls a second that each credential (an API key, a session) may make, by gRPC and by the bridge "
        "for browsers, with four times as many at once. `0`: as many as they like.",
    )
    rpc_rate_unproven: float = Field(
        20,
        ge=0,
        le=1_000_000,
        description="The same for each network (an IPv4 address, 64 bits of IPv6) and its calls without a good "
        "credential: sign-ins, registrations, invented keys. Behind a proxy for gRPC all callers are one network. "
        "Health checks are never refused.",
    )

    # The HTTP listener for metrics and health
    metrics_host: str = Field(
        "127.0.0.1", min_length=1, description="The address that `/metrics`, `/livez` and `/readyz` listen on."
    )
    metrics_port: Port = Field(9464, description="Their port; 0 takes any that is free.")
    metrics_per_monitor: bool = Field(
        True,
        description="Serve the `probe_*` series of each monitor. With 10,000 monitors they are most of a scrape.",
    )

    # The HTTP listener for jobs that tell of themselves, and for the links in mails
    ping_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="The address that the `ping_url` of heartbeats and the links in mails listen on.",
    )
    ping_port: Port = Field(9467, description="Its port; 0 takes any that is free.")
    public_url: str | None = Field(
        None,
        description="What stands before `/ping/` in the `ping_url` of heartbeats, and before `/contacts/` in the links "
        "of mails, such as `https://monitord.example.org`, where a proxy passes them on. Without it: the address and "
        "port above.",
    )

    # Checking
    min_interval_s: int = Field(
        5, ge=1, le=86_400, description="The shortest interval that a monitor may have, in seconds."
    )
    max_checks_in_flight: int = Field(500, ge=1, le=20_000, description="Checks that run at once, in all.")
    max_checks_per_host: int = Field(8, ge=1, le=20_000, description="Checks that run at once against one host.")
    max_body_bytes: int = Field(
        1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="How much of an answer's body is read, in bytes."
    )
    tls_engine: Literal["auto", "openssl"] = Field(
        "auto",
        description="`auto` tries rustls first, and lets OpenSSL judge what rustls refuses; `openssl` uses it alone.",
    )
    probe_ca_file: Path | None = Field(
        None, description="PEM file of certificate authorities that targets may have, besides the system's."
    )
    anchors: Listed = Field(
        (),
        description="Places (`host:port`, by commas) that are there if monitord's own network is well, such as two big "
        "sites by name and one by address. When a check fails as it would without a network, they are asked before it "
        "counts: if none answers, the fault is monitord's own. Empty: only what the machine itself reports is known.",
    )
    operator_url: str = Field(
        "about:blank", description="Where people whose sites are checked can reach you; sent in the User-Agent."
    )

    # Which addresses may be dialled
    egress_mode: EgressMode = Field(
        EgressMode.PRIVATE,
        description="`private` allows your own network and this machine; `public`, for a service open to strangers, "
        "only addresses of the public internet.",
    )
    egress_allow: Listed = Field(
        (), description="Exceptions to the mode: CIDRs and `address:port`, separated by commas."
    )
    egress_deny: Listed = Field((), description="What is never dialled, written the same way. Wins over everything.")

    # Keeping
    log_retention_days: int = Field(30, ge=1, le=3650, description="How long single check results are kept, in days.")
    spool_rows: int = Field(
        200_000,
        ge=1_000,
        le=10_000_000,
        description="Results held in memory, at most, while Postgres is away. About 1 KB each.",
    )

    # The first administrator
    admin_email: str = Field("admin@localhost", description="Who the first administrator is; used at the first start.")
    admin_password: SecretStr | None = Field(
        None,
        description="Their password, at most 72 bytes; used at the first start. Without it only the API key in the "
        "state folder opens the door.",
    )

    # Signing in with Firebase
    firebase_service_account: SecretStr | None = Field(
        None,
        description="The path of the JSON file of a service account of your Firebase project, or that JSON itself. "
        "Without it nobody signs in with Firebase.",
    )

    # Being watched, and stopping
    heartbeat_url: str | None = Field(
        None, description="Asked for (GET) every minute while monitord is ready, so that another system can miss it."
    )
    console: Literal["auto", "table", "lines", "none"] = Field(
        "auto",
        description="What `monitord run` shows: a live table, one line per check, or neither. `auto`: a table in a "
        "terminal, else lines.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged to stderr.")
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="How. `auto`: text in a terminal, else one JSON object per line."
    )
    shutdown_grace_s: float = Field(
        10, ge=0, le=600, description="How long checks, calls and streams may take to finish at the end, in seconds."
    )
    development: bool = Field(
        False, description="Allow what is unsafe in production, such as the Firebase emulator's unsigned tokens."
    )

    @field_validator("state_dir", "env_file", "probe_ca_file", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("database_url", mode="after")
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        scheme, found, rest = value.get_secret_value().partition("://")
        # SQLAlchemy's spelling names a driver, as in postgresql+asyncpg.
        if not found or scheme.partition("+")[0] not in ("postgres", "postgresql"):
            raise ValueError("it should look like postgresql://user:password@host:5432/database")
        return SecretStr(f"postgresql://{rest}")

    @field_validator("heartbeat_url", "public_url", mode="after")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("it should look like https://example.org/some-path")
        return value

    @field_validator("admin_password", mode="after")
    @classmethod
    def _hashable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not 8 <= len(value.get_secret_value().encode()) <= 72:
            raise ValueError("a password has 8 to 72 bytes of UTF-8 (bcrypt ignores what follows)")
        return value

    @field_validator("firebase_service_account", mode="after")
    @classmethod
    def _account(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            read_service_account(value.get_secret_value())
        return value

    @field_validator("egress_allow", "egress_deny", mode="after")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for rule in value:
            if not _is_address_rule(rule):
                raise ValueError(
                    f"{rule!r} is neither a network such as 192.168.0.0/16 nor an address and port such as "
                    "10.0.0.5:5432 or [fd00::5]:5432; names are not accepted"
                )
        return value

    @field_validator("anchors", mode="after")
    @classmethod
    def _endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for anchor in value:
            try:
                parse_server(anchor, 0)  # 0 is no port: one has to be given
            except InvalidTargetError as error:
                raise ValueError(f"{anchor!r} is no anchor, such as example.com:443 or 192.0.2.1:53: {error}") from None
        return value

    @property
    def _has_front(self) -> bool:
        """Whether a proxy with a certificate stands before the HTTP listener, as far as the settings tell."""
        return urlsplit(self.public_url or "").scheme == "https"

    @property
    def bridge_on(self) -> bool:
        """Whether browsers are served at the HTTP listener."""
        return self.bridge == "on" or (self.bridge == "auto" and is_loopback(self.ping_host))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.port and self.port == self.metrics_port and self.host == self.metrics_host:
            raise ValueError(f"MONITORD_PORT and MONITORD_METRICS_PORT are both {self.port}: change one")
        if self.registration is RegistrationMode.OPEN and self.egress_mode is not EgressMode.PUBLIC:
            raise ValueError(
                "MONITORD_REGISTRATION=open lets strangers check what stands in your network: set "
                "MONITORD_EGRESS_MODE=public, or MONITORD_REGISTRATION=invitation"
            )
        encrypted = self.http_tls or self.allow_plaintext or self._has_front
        if self.bridge_on and not (is_loopback(self.ping_host) or encrypted):
            raise ValueError(
                f"MONITORD_BRIDGE=on with MONITORD_PING_HOST={self.ping_host} would take credentials in the clear from "
                "other machines: set MONITORD_HTTP_TLS=true with MONITORD_TLS_CERT and MONITORD_TLS_KEY, or "
                "MONITORD_PUBLIC_URL to the https:// URL of the proxy before it, or MONITORD_ALLOW_PLAINTEXT=true "
                "where something else encrypts"
            )
        self.require_encryption(self.host, self.metrics_host, self.ping_host, has_front=self._has_front)
        for name in ("cors_origins", "trusted_proxies"):
            if getattr(self, name) and not self.bridge_on:
                raise ValueError(
                    f"MONITORD_{name.upper()} is for the bridge, which is off: set MONITORD_BRIDGE=on, or take it away"
                )
        if both := set(self.egress_allow) & set(self.egress_deny):
            raise ValueError(
                f"MONITORD_EGRESS_ALLOW and MONITORD_EGRESS_DENY both name {min(both)}: take it out of one"
            )
        return self


def _is_address_rule(rule: str) -> bool:
    address, colon, port = rule.rpartition(":")
    if rule.startswith("[") or rule.count(":") == 1:
        rule = address.removeprefix("[").removesuffix("]")
        if not (colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536) or "/" in rule:
            return False
    try:
        ipaddress.ip_network(rule)
    except ValueError:
        return False
    return True


def settings_table() -> str:
    """Return every setting with its default and meaning as a Markdown table, as the README shows it."""
    return "\n".join(["| variable | default | what it is |", "| --- | --- | --- |", *_rows()])


def _rows() -> Iterator[str]:
    inherited = AlertingSettings.model_fields | ScreenshotSettings.model_fields
    inherited |= AccountSettings.model_fields | BridgeSettings.model_fields | TlsSettings.model_fields
    # Those that are stated here first: pydantic puts inherited ones before them.
    fields = sorted(Settings.model_fields.items(), key=lambda item: item[0] in inherited)
    for name, field in fields:
        names = " or ".join(f"`{each}`" for each in (PREFIX + name.upper(), *OTHER_NAMES.get(name, ())))
        yield f"| {names} | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    extra: Any = field.json_schema_extra or {}
    default = extra.get("default", field.default)
    match default:
        case None | ():
            return ""
        case bool():
            return f"`{str(default).lower()}`"
        case _:
            return f"`{default}`"
