"""Which method asks for what: an explicit table, and whatever is not in it is refused (deny by default)."""

from dataclasses import dataclass, replace

from monitord.domain.errors import PermissionDeniedError
from monitord.domain.organisation import Role
from monitord.identity.principal import Principal, Scope


@dataclass(frozen=True, slots=True)
class Rule:
    """What a method asks of a call. Credential and role both have to allow it."""

    scope: Scope | None
    """The least scope of the caller's credential; None: no proof of identity is needed."""
    role: Role = Role.VIEWER
    """The least role of the caller in the organisation in which they act."""
    monitors: str | None = None
    """Where a request names the monitors it is about, for keys that are for some monitors; empty: the handler sees
    to it; None: a call by such a key is refused (``rpc.reach``)."""
    default_deadline_s: float = 10.0
    """How long a unary call may take when the caller names no deadline."""
    longest_deadline_s: float = 60.0
    """How long it may take at most, whatever the caller says."""
    counted: bool = True
    """Whether calls without proof count for the rate of their network (``rpc.rates``)."""


def require(rule: Rule, principal: Principal) -> None:
    """Raise PermissionDeniedError, which says what is missing, unless a rule lets somebody in."""
    if rule.scope is not None and principal.scope < rule.scope:
        raise PermissionDeniedError(
            f"this needs a credential of scope {rule.scope.name}, and yours is {principal.scope.name}"
        )
    if principal.role < rule.role:
        raise PermissionDeniedError(
            f"this needs the role {rule.role.name} in the organisation {principal.org_id}, and yours is "
            f"{principal.role.name}"
        )


_READ = Rule(Scope.READ)
_READ_ONE = Rule(Scope.READ, monitors="id")
_READ_OF = Rule(Scope.READ, monitors="monitor_id")
_WRITE = Rule(Scope.WRITE, Role.EDITOR)
_WRITE_ONE = Rule(Scope.WRITE, Role.EDITOR, monitors="id")
_OWN = Rule(Scope.ADMIN)
"""The caller's own account and keys: whoever they are in the organisation."""
_LEAVE = Rule(Scope.ADMIN, default_deadline_s=60.0)
"""As _OWN; all monitors are paused, or resumed."""
_MANAGE = Rule(Scope.ADMIN, Role.ADMIN)
_POSSESS = Rule(Scope.ADMIN, Role.OWNER, default_deadline_s=30.0)
_PUBLIC = Rule(None)
_HEALTH = Rule(None, counted=False)
"""A load balancer that is refused takes a server away that is well; asking costs a look at one flag."""
_ONE_CHECK = Rule(Scope.WRITE, Role.EDITOR, default_deadline_s=130.0, longest_deadline_s=130.0)
"""A check may take 60 s, and may have to wait for one under way; the handlers know the monitor's own timeout."""
_ONE_MESSAGE = Rule(Scope.WRITE, Role.EDITOR, default_deadline_s=40.0)
"""An attempt to deliver may take 30 s."""
_CHECK_NOW = replace(_ONE_CHECK, monitors="id")
_MANY_WRITES = Rule(Scope.WRITE, Role.EDITOR, default_deadline_s=30.0)

_MONITORS = "/monitord.v1.MonitorService/"
_LOGS = "/monitord.v1.CheckLogService/"
_MAINTENANCE = "/monitord.v1.MaintenanceService/"
_CONTACTS = "/monitord.v1.ContactService/"
_INCIDENTS = "/monitord.v1.IncidentService/"
_ALERTS = "/monitord.v1.AlertService/"
_HEARTBEATS = "/monitord.v1.HeartbeatService/"
_AUTH = "/monitord.v1.AuthService/"
_ACCOUNTS = "/monitord.v1.AccountService/"
_ORGANISATIONS = "/monitord.v1.OrganisationService/"

