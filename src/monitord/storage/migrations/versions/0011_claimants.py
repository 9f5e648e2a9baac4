"""Who has claimed an alert, so that the claims of the dead are free at once."""

from monitord.storage.migrations.script import execute

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    execute(__file__)
