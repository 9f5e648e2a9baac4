"""The second wall around organisations with several members."""

from monitord.storage.migrations.script import execute

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    execute(__file__)
