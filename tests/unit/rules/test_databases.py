"""What the checks of databases may be: who signs in, what is asked, and what never is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.domain.kinds.redis import RedisCheck
from monitord.domain.rules import mysql, postgres, redis
from monitord.domain.rules.connection import Context
from monitord.domain.secrets import Secret

SIGNED_IN = {"host": "db.example", "user": "app", "password": Secret("x")}
CONTEXT = Context(timeout_ms=10_000)


def of_postgres(**fields: Any) -> list[Violation]:
    return list(postgres.violations(PostgresCheck(**(SIGNED_IN | fields)), CONTEXT))


def of_mysql(**fields: Any) -> list[Violation]:
    return list(mysql.violations(MysqlCheck(**(SIGNED_IN | fields)), CONTEXT))


def of_redis(*, kept: bool = False, **fields: Any) -> list[Violation]:
    context = Context(timeout_ms=10_000, secrets_may_be_kept=kept)
    return list(redis.violations(RedisCheck(**({"host": "db.example"} | fields)), context))


@pytest.mark.parametrize("judge", [of_postgres, of_mysql])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"user": "", "password": Secret()},
        {"query": "SELECT 1"},
        {"query": "  select\n1"},
        {"query": "((SELECT 1))", "expect": "^1$"},
        {"query": "WITH a AS (SELECT 1) SELECT * FROM a"},
        {"query": "show tables"},
        {"query": "VALUES (1)"},
        {"query": "SELECT * FROM outfile_jobs"},
        {"query": "SELECT '" + "x" * 4087 + "'"},
        {"user": "ü" * 31},
        {"security": Security.TLS, "min_certificate_days": 14},
    ],
)
def test_what_may_be(judge: Any, fields: dict[str, Any]) -> None:
    assert judge(**fields) == []


@pytest.mark.parametrize("judge", [of_postgres, of_mysql])
@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"query": "DELETE FROM jobs"}, "query", "must begin with SELECT, WITH, "),
        ({"query": "COMMIT; DROP TABLE jobs"}, "query", "not 'COMMIT'"),
        ({"query": "SET GLOBAL x = 1"}, "query", "not 'SET'"),
        ({"query": "COPY jobs TO PROGRAM 'rm'"}, "query", "not 'COPY'"),
        ({"query": "/* SELECT */ DELETE FROM jobs"}, "query", "must begin with"),
        ({"query": "-- SELECT"}, "query", "must begin with"),
        ({"query": ";SELECT 1"}, "query", "must begin with"),
        ({"query": "SELECTED"}, "query", "not 'SELECTED'"),
        ({"query": " "}, "query", "must begin with"),
        ({"query": "SELECT 1 INTO OUTFILE '/tmp/x'"}, "query", "would write a file"),
        ({"query": "SELECT 1 INTO/**/dumpfile '/tmp/x'"}, "query", "would write a file"),
        ({"query": "SELECT '" + "x" * 4089 + "'"}, "query", "at most 4096 bytes"),
        ({"query": "SELECT \0"}, "query", "no NUL"),
        ({"query": "SELECT '\ud800'"}, "query", "UTF-8"),
        ({"password": Secret("\ud800")}, "password", "UTF-8"),
        ({"password": Secret("x" * 1025)}, "password", "at most 1024 bytes"),
        ({"user": "a\nb"}, "user", "no control characters"),
        ({"database": "a\x1bb"}, "database", "no control characters"),
        ({"user": "x" * 81}, "user", "at most "),
        ({"expect": "x"}, "expect", "needs a query"),
        ({"query": "SELECT 1", "expect": "("}, "expect", "RE2"),
        ({"user": ""}, "password", "needs a user"),
        ({"user": "", "password": Secret(), "query": "SELECT 1"}, "query", "needs a user"),
        ({"security": Security.STARTTLS_POSTGRES}, "security", "must be one of PLAIN, TLS"),
        ({"port": 0}, "port", "must be 1 to 65535"),
    ],
)
def test_what_must_not_be(judge: Any, fields: dict[str, Any], field: str, words: str) -> None:
    found = judge(**fields)
    assert [each for each in found if each.field == field and words in each.description], found


def test_describe_is_for_mysql_alone() -> None:
    assert of_mysql(query="DESCRIBE jobs") == []
    assert [each.field for each in of_postgres(query="DESCRIBE jobs")] == ["query"]


@given(st.text(max_size=40))
def test_no_query_that_begins_otherwise_gets_through(text: str) -> None:
    found = of_postgres(query=text)
    first = text.lstrip("( \t\n\r\f\v\x1c\x1d\x1e\x1f\x85\u00a0").upper()
    if text and not found:
        assert first.startswith(postgres.READING) or not first.isascii()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"command": "get  jobs:pending"},
        {"command": "LLEN queue", "expect": "^0$"},
        {"command": "Cluster Info"},
        {"command": "MEMORY USAGE key"},
        {"command": "XINFO GROUPS stream"},
        {"command": "ROLE"},
        {"user": "app", "password": Secret("x"), "database": 65535},
        {"password": Secret("x")},
        {"user": "app", "kept": True},
    ],
)
def test_what_a_redis_check_may_be(fields: dict[str, Any]) -> None:
    assert of_redis(**fields) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        *(
            ({"command": command}, "command")
            for command in (
                "",
                " ",
                "SET a b",
                "GETDEL a",
                "GETSET a b",
                "GETEX a",
                "DEL a",
                "FLUSHALL",
                "KEYS *",
                "CONFIG GET *",
                "CLUSTER RESET",
                "CLUSTER",
                "MEMORY PURGE",
                "XINFO",
                "DEBUG SLEEP 9",
                "BLPOP a 0",
                "SUBSCRIBE a",
                "MONITOR",
                "EVAL x 0",
                "PFCOUNT a",
                "HGETALL a",
                "PING\r\nFLUSHALL",
                "GET \0",
                "GET " + "x" * 1024,
            )
        ),
        ({"database": -1}, "database"),
        ({"database": 65536}, "database"),
        ({"user": "app"}, "password"),
        ({"user": "a\nb", "password": Secret("x")}, "user"),
        ({"expect": "("}, "expect"),
    ],
)
def test_what_a_redis_check_must_not_be(fields: dict[str, Any], field: str) -> None:
    assert {each.field for each in of_redis(**fields)} == {field}
