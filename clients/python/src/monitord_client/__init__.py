"""The async client of monitord.

Names are loaded when they are first used: ``monitorctl --help`` should not wait for gRPC.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitord_client.address import Tls as Tls
    from monitord_client.alerts import alert_filter as alert_filter
    from monitord_client.build import http_monitor as http_monitor
    from monitord_client.build import monitor_of as monitor_of
    from monitord_client.client import Client as Client
    from monitord_client.credentials import MemoryStore as MemoryStore
    from monitord_client.credentials import TokenStore as TokenStore
    from monitord_client.errors import AbortedError as AbortedError
    from monitord_client.errors import AlreadyExistsError as AlreadyExistsError
    from monitord_client.errors import DeadlineExceededError as DeadlineExceededError
    from monitord_client.errors import EtagMismatchError as EtagMismatchError
    from monitord_client.errors import FailedPreconditionError as FailedPreconditionError
    from monitord_client.errors import InsecureChannelError as InsecureChannelError
    from monitord_client.errors import InternalError as InternalError
    from monitord_client.errors import InvalidArgumentError as InvalidArgumentError
    from monitord_client.errors import MonitordError as MonitordError
    from monitord_client.errors import NotFoundError as NotFoundError
    from monitord_client.errors import PermissionDeniedError as PermissionDeniedError
    from monitord_client.errors import ResourceExhaustedError as ResourceExhaustedError
    from monitord_client.errors import UnauthenticatedError as UnauthenticatedError
    from monitord_client.errors import UnavailableError as UnavailableError
    from monitord_client.errors import UnimplementedError as UnimplementedError
    from monitord_client.errors import Violation as Violation
    from monitord_client.incident_stream import Acknowledged as Acknowledged
    from monitord_client.incident_stream import IncidentEvent as IncidentEvent
    from monitord_client.incident_stream import Opened as Opened
    from monitord_client.incident_stream import Resolved as Resolved
    from monitord_client.tail import Disconnected as Disconnected
    from monitord_client.tail import Gap as Gap
    from monitord_client.tail import Heartbeat as Heartbeat
    from monitord_client.tail import Reconnected as Reconnected
    from monitord_client.tail import Row as Row
    from monitord_client.tail import TailEvent as TailEvent
    from monitord_client.v1.alert_pb2 import Alert as Alert
    from monitord_client.v1.alert_pb2 import AlertState as AlertState
    from monitord_client.v1.alert_pb2 import DeliveryAttempt as DeliveryAttempt
    from monitord_client.v1.audit_service_pb2 import AuditEvent as AuditEvent
    from monitord_client.v1.auth_pb2 import ApiKey as ApiKey
    from monitord_client.v1.auth_pb2 import Scope as Scope
    from monitord_client.v1.auth_pb2 import User as User
    from monitord_client.v1.check_log_pb2 import CheckLog as CheckLog
    from monitord_client.v1.check_log_pb2 import CheckTrigger as CheckTrigger
    from monitord_client.v1.check_log_pb2 import Verdict as Verdict
    from monitord_client.v1.connection_pb2 import AddressFamily as AddressFamily
    from monitord_client.v1.connection_pb2 import HttpHeader as HttpHeader
    from monitord_client.v1.connection_pb2 import Security as Security
    from monitord_client.v1.connection_pb2 import TlsSettings as TlsSettings
    from monitord_client.v1.connection_pb2 import TlsVerification as TlsVerification
    from monitord_client.v1.contact_pb2 import AlertConfig as AlertConfig
    from monitord_client.v1.contact_pb2 import AlertKind as AlertKind
    from monitord_client.v1.contact_pb2 import AlertSettings as AlertSettings
    from monitord_client.v1.contact_pb2 import AppriseContact as AppriseContact
    from monitord_client.v1.contact_pb2 import Contact as Contact
    from monitord_client.v1.contact_pb2 import DiscordContact as DiscordContact
    from monitord_client.v1.contact_pb2 import EmailContact as EmailContact
    from monitord_client.v1.contact_pb2 import PagerDutyContact as PagerDutyContact
    from monitord_client.v1.contact_pb2 import PagerDutyRegion as PagerDutyRegion
    from monitord_client.v1.contact_pb2 import QuietHours as QuietHours
    from monitord_client.v1.contact_pb2 import SlackContact as SlackContact
    from monitord_client.v1.contact_pb2 import TeamsContact as TeamsContact
    from monitord_client.v1.contact_pb2 import TelegramContact as TelegramContact
    from monitord_client.v1.contact_pb2 import WebhookContact as WebhookContact
    from monitord_client.v1.contact_service_pb2 import DeliveryReport as DeliveryReport
    from monitord_client.v1.database_check_pb2 import MysqlCheck as MysqlCheck
    from monitord_client.v1.database_check_pb2 import PostgresCheck as PostgresCheck
    from monitord_client.v1.database_check_pb2 import RedisCheck as RedisCheck
    from monitord_client.v1.dns_check_pb2 import DnsCheck as DnsCheck
    from monitord_client.v1.group_check_pb2 import GroupCheck as GroupCheck
    from monitord_client.v1.grpc_check_pb2 import GrpcCheck as GrpcCheck
    from monitord_client.v1.heartbeat_check_pb2 import CronSchedule as CronSchedule
    from monitord_client.v1.heartbeat_check_pb2 import HeartbeatCheck as HeartbeatCheck
    from monitord_client.v1.heartbeat_service_pb2 import Ping as Ping
    from monitord_client.v1.heartbeat_service_pb2 import PingKind as PingKind
    from monitord_client.v1.http_check_pb2 import HttpCheck as HttpCheck
    from monitord_client.v1.icmp_check_pb2 import IcmpCheck as IcmpCheck
    from monitord_client.v1.incident_pb2 import Incident as Incident
    from monitord_client.v1.incident_pb2 import TimelineEntry as TimelineEntry
    from monitord_client.v1.maintenance_pb2 import MaintenanceWindow as MaintenanceWindow
    from monitord_client.v1.maintenance_pb2 import OneTime as OneTime
    from monitord_client.v1.maintenance_pb2 import RecurringTime as RecurringTime
    from monitord_client.v1.monitor_pb2 import Monitor as Monitor
    from monitord_client.v1.monitor_pb2 import MonitorStatus as MonitorStatus
    from monitord_client.v1.monitor_pb2 import MonitorType as MonitorType
    from monitord_client.v1.monitor_service_pb2 import AppliedMonitor as AppliedMonitor
    from monitord_client.v1.monitor_service_pb2 import ApplyAction as ApplyAction
    from monitord_client.v1.monitor_service_pb2 import MonitorOrder as MonitorOrder
    from monitord_client.v1.organisation_pb2 import Invitation as Invitation
    from monitord_client.v1.organisation_pb2 import Member as Member
    from monitord_client.v1.organisation_pb2 import Organisation as Organisation
    from monitord_client.v1.organisation_pb2 import Role as Role
    from monitord_client.v1.tcp_check_pb2 import TcpCheck as TcpCheck
    from monitord_client.v1.tls_check_pb2 import TlsCheck as TlsCheck
    from monitord_client.v1.websocket_check_pb2 import WebsocketCheck as WebsocketCheck

_PLACES = {
    "address": "Tls",
    "build": "http_monitor monitor_of",
    "client": "Client",
    "credentials": "MemoryStore TokenStore",
    "errors": "AbortedError AlreadyExistsError DeadlineExceededError EtagMismatchError FailedPreconditionError "
    "InsecureChannelError InternalError InvalidArgumentError MonitordError NotFoundError PermissionDeniedError "
    "ResourceExhaustedError UnauthenticatedError UnavailableError UnimplementedError Violation",
    "tail": "Disconnected Gap Heartbeat Reconnected Row TailEvent",
    "alerts": "alert_filter",
    "incident_stream": "Acknowledged IncidentEvent Opened Resolved",
    "v1.alert_pb2": "Alert AlertState DeliveryAttempt",
    "v1.contact_pb2": "AlertConfig AlertKind AlertSettings AppriseContact Contact DiscordContact EmailContact "
    "PagerDutyContact PagerDutyRegion QuietHours SlackContact TeamsContact TelegramContact WebhookContact",
    "v1.contact_service_pb2": "DeliveryReport",
    "v1.incident_pb2": "Incident TimelineEntry",
    "v1.audit_service_pb2": "AuditEvent",
    "v1.auth_pb2": "ApiKey Scope User",
    "v1.check_log_pb2": "CheckLog CheckTrigger Verdict",
    "v1.connection_pb2": "AddressFamily HttpHeader Security TlsSettings TlsVerification",
    "v1.database_check_pb2": "MysqlCheck PostgresCheck RedisCheck",
    "v1.dns_check_pb2": "DnsCheck",
    "v1.group_check_pb2": "GroupCheck",
    "v1.grpc_check_pb2": "GrpcCheck",
    "v1.heartbeat_check_pb2": "CronSchedule HeartbeatCheck",
    "v1.heartbeat_service_pb2": "Ping PingKind",
    "v1.http_check_pb2": "HttpCheck",
    "v1.icmp_check_pb2": "IcmpCheck",
    "v1.maintenance_pb2": "MaintenanceWindow OneTime RecurringTime",
    "v1.organisation_pb2": "Invitation Member Organisation Role",
    "v1.tcp_check_pb2": "TcpCheck",
    "v1.tls_check_pb2": "TlsCheck",
    "v1.websocket_check_pb2": "WebsocketCheck",
    "v1.monitor_pb2": "Monitor MonitorStatus MonitorType",
    "v1.monitor_service_pb2": "AppliedMonitor ApplyAction MonitorOrder",
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
