"""Organisations with several members."""

from monitord.storage.migrations.script import execute

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    execute(__file__)
