"""Alerting: contacts, the outbox, attempts."""

from monitord.storage.migrations.script import execute

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    execute(__file__)
