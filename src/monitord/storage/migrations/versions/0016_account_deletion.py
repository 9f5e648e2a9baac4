"""Accounts that are exported, and deleted after a time of grace."""

from monitord.storage.migrations.script import execute

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    execute(__file__)
