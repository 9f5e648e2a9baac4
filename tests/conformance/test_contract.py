"""What the protos say, the code does: methods, scopes, fields, numbers, reasons, generated code."""

import inspect
import subprocess
from enum import IntEnum
from pathlib import Path
from typing import Any, get_args

import pytest
from google.protobuf.descriptor import EnumDescriptor, MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from monitord.domain import errors
from monitord.domain.check import Trigger, Verdict
from monitord.domain.connection import AddressFamily, Security
from monitord.domain.health import Status
from monitord.domain.kinds import Check
from monitord.domain.kinds.dns import DnsMatch, DnsRecordType, DnsTransport
from monitord.domain.kinds.http import Comparison, HttpVersion, TlsRequirement
from monitord.domain.kinds.tls import TlsVersion
from monitord.domain.monitor import MonitorSpec
from monitord.domain.organisation import Role
from monitord.domain.queries import ApplyAction, MonitorOrder
from monitord.domain.tail import TailEndReason
from monitord.identity.principal import Scope
from monitord.rpc import convert_contact, convert_maintenance, field_mask
from monitord.rpc.accounts import AccountService
from monitord.rpc.alerts import AlertService
from monitord.rpc.audit import AuditService
from monitord.rpc.auth import AuthHandler
from monitord.rpc.check_logs import CheckLogService
from monitord.rpc.contacts import ContactService
from monitord.rpc.convert_check import TYPES
from monitord.rpc.convert_monitor import mask_path
from monitord.rpc.errors import DeadlineExceededError
from monitord.rpc.heartbeats import HeartbeatService
from monitord.rpc.incidents import IncidentService
from monitord.rpc.maintenance import MaintenanceService
from monitord.rpc.monitors import MonitorService
from monitord.rpc.organisations import OrganisationService
from monitord.rpc.permissions import RULES
from monitord.rpc.server import SERVICE_NAMES
from monitord.v1 import (
    account_service_pb2,
    alert_service_pb2,
    audit_service_pb2,
    auth_pb2,
    auth_service_pb2,
    check_log_pb2,
    check_log_service_pb2,
    connection_pb2,
    contact_pb2,
    contact_service_pb2,
    dns_check_pb2,
    error_reason_pb2,
    heartbeat_service_pb2,
    http_check_pb2,
    incident_service_pb2,
    maintenance_pb2,
    maintenance_service_pb2,
    monitor_pb2,
    monitor_service_pb2,
    organisation_service_pb2,
    tls_check_pb2,
)

ROOT = Path(__file__).parents[2]

OURS: list[ServiceDescriptor] = [
    service
    for file in (
        monitor_service_pb2,
        check_log_service_pb2,
        maintenance_service_pb2,
        heartbeat_service_pb2,
        contact_service_pb2,
        incident_service_pb2,
        alert_service_pb2,
        auth_service_pb2,
        account_service_pb2,
        organisation_service_pb2,
        audit_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
]
OTHERS: list[Any] = [
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
]
HANDLERS: dict[str, type] = {
    "MonitorService": MonitorService,
    "CheckLogService": CheckLogService,
    "AuthService": AuthHandler,
    "MaintenanceService": MaintenanceService,
    "HeartbeatService": HeartbeatService,
    "ContactService": ContactService,
    "IncidentService": IncidentService,
    "AlertService": AlertService,
    "AccountService": AccountService,
    "OrganisationService": OrganisationService,
    "AuditService": AuditService,
}


def methods(services: list[ServiceDescriptor]) -> list[MethodDescriptor]:
    return [method for service in services for method in service.methods]


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def test_every_method_has_a_rule_and_every_rule_a_method() -> None:
    """Deny by default is kept by the interceptor; that nothing is denied by mistake, here."""
    assert set(RULES) == {path_of(method) for method in methods(OURS + OTHERS)}
    assert {service.full_name for service in OURS} == set(SERVICE_NAMES)


def test_no_method_takes_a_stream_of_its_callers_but_reflection() -> None:
    """The edge serves no such handler of ours, and HTTP/1.1 can't carry one: a browser could not call it."""
    assert [method.full_name for method in methods(OURS + OTHERS) if method.client_streaming] == [
        "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo"
    ]


_OWN_AFFAIRS = {
    *("Logout", "CreateApiKey", "ListApiKeys", "RevokeApiKey", "ChangePassword", "InviteUser", "UpdateUser"),
    *("ListSessions", "RevokeSession", "CreateOrganisation", "ListOrganisations", "LeaveOrganisation"),
    *("CompleteProfile", "DeleteAccount", "CancelAccountDeletion"),
    *("ListOwnInvitations", "AcceptInvitation", "DeclineInvitation"),
}
"""What a caller does about themselves: their role in the organisation plays no part."""


def test_nothing_is_changed_by_those_who_may_look() -> None:
    looks = ("Get", "List", "Tail", "Watch", "Export", "Explain")
    for method in methods(OURS):
        rule = RULES[path_of(method)]
        if rule.scope is None:
            continue
        assert (rule.scope is Scope.READ) <= method.name.startswith(looks), method.full_name
        if rule.role is Role.VIEWER and not method.name.startswith(looks):
            assert method.name in _OWN_AFFAIRS, method.full_name


def test_accounts_and_members_need_a_credential_for_all_of_it() -> None:
    for method in methods(OURS):
        rule = RULES[path_of(method)]
        about_people = method.containing_service.name in ("AccountService", "OrganisationService", "AuditService")
        if (about_people or "ApiKey" in method.name) and rule.scope is not None:
            assert rule.scope is (Scope.ADMIN if method.name not in _FOR_ALL_MEMBERS else Scope.READ), method.full_name


_FOR_ALL_MEMBERS = {"GetOrganisation", "GetUsage", "ListMembers"}


@pytest.mark.parametrize("method", methods(OURS), ids=lambda method: method.full_name)
def test_every_method_has_a_handler(method: MethodDescriptor) -> None:
    handler = HANDLERS[method.containing_service.name]
    assert method.name in vars(handler)
    run = vars(handler)[method.name]
    assert inspect.isasyncgenfunction(run) if method.server_streaming else inspect.iscoroutinefunction(run)


def test_every_field_of_a_monitor_is_either_a_users_or_the_servers() -> None:
    """(T11): whoever adds a field has to say whose it is."""
    fields = {field.name for field in monitor_pb2.Monitor.DESCRIPTOR.fields}
    assert set(field_mask.WRITABLE) | field_mask.OUTPUT_ONLY == fields
    assert not set(field_mask.WRITABLE) & field_mask.OUTPUT_ONLY
    kinds = monitor_pb2.Monitor.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert set(field_mask.WRITABLE_WITHIN) == {kind.name for kind in kinds}
    for kind in kinds:
        assert kind.message_type is not None
        server_sets = field_mask.OUTPUT_ONLY_WITHIN.get(kind.name, frozenset())
        assert set(field_mask.WRITABLE_WITHIN[kind.name]) | server_sets == {
            field.name for field in kind.message_type.fields
        }


def test_every_field_of_a_window_is_either_a_users_or_the_servers() -> None:
    """(T11)"""
    fields = {field.name for field in maintenance_pb2.MaintenanceWindow.DESCRIPTOR.fields}
    assert set(convert_maintenance.WRITABLE) | convert_maintenance.OUTPUT_ONLY == fields
    assert not set(convert_maintenance.WRITABLE) & convert_maintenance.OUTPUT_ONLY


def test_every_field_of_a_contact_is_either_a_users_or_the_servers() -> None:
    """(T11)"""
    fields = {field.name for field in contact_pb2.Contact.DESCRIPTOR.fields}
    assert set(convert_contact.WRITABLE) | convert_contact.OUTPUT_ONLY == fields
    assert not set(convert_contact.WRITABLE) & convert_contact.OUTPUT_ONLY


KINDS: dict[str, type[Check]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Check)}


