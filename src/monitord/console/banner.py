"""What is said once, at the start: where everything is, and what to try."""

from pathlib import Path
from typing import TextIO

import msgspec

DEFAULT_ADDRESS = "127.0.0.1:50051"
"""Where monitorctl looks when it isn't told."""


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the banner tells."""

    version: str
    grpc_address: str
    metrics_address: str
    database: str
    """Which Postgres, in words, without its password."""
    key_file: Path | None
    """Where the first administrator's API key is; None when it is no longer there."""
    new_key: str | None = None
    """The key itself, at the first start alone."""
    monitorctl: str = "monitorctl"
    """How to call the client from here."""
    options: str = ""
    """What it needs besides the address to reach this server, such as `--tls`."""
    example_url: str
    """What to try `monitorctl test` on: something that runs."""

    def commands(self) -> tuple[str, ...]:
        """Return three commands to try next."""
        ctl = self.monitorctl
        if self.grpc_address != DEFAULT_ADDRESS:
            ctl += f" --address {self.grpc_address}"
        if self.options:
            ctl += f" {self.options}"
        return (f"{ctl} list", f"{ctl} tail", f"{ctl} test {self.example_url}")


def banner(welcome: Welcome) -> str:
    """Return the text, in plain ASCII."""
    lines = [
        f"monitord {welcome.version}",
        "",
        f"  gRPC API   {welcome.grpc_address}",
        f"  metrics    http://{welcome.metrics_address}/metrics",
        f"  health     http://{welcome.metrics_address}/readyz",
        f"  database   {welcome.database}",
    ]
    if welcome.key_file is not None:
        lines.append(f"  API key    in {welcome.key_file}")
    if welcome.new_key is not None:
        lines.append(f"             {welcome.new_key}")
    lines += ["", "Try next, in another terminal:", *(f"  {command}" for command in welcome.commands()), ""]
    return "\n".join(lines) + "\n"


def show(welcome: Welcome, out: TextIO) -> None:
    """Print the banner."""
    out.write(banner(welcome))
    out.flush()
