"""Checks of databases."""

from monitord.domain.errors import Violation
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.domain.kinds.redis import RedisCheck
from monitord.domain.secrets import Secret
from monitord.rpc.convert_connection import read_secure, secure_fields
from monitord.v1 import database_check_pb2 as pb

POSTGRES_PORT = 5432
MYSQL_PORT = 3306
REDIS_PORT = 6379
DEFAULT_COMMAND = "PING"


def read_postgres(message: pb.PostgresCheck, found: list[Violation]) -> PostgresCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    return PostgresCheck(
        **read_secure(message, "postgres", POSTGRES_PORT, found),
        user=message.user,
        password=Secret(message.password),
        database=message.database,
        query=message.query,
        expect=message.expect,
    )


def postgres_pb(check: PostgresCheck) -> pb.PostgresCheck:
    """Return the message of a check, without its secrets (T15)."""
    return pb.PostgresCheck(
        **secure_fields(check), user=check.user, database=check.database, query=check.query, expect=check.expect
    )


def read_mysql(message: pb.MysqlCheck, found: list[Violation]) -> MysqlCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    return MysqlCheck(
        **read_secure(message, "mysql", MYSQL_PORT, found),
        user=message.user,
        password=Secret(message.password),
        database=message.database,
        query=message.query,
        expect=message.expect,
    )


def mysql_pb(check: MysqlCheck) -> pb.MysqlCheck:
    """Return the message of a check, without its secrets (T15)."""
    return pb.MysqlCheck(
        **secure_fields(check), user=check.user, database=check.database, query=check.query, expect=check.expect
    )


def read_redis(message: pb.RedisCheck, found: list[Violation]) -> RedisCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    return RedisCheck(
        **read_secure(message, "redis", REDIS_PORT, found),
        user=message.user,
        password=Secret(message.password),
        database=message.database,
        command=message.command or DEFAULT_COMMAND,
        expect=message.expect,
    )


def redis_pb(check: RedisCheck) -> pb.RedisCheck:
    """Return the message of a check, without its secrets (T15)."""
    return pb.RedisCheck(
        **secure_fields(check),
        user=check.user,
        database=check.database,
        command=check.command,
        expect=check.expect,
    )
