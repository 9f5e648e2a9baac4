"""The services of the stand-in that tell people: contacts, incidents and alerts, by the letter of the contract."""

# ruff: noqa: N802 - the contract names these methods

import csv
import io
import uuid
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.message import Message
from grpc import StatusCode

from monitord_client.v1 import alert_pb2, contact_pb2
from monitord_client.v1 import alert_service_pb2 as alerts
from monitord_client.v1 import contact_service_pb2 as contacts
from monitord_client.v1 import incident_service_pb2 as incidents
from monitord_client.v1.alert_pb2 import Alert
from monitord_client.v1.alert_service_pb2_grpc import AlertServiceServicer
from monitord_client.v1.contact_pb2 import AlertSettings, Contact
from monitord_client.v1.contact_service_pb2_grpc import ContactServiceServicer
from monitord_client.v1.incident_pb2 import Incident, TimelineEntry
from monitord_client.v1.incident_service_pb2_grpc import IncidentServiceServicer

SECRETS = {
    "slack": "webhook_url",
    "teams": "webhook_url",
    "discord": "webhook_url",
    "telegram": "bot_token",
    "pagerduty": "routing_key",
    "apprise": "url",
    "webhook": "signing_key",
}
CHANNELS = {field.name for field in Contact.DESCRIPTOR.oneofs_by_name["channel"].fields}
CODE = "12345678"
USUAL = [contact_pb2.AlertKind.Value(f"ALERT_KIND_{word}") for word in ("DOWN", "UP", "DEGRADED", "FAULTED")]
USUAL.append(contact_pb2.ALERT_KIND_CERTIFICATE)


