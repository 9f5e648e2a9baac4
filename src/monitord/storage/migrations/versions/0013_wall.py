"""The second wall between tenants."""

from monitord.storage.migrations.script import execute

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    execute(__file__)
