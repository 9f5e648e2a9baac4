"""Groups of monitors."""

from monitord.storage.migrations.script import execute

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    execute(__file__)
