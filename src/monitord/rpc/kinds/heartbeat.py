"""Heartbeats."""

from google.protobuf.duration_pb2 import Duration

from monitord.domain.errors import Violation
from monitord.domain.kinds.heartbeat import CronSchedule, HeartbeatCheck
from monitord.rpc.convert_time import seconds_of
from monitord.v1 import heartbeat_check_pb2 as pb

DEFAULT_PERIOD_S = 3600
DEFAULT_GRACE_S = 60
DEFAULT_TIME_ZONE = "UTC"


def read_heartbeat(message: pb.HeartbeatCheck, found: list[Violation]) -> HeartbeatCheck:
    """Return what a message asks for; what can't be read is told to ``found`` and replaced by a default."""
    grace_s = seconds_of(message.grace, "heartbeat.grace", found) if message.HasField("grace") else None
    period_s: int | None = 0
    cron = None
    match message.WhichOneof("schedule"):
        case "cron":
            cron = CronSchedule(message.cron.expression, message.cron.time_zone or DEFAULT_TIME_ZONE)
        case "period":
            period_s = seconds_of(message.period, "heartbeat.period", found)
        case _:
            found.append(Violation("heartbeat.period", "must be set, such as 3600s; or give cron"))
            period_s = None
    return HeartbeatCheck(
        period_s=DEFAULT_PERIOD_S if period_s is None else period_s,
        cron=cron,
        grace_s=DEFAULT_GRACE_S if grace_s is None else grace_s,
        ping_url_version=message.ping_url_version,
    )


def heartbeat_pb(check: HeartbeatCheck) -> pb.HeartbeatCheck:
    """Return the message of a check; its URL is for whoever knows the monitor to add."""
    cron = check.cron
    return pb.HeartbeatCheck(
        period=None if cron is not None else Duration(seconds=check.period_s),
        cron=None if cron is None else pb.CronSchedule(expression=cron.expression, time_zone=cron.time_zone),
        grace=Duration(seconds=check.grace_s),
        ping_url_version=check.ping_url_version,
    )
