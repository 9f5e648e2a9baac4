"""Plans of organisations."""

from monitord.storage.migrations.script import execute

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    execute(__file__)