RULES: dict[str, Rule] = {
    _MONITORS + "CreateMonitor": Rule(Scope.WRITE, Role.EDITOR, monitors=""),
    _MONITORS + "GetMonitor": _READ_ONE,
    _MONITORS + "ListMonitors": Rule(Scope.READ, monitors=""),
    _MONITORS + "UpdateMonitor": Rule(Scope.WRITE, Role.EDITOR, monitors="monitor.id"),
    _MONITORS + "DeleteMonitor": _WRITE_ONE,
    _MONITORS + "PauseMonitor": _WRITE_ONE,
    _MONITORS + "ResumeMonitor": _WRITE_ONE,
    _MONITORS + "CheckNow": _CHECK_NOW,
    _MONITORS + "TestMonitor": _ONE_CHECK,
    _MONITORS + "GetMonitorMetrics": _READ_ONE,
    _MONITORS + "ApplyMonitors": _MANY_WRITES,
    _LOGS + "ListCheckLogs": _READ_OF,
    _LOGS + "GetCheckLog": _READ_OF,
    _LOGS + "TailCheckLogs": Rule(Scope.READ, monitors="monitor_ids"),
    _MAINTENANCE + "CreateMaintenanceWindow": _WRITE,
    _MAINTENANCE + "GetMaintenanceWindow": _READ,
    _MAINTENANCE + "ListMaintenanceWindows": _READ,
    _MAINTENANCE + "UpdateMaintenanceWindow": _WRITE,
    _MAINTENANCE + "DeleteMaintenanceWindow": _WRITE,
    _CONTACTS + "CreateContact": _WRITE,
    _CONTACTS + "GetContact": _READ,
    _CONTACTS + "ListContacts": _READ,
    _CONTACTS + "UpdateContact": _WRITE,
    _CONTACTS + "DeleteContact": _WRITE,
    _CONTACTS + "SendConfirmation": _ONE_MESSAGE,
    _CONTACTS + "ConfirmContact": _WRITE,
    _CONTACTS + "UnsubscribeContact": _WRITE,
    _CONTACTS + "TestContact": _ONE_MESSAGE,
    _CONTACTS + "SetAlertConfig": _WRITE,
    _CONTACTS + "ListAlertConfigs": _READ,
    _CONTACTS + "DeleteAlertConfig": _WRITE,
    _INCIDENTS + "GetIncident": _READ,
    _INCIDENTS + "ListIncidents": _READ_OF,
    _INCIDENTS + "AcknowledgeIncident": _WRITE,
    _INCIDENTS + "WatchIncidents": _READ,
    _ALERTS + "GetAlert": _READ,
    _ALERTS + "ListAlerts": _READ,
    _ALERTS + "ExportAlerts": _READ,
    _ALERTS + "RetryDelivery": _WRITE,
    _ALERTS + "ExplainAlert": _READ,
    _HEARTBEATS + "Ping": Rule(Scope.WRITE, Role.EDITOR, monitors="monitor_id"),
    _HEARTBEATS + "ListPings": _READ_OF,
    _AUTH + "Login": _PUBLIC,
    _AUTH + "Refresh": _PUBLIC,
    _AUTH + "Logout": _PUBLIC,
    _AUTH + "LoginWithIdToken": _PUBLIC,
    _AUTH + "GetUser": _READ,
    _AUTH + "CreateApiKey": _OWN,
    _AUTH + "ListApiKeys": _OWN,
    _AUTH + "RevokeApiKey": _OWN,
    "/monitord.v1.AuditService/ListAuditEvents": _MANAGE,
    _ACCOUNTS + "Register": _PUBLIC,
    _ACCOUNTS + "VerifyEmail": _PUBLIC,
    _ACCOUNTS + "RequestPasswordReset": _PUBLIC,
    _ACCOUNTS + "ResetPassword": _PUBLIC,
    _ACCOUNTS + "ChangePassword": _OWN,
    _ACCOUNTS + "InviteUser": _OWN,
    _ACCOUNTS + "UpdateUser": _OWN,
    _ACCOUNTS + "CompleteProfile": _OWN,
    _ACCOUNTS + "ExportAccount": _OWN,
    _ACCOUNTS + "DeleteAccount": _LEAVE,
    _ACCOUNTS + "CancelAccountDeletion": _LEAVE,
    _ACCOUNTS + "ListSessions": _OWN,
    _ACCOUNTS + "RevokeSession": _OWN,
    _ORGANISATIONS + "CreateOrganisation": _OWN,
    _ORGANISATIONS + "GetOrganisation": _READ,
    _ORGANISATIONS + "GetUsage": _READ,
    _ORGANISATIONS + "ListOrganisations": _OWN,
    _ORGANISATIONS + "UpdateOrganisation": _MANAGE,
    _ORGANISATIONS + "DeleteOrganisation": _POSSESS,
    _ORGANISATIONS + "ListMembers": _READ,
    _ORGANISATIONS + "UpdateMember": _MANAGE,
    _ORGANISATIONS + "RemoveMember": _MANAGE,
    _ORGANISATIONS + "LeaveOrganisation": _OWN,
    _ORGANISATIONS + "InviteMember": _MANAGE,
    _ORGANISATIONS + "ListInvitations": _MANAGE,
    _ORGANISATIONS + "RevokeInvitation": _MANAGE,
    _ORGANISATIONS + "ListOwnInvitations": _OWN,
    _ORGANISATIONS + "AcceptInvitation": _OWN,
    _ORGANISATIONS + "DeclineInvitation": _OWN,
    "/grpc.health.v1.Health/Check": _HEALTH,
    "/grpc.health.v1.Health/List": _HEALTH,
    "/grpc.health.v1.Health/Watch": _HEALTH,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _PUBLIC,
}
