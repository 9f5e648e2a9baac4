"""Runs the .sql file of a revision as it stands."""

from pathlib import Path

from alembic import op
from sqlalchemy.util import await_only


def execute(revision: str) -> None:
    """Run the .sql file beside the revision's .py file, in Alembic's transaction.

    It goes to asyncpg as one script: SQLAlchemy would prepare it, and only single statements can be prepared.
    """
    script = Path(revision).with_suffix(".sql").read_text("utf-8")
    bind = op.get_bind()
    bind.exec_driver_sql("SELECT 1")  # the adapter begins its transaction with the first statement that it sees
    driver = bind.connection.driver_connection
    if driver is None or not driver.is_in_transaction():
        raise RuntimeError("a migration must run in a transaction")
    await_only(driver.execute(script))
