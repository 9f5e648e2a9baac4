"""The words of jobs."""

from monitord.storage.migrations.script import execute

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    execute(__file__)
