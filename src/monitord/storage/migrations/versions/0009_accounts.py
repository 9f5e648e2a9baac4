"""Accounts: registration, resets of passwords, sessions that can be told apart."""

from monitord.storage.migrations.script import execute

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    execute(__file__)
