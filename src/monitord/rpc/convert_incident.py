"""Incidents as messages."""

from monitord.domain.incident import Incident, StatusChange, Timeline
from monitord.rpc.convert_alert import alert_pb
from monitord.rpc.convert_log import check_log_pb
from monitord.rpc.convert_time import timestamp_pb
from monitord.v1 import incident_pb2 as pb
from monitord.v1 import incident_service_pb2 as service_pb

MAX_ENTRIES = 500


def incident_pb(incident: Incident) -> pb.Incident:
    """Return an incident."""
    message = pb.Incident(
        id=incident.id,
        monitor_id=incident.monitor_id,
        monitor_name=incident.monitor_name,
        open_time=timestamp_pb(incident.opened_at),
        acknowledged_by=incident.acknowledged_by,
        category=incident.category,
        message=incident.message,
        screenshot_url=incident.screenshot_url,
    )
    if incident.acknowledged_at is not None:
        message.acknowledge_time.CopyFrom(timestamp_pb(incident.acknowledged_at))
    if incident.resolved_at is not None:
        message.resolve_time.CopyFrom(timestamp_pb(incident.resolved_at))
    return message


def timeline_pb(timeline: Timeline) -> service_pb.GetIncidentResponse:
    """Return an incident with what belongs to it, oldest first; of what is too long, both ends."""
    incident = timeline.incident
    entries = [(change.at, 0, _change_pb(change)) for change in timeline.changes]
    if incident.acknowledged_at is not None:
        note = pb.Acknowledgement(by=incident.acknowledged_by)
        entries.append((incident.acknowledged_at, 1, pb.TimelineEntry(acknowledgement=note)))
    entries += [(alert.created_at, 2, pb.TimelineEntry(alert=alert_pb(alert))) for alert in timeline.alerts]
    entries.sort(key=lambda entry: entry[:2])
    if len(entries) > MAX_ENTRIES:
        entries = entries[: MAX_ENTRIES // 2] + entries[-MAX_ENTRIES // 2 :]
    for at, _, message in entries:
        message.time.CopyFrom(timestamp_pb(at))
    return service_pb.GetIncidentResponse(
        incident=incident_pb(incident), timeline=[message for _, _, message in entries]
    )


def _change_pb(change: StatusChange) -> pb.TimelineEntry:
    message = pb.StatusChange(
        before=change.before,  # type: ignore[arg-type]  # the same numbers; a test holds them together
        after=change.after,  # type: ignore[arg-type]
        category=change.category,
        message=change.message,
        silence=change.silence,
    )
    if change.entry is not None:
        message.check_log.CopyFrom(check_log_pb(change.entry, with_evidence=True))
    return pb.TimelineEntry(status_change=message)
