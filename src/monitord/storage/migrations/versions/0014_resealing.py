"""The audit log does not tell of secrets that are only sealed anew."""

from monitord.storage.migrations.script import execute

revision = "0014"
down_revision = "0012"


def upgrade() -> None:
    execute(__file__)
