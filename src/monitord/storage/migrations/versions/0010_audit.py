"""The audit log."""

from monitord.storage.migrations.script import execute

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    execute(__file__)