class FakeContacts(ContactServiceServicer):
    """Contacts whose secrets are kept apart, and who is told what of which monitor."""

    contacts: dict[int, Contact]
    contact_secrets: dict[int, dict[str, str]]
    configs: dict[tuple[int, int], AlertSettings]
    report: contacts.DeliveryReport

    def meet(self, contact: Contact) -> Contact:
        """Store a contact."""
        stored = Contact()
        stored.CopyFrom(contact)
        stored.id, stored.etag = len(self.contacts) + 1, uuid.uuid4().hex
        stored.time_zone = stored.time_zone or "UTC"
        stored.create_time.GetCurrentTime()
        stored.update_time.GetCurrentTime()
        if not stored.HasField("email"):
            stored.verify_time.GetCurrentTime()
        self._settle(stored)
        self.contacts[stored.id] = stored
        return stored

    def _settle(self, stored: Contact) -> None:
        """Keep secrets out of sight, and fill defaults in, as the server does."""
        kind = stored.WhichOneof("channel") or ""
        channel: Any = getattr(stored, kind)
        if name := SECRETS.get(kind):
            if value := getattr(channel, name):
                self.contact_secrets.setdefault(stored.id, {})[name] = value
            channel.ClearField(name)
        for header in channel.headers if kind == "webhook" else ():
            if header.secret and header.value:
                self.contact_secrets.setdefault(stored.id, {})[header.name] = header.value
                header.value = ""
        if kind == "pagerduty" and not channel.region:
            channel.region = contact_pb2.PAGER_DUTY_REGION_US
        stored.destination = channel.address if kind == "email" else kind.title()
        if stored.HasField("default_settings"):
            stored.default_settings.CopyFrom(self._full(stored.default_settings))

    @staticmethod
    def _full(settings: AlertSettings) -> AlertSettings:
        full = AlertSettings(active=True)
        full.MergeFrom(settings)
        for name in ("delay", "escalate_after", "reminder_interval"):
            getattr(full, name).SetInParent()
        if not full.kinds:
            full.kinds.extend(USUAL + ([contact_pb2.ALERT_KIND_SLOW] if full.HasField("slow_threshold") else []))
        return full

    async def _contact(self: Any, contact_id: int, etag: str, context: Any) -> Contact:
        if contact_id not in self.contacts:
            await self.refuse(context, StatusCode.NOT_FOUND, "NOT_FOUND", f"there is no contact {contact_id}")
        stored: Contact = self.contacts[contact_id]
        if etag and etag != stored.etag:
            await self.refuse(context, StatusCode.ABORTED, "ETAG_MISMATCH", "it was changed")
        return stored

    async def _judge(self: Any, contact: Contact, stored: Contact | None, context: Any) -> None:
        kind = contact.WhichOneof("channel")
        if kind is None:
            await self.refuse_field(context, "contact.email", "must be set, or one of the others")
        name = SECRETS.get(kind)
        kept = stored is not None and stored.WhichOneof("channel") == kind
        if name and kind != "webhook" and not getattr(getattr(contact, kind), name) and not kept:
            await self.refuse_field(context, f"contact.{kind}.{name}", "must be given")
        if kind == "email" and "@" not in contact.email.address:
            await self.refuse_field(context, "contact.email.address", "must be an address")

    async def CreateContact(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("CreateContact", request, context)
        await self._judge(request.contact, None, context)
        is_new = request.request_id not in self._answers
        if is_new and any(each.name == request.contact.name for each in self.contacts.values()):
            await self.refuse(context, StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS", "names are unique")
        answer = await self._once(
            request, context, lambda: contacts.CreateContactResponse(contact=self.meet(request.contact))
        )
        await self._leave(context, fault)
        return answer

    async def GetContact(self: Any, request: Any, context: Any) -> Any:
        await self._enter("GetContact", request, context)
        return contacts.GetContactResponse(contact=await self._contact(request.id, "", context))

    async def ListContacts(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListContacts", request, context)
        page, token = await self._page(list(self.contacts.values()), request, context)
        return contacts.ListContactsResponse(contacts=page, next_page_token=token)

    async def UpdateContact(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("UpdateContact", request, context)
        stored = await self._contact(request.contact.id, request.contact.etag, context)
        paths = set(request.update_mask.paths)
        assert paths <= {"name", "time_zone", "default_settings", *CHANNELS}
        if paths & CHANNELS:
            await self._judge(request.contact, stored, context)
        before = (stored.SerializeToString(deterministic=True), dict(self.contact_secrets.get(stored.id, {})))
        for path in paths:  # each as a whole, as the contract says
            if request.contact.HasField(path) if path not in ("name", "time_zone") else True:
                value = getattr(request.contact, path)
                if isinstance(value, Message):
                    getattr(stored, path).CopyFrom(value)
                else:
                    setattr(stored, path, value or "UTC")
            else:
                stored.ClearField(path)
        self._settle(stored)
        if before != (stored.SerializeToString(deterministic=True), self.contact_secrets.get(stored.id, {})):
            stored.etag = uuid.uuid4().hex
        await self._leave(context, fault)
        return contacts.UpdateContactResponse(contact=stored)

    async def DeleteContact(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("DeleteContact", request, context)
        await self._contact(request.id, request.etag, context)
        del self.contacts[request.id]
        for pair in [pair for pair in self.configs if pair[1] == request.id]:
            del self.configs[pair]
        await self._leave(context, fault)
        return contacts.DeleteContactResponse()

    async def SendConfirmation(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("SendConfirmation", request, context)
        stored = await self._contact(request.id, "", context)
        if not stored.HasField("email"):
            await self.refuse(context, StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION", "only addresses confirm")
        await self._leave(context, fault)
        return contacts.SendConfirmationResponse(report=self.report)

    async def ConfirmContact(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("ConfirmContact", request, context)
        stored = await self._contact(request.id, "", context)
        if request.code.replace(" ", "").replace("-", "") != CODE or stored.HasField("verify_time"):
            await self.refuse(context, StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION", "that is not the code")
        stored.verify_time.GetCurrentTime()
        await self._leave(context, fault)
        return contacts.ConfirmContactResponse(contact=stored)

    async def UnsubscribeContact(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("UnsubscribeContact", request, context)
        stored = await self._contact(request.id, "", context)
        stored.disabled_reason = "unsubscribed"
        await self._leave(context, fault)
        return contacts.UnsubscribeContactResponse(contact=stored)

    async def TestContact(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("TestContact", request, context)
        await self._contact(request.id, "", context)
        await self._leave(context, fault)
        return contacts.TestContactResponse(report=self.report)

    async def SetAlertConfig(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("SetAlertConfig", request, context)
        config = request.config
        await self._monitor(config.monitor_id, context)
        await self._contact(config.contact_id, "", context)
        full = self._full(config.settings)
        if 0 < full.reminder_interval.seconds < 300:
            await self.refuse_field(context, "config.settings.reminder_interval", "must be 5 min to 7 days")
        self.configs[config.monitor_id, config.contact_id] = full
        await self._leave(context, fault)
        return contacts.SetAlertConfigResponse(config=self._config((config.monitor_id, config.contact_id)))

    def _config(self, pair: tuple[int, int]) -> contact_pb2.AlertConfig:
        return contact_pb2.AlertConfig(monitor_id=pair[0], contact_id=pair[1], settings=self.configs[pair])

    async def ListAlertConfigs(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListAlertConfigs", request, context)
        found = [
            self._config(pair)
            for pair in sorted(self.configs)
            if request.monitor_id in (0, pair[0]) and request.contact_id in (0, pair[1])
        ]
        page, token = await self._page(found, request, context)
        return contacts.ListAlertConfigsResponse(configs=page, next_page_token=token)

    async def DeleteAlertConfig(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("DeleteAlertConfig", request, context)
        if (request.monitor_id, request.contact_id) not in self.configs:
            await self.refuse(context, StatusCode.NOT_FOUND, "NOT_FOUND", "it was told nothing")
        del self.configs[request.monitor_id, request.contact_id]
        await self._leave(context, fault)
        return contacts.DeleteAlertConfigResponse()


class FakeIncidents(IncidentServiceServicer):
    """Incidents, and a stream of what happens to them: each connection goes by a script that a test wrote."""

    incidents: dict[int, Incident]
    timelines: dict[int, list[TimelineEntry]]
    scripts: list[list[Any]]
    """What each connection says: messages, and at last a Fault, or nothing: it stays open."""
    watched: list[incidents.WatchIncidentsRequest]

    async def _incident(self: Any, incident_id: int, context: Any) -> Incident:
        if incident_id not in self.incidents:
            await self.refuse(context, StatusCode.NOT_FOUND, "NOT_FOUND", f"There is no incident {incident_id}.")
        found: Incident = self.incidents[incident_id]
        return found

    async def GetIncident(self: Any, request: Any, context: Any) -> Any:
        await self._enter("GetIncident", request, context)
        incident = await self._incident(request.id, context)
        return incidents.GetIncidentResponse(incident=incident, timeline=self.timelines.get(request.id, []))

    async def ListIncidents(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListIncidents", request, context)
        found = [
            each
            for each in reversed(self.incidents.values())
            if request.monitor_id in (0, each.monitor_id)
            and (not request.HasField("open") or request.open != each.HasField("resolve_time"))
        ]
        page, token = await self._page(found, request, context)
        return incidents.ListIncidentsResponse(incidents=page, next_page_token=token)

    async def AcknowledgeIncident(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("AcknowledgeIncident", request, context)
        incident = await self._incident(request.id, context)
        if incident.HasField("resolve_time"):
            await self.refuse(context, StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION", "The incident is over.")
        incident.acknowledge_time.GetCurrentTime()
        incident.acknowledged_by = "ada@example.com"
        await self._leave(context, fault)
        return incidents.AcknowledgeIncidentResponse(incident=incident)

    async def WatchIncidents(self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._enter("WatchIncidents", request, context)
        self.watched.append(request)
        for message in self.scripts.pop(0) if self.scripts else []:
            if not isinstance(message, Message):
                await self._abort(context, message)
            yield message
        async with self.changed:
            await self.changed.wait()


class FakeAlerts(AlertServiceServicer):
    """The history of alerts."""

    alerts: dict[int, Alert]
    reasons: list[str]

    async def _alert(self: Any, alert_id: int, context: Any) -> Alert:
        if alert_id not in self.alerts:
            await self.refuse(context, StatusCode.NOT_FOUND, "NOT_FOUND", f"There is no alert {alert_id}.")
        found: Alert = self.alerts[alert_id]
        return found

    def _found(self, which: Any) -> list[Alert]:
        return [
            each
            for each in self.alerts.values()
            if which.monitor_id in (0, each.monitor_id)
            and which.contact_id in (0, each.contact_id)
            and which.incident_id in (0, each.incident_id)
            and (not which.states or each.state in which.states)
            and (not which.kinds or each.kind in which.kinds)
            and (not which.HasField("start_time") or each.create_time.seconds >= which.start_time.seconds)
        ]

    async def GetAlert(self: Any, request: Any, context: Any) -> Any:
        await self._enter("GetAlert", request, context)
        return alerts.GetAlertResponse(alert=await self._alert(request.id, context))

    async def ListAlerts(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ListAlerts", request, context)
        found = []
        for each in reversed(self._found(request.filter)):
            bare = Alert()
            bare.CopyFrom(each)
            bare.ClearField("attempts")  # in GetAlert and timelines only
            found.append(bare)
        page, token = await self._page(found, request, context)
        return alerts.ListAlertsResponse(alerts=page, next_page_token=token)

    async def ExportAlerts(self: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        fault = await self._enter("ExportAlerts", request, context)
        yield alerts.ExportAlertsResponse(chunk=b"id,kind\r\n")
        await self._leave(context, fault)
        for alert in self._found(request.filter):
            line = io.StringIO(newline="")
            csv.writer(line).writerow([alert.id, alert.kind])
            yield alerts.ExportAlertsResponse(chunk=line.getvalue().encode())

    async def RetryDelivery(self: Any, request: Any, context: Any) -> Any:
        fault = await self._enter("RetryDelivery", request, context)
        alert = await self._alert(request.id, context)
        if alert.state != alert_pb2.ALERT_STATE_DEAD:
            await self.refuse(context, StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION", "it was not given up")
        alert.state = alert_pb2.ALERT_STATE_PENDING
        await self._leave(context, fault)
        return alerts.RetryDeliveryResponse(alert=alert)

    async def ExplainAlert(self: Any, request: Any, context: Any) -> Any:
        await self._enter("ExplainAlert", request, context)
        await self._monitor(request.monitor_id, context)
        await self._contact(request.contact_id, "", context)
        made = [each for each in self.alerts.values() if each.contact_id == request.contact_id]
        told = any(each.state == alert_pb2.ALERT_STATE_SENT for each in made)
        return alerts.ExplainAlertResponse(told=told, reasons=self.reasons, alerts=made)
