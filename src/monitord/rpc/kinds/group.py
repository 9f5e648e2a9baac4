"""Groups of monitors."""

from monitord.domain.errors import Violation
from monitord.domain.kinds.group import GroupCheck
from monitord.v1 import group_check_pb2 as pb


def read_group(message: pb.GroupCheck, _: list[Violation]) -> GroupCheck:
    """Return what a message asks for."""
    return GroupCheck(
        monitor_ids=tuple(dict.fromkeys(message.monitor_ids)), labels=dict(message.labels), min_up=message.min_up
    )


def group_pb(check: GroupCheck) -> pb.GroupCheck:
    """Return the message of a group."""
    return pb.GroupCheck(monitor_ids=check.monitor_ids, labels=check.labels, min_up=check.min_up)
