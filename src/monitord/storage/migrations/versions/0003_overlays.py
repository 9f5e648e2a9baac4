"""Judgements, and what lies over them."""

from monitord.storage.migrations.script import execute

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    execute(__file__)
