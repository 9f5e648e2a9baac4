"""What differs between a contact as it is wanted and as it is stored."""

from google.protobuf.message import Message

from monitord_client.monitorctl.manifest_alerts import secret_places
from monitord_client.v1 import contact_pb2 as pb

_USUAL = (
    pb.ALERT_KIND_DOWN,
    pb.ALERT_KIND_UP,
    pb.ALERT_KIND_DEGRADED,
    pb.ALERT_KIND_FAULTED,
    pb.ALERT_KIND_CERTIFICATE,
)
_LENGTHS = ("delay", "escalate_after", "reminder_interval", "slow_threshold")


def effective(settings: pb.AlertSettings) -> pb.AlertSettings:
    """Return settings with their defaults filled in, as contact.proto documents them: equal ones mean the same."""
    usual = (*_USUAL, pb.ALERT_KIND_SLOW) if settings.slow_threshold.ToNanoseconds() else _USUAL
    full = pb.AlertSettings(
        kinds=sorted(set(settings.kinds or usual)),
        active=settings.active if settings.HasField("active") else True,
    )
    for name in _LENGTHS:
        getattr(full, name).FromNanoseconds(getattr(settings, name).ToNanoseconds())
    if settings.HasField("quiet_hours"):
        full.quiet_hours.CopyFrom(settings.quiet_hours)
    return full


def changes_of(wanted: pb.Contact, stored: pb.Contact) -> tuple[str, ...]:
    """Return the fields of a contact, as an update mask names them, that are not as they are wanted.

    Secrets are left out of it: the server never tells them.
    """
    changed: list[str] = []
    kind = wanted.WhichOneof("channel")
    if kind is not None and (kind != stored.WhichOneof("channel") or _bare(wanted, kind) != _bare(stored, kind)):
        changed.append(kind)
    if (wanted.time_zone or "UTC") != stored.time_zone:
        changed.append("time_zone")
    has = wanted.HasField("default_settings")
    if has != stored.HasField("default_settings") or (
        has and effective(wanted.default_settings) != effective(stored.default_settings)
    ):
        changed.append("default_settings")
    return tuple(changed)


def _bare(contact: pb.Contact, kind: str) -> Message:
    """Return a channel without its secrets, its defaults filled in."""
    channel: Message = type(getattr(contact, kind))()
    channel.CopyFrom(getattr(contact, kind))
    for holder, name, _ in list(secret_places(channel)):
        holder.ClearField(name)
    if isinstance(channel, pb.PagerDutyContact) and not channel.region:
        channel.region = pb.PAGER_DUTY_REGION_US
    return channel