def test_every_kind_of_check_is_in_the_api() -> None:
    assert set(KINDS) == set(field_mask.WRITABLE_WITHIN) == set(TYPES.values())
    assert len(TYPES) == len(monitor_pb2.MonitorType.values()) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_specification_has_its_path_in_the_api(kind: str) -> None:
    fields = [name for name in MonitorSpec.__struct_fields__ if name != "check"]
    assert {mask_path(field) for field in fields} | set(KINDS) == set(field_mask.WRITABLE)
    within = {mask_path(f"{kind}.{field}") for field in KINDS[kind].__struct_fields__}
    assert within == {f"{kind}.{field}" for field in field_mask.WRITABLE_WITHIN[kind]}


ENUMS: list[tuple[EnumDescriptor, type[IntEnum]]] = [
    (monitor_pb2.MonitorStatus.DESCRIPTOR, Status),
    (connection_pb2.AddressFamily.DESCRIPTOR, AddressFamily),
    (connection_pb2.Security.DESCRIPTOR, Security),
    (dns_check_pb2.DnsMatch.DESCRIPTOR, DnsMatch),
    (dns_check_pb2.DnsRecordType.DESCRIPTOR, DnsRecordType),
    (dns_check_pb2.DnsTransport.DESCRIPTOR, DnsTransport),
    (http_check_pb2.Comparison.DESCRIPTOR, Comparison),
    (http_check_pb2.HttpVersion.DESCRIPTOR, HttpVersion),
    (http_check_pb2.TlsRequirement.DESCRIPTOR, TlsRequirement),
    (tls_check_pb2.TlsVersion.DESCRIPTOR, TlsVersion),
    (check_log_pb2.Verdict.DESCRIPTOR, Verdict),
    (check_log_pb2.CheckTrigger.DESCRIPTOR, Trigger),
    (check_log_service_pb2.TailEndReason.DESCRIPTOR, TailEndReason),
    (monitor_service_pb2.MonitorOrder.DESCRIPTOR, MonitorOrder),
    (monitor_service_pb2.ApplyAction.DESCRIPTOR, ApplyAction),
    (auth_pb2.Scope.DESCRIPTOR, Scope),
]


@pytest.mark.parametrize(("sent", "meant"), ENUMS, ids=lambda one: one.__name__ if isinstance(one, type) else one.name)
def test_numbers_mean_the_same_in_the_api_and_in_the_domain(sent: EnumDescriptor, meant: type[IntEnum]) -> None:
    by_number = {value.number: value.name for value in sent.values if value.number}
    assert set(by_number) == {value.value for value in meant if value.value}
    for value in meant:
        if value.value:
            assert by_number[value.value].endswith(f"_{value.name}".removeprefix("_TLS"))


def _all(kind: type[Any]) -> list[type[Any]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in _all(sub))]


def test_every_reason_is_documented() -> None:
    reasons = {kind.reason for kind in _all(errors.DomainError)} | {"INVALID_PAGE_TOKEN", "INVALID_CURSOR"}
    assert DeadlineExceededError.reason in reasons
    documented = {name.removeprefix("ERROR_REASON_") for name in list(error_reason_pb2.ErrorReason.keys())}
    assert reasons <= documented


@pytest.mark.parametrize(
    "command",
    [[".venv/bin/buf", "lint"], [".venv/bin/buf", "format", "--exit-code", "--diff"], [".ci/protos", "--check"]],
)
def test_the_protos_are_clean_and_the_generated_code_is_theirs(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
