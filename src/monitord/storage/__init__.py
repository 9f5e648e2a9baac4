"""Everything that speaks to Postgres: the only place with SQL."""
