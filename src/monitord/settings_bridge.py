"""The settings of the bridge for browsers: whether there is one, and whom it lets in."""

import ipaddress
import re
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from monitord.settings_alerting import Listed

_ORIGIN = re.compile(r"(?P<scheme>https?)://([a-z0-9.-]+|\[[0-9a-f:.]+])(:(?P<port>[1-9][0-9]{0,4}))?")
_IMPLIED = {"http": "80", "https": "443"}


class BridgeSettings(BaseModel):
    """The bridge for browsers. A part of ``Settings``, which knows where it listens."""

    bridge: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Serve the API to browsers and curl too, by the Connect protocol on the HTTP listener "
        "(`MONITORD_PING_HOST`). `auto`: where that is this machine alone.",
    )
    cors_origins: Listed = Field(
        (),
        description="Pages that may call the bridge from elsewhere, by their origins, such as "
        "`https://status.example.org`, separated by commas; `*` alone for all. Without it browsers keep out every page "
        "that does not come from `MONITORD_PUBLIC_URL` or the listener itself.",
    )
    trusted_proxies: Listed = Field(
        (),
        description="Networks (CIDRs, by commas) of the reverse proxies before the bridge, whose `X-Forwarded-For` is "
        "believed. Without it the address of whoever connects counts.",
    )

    @field_validator("cors_origins", mode="after")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value and len(value) > 1:
            raise ValueError("`*` stands for every origin: name it alone, or only the others")
        for origin in value:
            if origin != "*" and not _is_origin(origin):
                raise ValueError(
                    f"{origin!r} is not an origin as browsers write it, such as https://status.example.org or "
                    "http://localhost:5173: in lower case, without a path, and without the port that its scheme implies"
                )
        return value

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ValueError(f"{network!r} is not a network such as 10.0.0.0/8 or fd00::1/128") from None
        return value


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    return (
        found is not None and found["port"] != _IMPLIED[found["scheme"]] and int(found["port"] or 1) in range(1, 65536)
    )
