"""What a contact wants to be told: from messages to the domain and back."""

import re

from google.protobuf.duration_pb2 import Duration

from monitord.domain.alert import AlertKind
from monitord.domain.contact import USUAL_KINDS, AlertConfig, AlertSettings, QuietHours
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.domain.rules.contact import of_settings
from monitord.domain.rules.wording import quoted
from monitord.rpc.convert_time import millis_of, millis_pb, seconds_of
from monitord.rpc.requests import read_enums, require_id
from monitord.v1 import contact_pb2 as pb

KINDS: dict[int, AlertKind] = {
    pb.ALERT_KIND_DOWN: AlertKind.DOWN,
    pb.ALERT_KIND_UP: AlertKind.UP,
    pb.ALERT_KIND_DEGRADED: AlertKind.DEGRADED,
    pb.ALERT_KIND_FAULTED: AlertKind.FAULTED,
    pb.ALERT_KIND_ESCALATION: AlertKind.ESCALATION,
    pb.ALERT_KIND_REMINDER: AlertKind.REMINDER,
    pb.ALERT_KIND_SLOW: AlertKind.SLOW,
    pb.ALERT_KIND_CERTIFICATE: AlertKind.CERTIFICATE,
}
NUMBERS = {kind: number for number, kind in KINDS.items()} | {AlertKind.SLOW_OVER: pb.ALERT_KIND_SLOW}
"""The end of slowness is told to whoever is told of slowness: to users they are one kind."""

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def read_config(message: pb.AlertConfig) -> AlertConfig:
    """Return who shall be told what. Raises InvalidArgumentError with everything that is wrong."""
    monitor_id = require_id(message.monitor_id, "config.monitor_id")
    contact_id = require_id(message.contact_id, "config.contact_id", "contact")
    found: list[Violation] = []
    settings = read_settings(message.settings, "config.settings.", found)
    told = {one.field for one in found}
    wrong = found + [one for one in of_settings(settings, "config.settings.") if one.field not in told]
    if wrong:
        raise InvalidArgumentError(wrong)
    return AlertConfig(monitor_id=monitor_id, contact_id=contact_id, settings=settings)


def config_pb(config: AlertConfig) -> pb.AlertConfig:
    """Return who is told what."""
    return pb.AlertConfig(
        monitor_id=config.monitor_id, contact_id=config.contact_id, settings=settings_pb(config.settings)
    )


def read_settings(message: pb.AlertSettings, prefix: str, found: list[Violation]) -> AlertSettings:
    """Return what a contact shall be told; what can't be read is told to ``found``."""
    slow_ms = millis_of(message.slow_threshold, f"{prefix}slow_threshold", found) or 0
    kinds = tuple(read_enums(KINDS, pb.AlertKind, message.kinds, f"{prefix}kinds", found))
    if not kinds:
        kinds = (*USUAL_KINDS, AlertKind.SLOW) if slow_ms else USUAL_KINDS
    return AlertSettings(
        kinds=kinds,
        is_active=message.active if message.HasField("active") else True,
        delay_s=seconds_of(message.delay, f"{prefix}delay", found) or 0,
        escalate_after_s=seconds_of(message.escalate_after, f"{prefix}escalate_after", found) or 0,
        reminder_s=seconds_of(message.reminder_interval, f"{prefix}reminder_interval", found) or 0,
        quiet=_read_quiet(message.quiet_hours, prefix, found) if message.HasField("quiet_hours") else None,
        slow_threshold_ms=slow_ms,
    )


def settings_pb(settings: AlertSettings) -> pb.AlertSettings:
    """Return what a contact is told."""
    message = pb.AlertSettings(
        kinds=[NUMBERS[kind] for kind in settings.kinds],  # type: ignore[misc]
        active=settings.is_active,
        delay=Duration(seconds=settings.delay_s),
        escalate_after=Duration(seconds=settings.escalate_after_s),
        reminder_interval=Duration(seconds=settings.reminder_s),
    )
    if settings.slow_threshold_ms:
        message.slow_threshold.CopyFrom(millis_pb(settings.slow_threshold_ms))
    if settings.quiet is not None:
        start, end = (f"{m // 60:02}:{m % 60:02}" for m in (settings.quiet.start_min, settings.quiet.end_min))
        message.quiet_hours.CopyFrom(pb.QuietHours(start=start, end=end))
    return message


def _read_quiet(message: pb.QuietHours, prefix: str, found: list[Violation]) -> QuietHours:
    minutes: list[int] = []
    for field, text in (("start", message.start), ("end", message.end)):
        match = _TIME.fullmatch(text)
        if match is None:
            found.append(
                Violation(f"{prefix}quiet_hours.{field}", f"must be a time of day such as 07:30, not {quoted(text)}")
            )
        minutes.append(int(match[1]) * 60 + int(match[2]) if match else len(minutes))
    return QuietHours(*minutes)
