"""Checks of databases between messages and domain: what is set arrives, defaults are filled in, no secret returns."""

from typing import Any

import pytest

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.secrets import Secret
from monitord.rpc.kinds import database
from monitord.v1 import connection_pb2, database_check_pb2

KINDS = {
    "postgres": (database_check_pb2.PostgresCheck, database.read_postgres, database.postgres_pb, 5432),
    "mysql": (database_check_pb2.MysqlCheck, database.read_mysql, database.mysql_pb, 3306),
    "redis": (database_check_pb2.RedisCheck, database.read_redis, database.redis_pb, 6379),
}
SET: dict[str, dict[str, Any]] = {
    "postgres": {"database": "shop", "query": "SELECT 1", "expect": "^1$"},
    "mysql": {"database": "shop", "query": "SELECT 1", "expect": "^1$"},
    "redis": {"database": 3, "command": "LLEN jobs", "expect": "^0$"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_set_comes_back_but_the_password(kind: str) -> None:
    make, read, back, _ = KINDS[kind]
    message = make(
        host="db.example",
        port=7777,
        security=connection_pb2.SECURITY_TLS,
        user="app",
        password="hunter2",
        min_certificate_days=14,
        **SET[kind],
    )
    found: list[Violation] = []
    check = read(message, found)
    assert found == []
    assert (check.host, check.port, check.security) == ("db.example", 7777, Security.TLS)
    assert check.password == Secret("hunter2")
    for name, value in SET[kind].items():
        assert getattr(check, name) == value
    shown = back(check)
    assert shown.password == ""
    assert "hunter2" not in str(shown)
    # Whatever was not said is shown as it will be used.
    shown.password = "hunter2"
    assert read(shown, found) == check
    assert found == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_set_has_its_default(kind: str) -> None:
    make, read, back, port = KINDS[kind]
    check = read(make(host="db.example"), [])
    assert (check.port, check.security, check.user) == (port, Security.PLAIN, "")
    if kind == "redis":
        assert check.command == "PING"
    assert read(back(check), []) == check
