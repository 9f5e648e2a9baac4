"""Slowness, certificates, and the stream of incidents."""

from monitord.storage.migrations.script import execute

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    execute(__file__)
