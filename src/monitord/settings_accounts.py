"""The settings of accounts: who may have one."""

from pydantic import BaseModel, Field

from monitord.domain.account import RegistrationMode


class AccountSettings(BaseModel):
    """Who may have an account. A part of ``Settings``."""

    account_grace_days: int = Field(
        14,
        ge=0,
        le=90,
        description="How many days somebody who deletes their account (DeleteAccount) can come back; 0: it is deleted "
        "within a minute.",
    )
    audit_retention_days: int = Field(
        365, ge=1, le=3650, description="How long the audit log (ListAuditEvents) is kept, in days."
    )
    registration: RegistrationMode = Field(
        RegistrationMode.OFF,
        description="Who may register: `off` nobody, `invitation` those whom an administrator invites (InviteUser), "
        "`open` everybody, which demands `MONITORD_EGRESS_MODE=public`. Both need mail to be set up.",
    )
