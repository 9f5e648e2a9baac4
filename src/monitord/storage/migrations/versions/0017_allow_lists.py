"""From where an organisation and a key may be used, and which monitors a key is for."""

from monitord.storage.migrations.script import execute

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    execute(__file__)
