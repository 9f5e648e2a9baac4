"""The settings of alerting: how mail goes out."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator, model_validator

OTHER_NAMES = {"smtp_email": ("SMTP_EMAIL",), "smtp_password": ("SMTP_PASSWORD",)}
"""Names without the prefix that are accepted too; see ``settings``."""


def listed(value: object) -> object:
    """Split a comma-separated list, as it stands in an environment variable."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Listed = Annotated[tuple[str, ...], BeforeValidator(listed)]

_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class AlertingSettings(BaseModel):
    """How alerts go out. A part of ``Settings``."""

    smtp_email: str | None = Field(
        None, max_length=254, description="The address that mails come from. Without it there are no alerts by e-mail."
    )
    smtp_password: SecretStr | None = Field(
        None, description="Its password at the mail server; for Gmail an app password. Without it no signing in."
    )
    smtp_username: str | None = Field(None, description="What to sign in with instead of the address.")
    smtp_host: str = Field(
        "smtp.gmail.com",
        min_length=1,
        description="The mail server. With `MONITORD_EGRESS_MODE=public` one at a private address has to be in "
        "`MONITORD_EGRESS_ALLOW`, such as `10.0.0.25:587`.",
    )
    smtp_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Its port. Without it 587, or 465 with `tls`, or 25 with `none`."
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="`starttls` and `tls` are demanded, never just tried. `none` only without a password, or on this "
        "machine.",
    )
    smtp_from_name: str = Field("monitord", max_length=100, description="The name that mails come from.")
    operator_email: str | None = Field(
        None,
        description="Who is told, by mail, when monitord itself is in trouble, such as when its own network is down.",
    )
    mail_templates: Path | None = Field(
        None,
        description="A folder with your own `mail.html.j2` and `mail.txt.j2` (Jinja2); either may be missing. "
        "`monitord mail preview` shows them.",
    )

    apprise_services: Listed = Field(
        (),
        description="Which services of apprise may be used, by their schemes, such as `pover,pbul`: such whose hosts "
        "are fixed alone. Needs the extra `monitord[apprise]`.",
    )

    @property
    def mail_port(self) -> int:
        """The port of the mail server."""
        return self.smtp_port or _PORTS[self.smtp_security]

    @field_validator("smtp_email", "operator_email", mode="after")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            local, _, host = value.rpartition("@")
            if not local or not host or not value.isascii() or not value.isprintable() or " " in value:
                raise ValueError("it should be an address such as alerts@example.org")
        return value

    @field_validator("mail_templates", mode="after")
    @classmethod
    def _folder(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        folder = value.expanduser().absolute()
        if not folder.is_dir():
            raise ValueError("it is not a folder")
        return folder

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> Self:
        if self.smtp_security == "none" and self.smtp_password is not None and not is_loopback(self.smtp_host):
            raise ValueError(
                "MONITORD_SMTP_SECURITY=none would send the password in the clear: use starttls or tls, or take "
                "MONITORD_SMTP_PASSWORD away"
            )
        return self


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, as far as its spelling tells."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
