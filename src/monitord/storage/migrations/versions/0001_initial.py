"""The first schema."""

from monitord.storage.migrations.script import execute

revision = "0001"
down_revision = None


def upgrade() -> None:
    execute(__file__)
