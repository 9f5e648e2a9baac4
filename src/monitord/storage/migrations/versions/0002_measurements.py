"""Figures of the kinds of check."""

from monitord.storage.migrations.script import execute

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    execute(__file__)
