"""The schema's history: one .sql file per revision, and what Alembic needs to run it."""
