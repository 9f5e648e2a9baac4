"""TCP checks."""

from monitord.domain.errors import Violation
from monitord.domain.kinds.tcp import TcpCheck
from monitord.rpc.convert_connection import read_secure, secure_fields
from monitord.v1 import tcp_check_pb2 as pb

_NO_PORT = 0


def read_tcp(message: pb.TcpCheck, found: list[Violation]) -> TcpCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    return TcpCheck(**read_secure(message, "tcp", _NO_PORT, found), send=message.send, expect=message.expect)


def tcp_pb(check: TcpCheck) -> pb.TcpCheck:
    """Return the message of a check, without its secrets (T15)."""
    return pb.TcpCheck(**secure_fields(check), send=check.send, expect=check.expect)
