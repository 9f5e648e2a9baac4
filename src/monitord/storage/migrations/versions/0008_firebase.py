"""Users who sign in with Firebase."""

from monitord.storage.migrations.script import execute

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    execute(__file__)
