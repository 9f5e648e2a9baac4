"""The settings of accounts: who may have one."""

import re

from pydantic import BaseModel, Field, field_validator

from monitord.domain.account import RegistrationMode

_PLAN = re.compile(r"[A-Z][A-Z0-9_]{0,30}")


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
    default_plan: str = Field(
        "auto",
        description="The plan of organisations that are made from now on: `none`, the name of one (`monitord plans`), "
        "or `auto`, which is `FREE` where `MONITORD_REGISTRATION=open`, else none. The first administrator has none.",
    )

    @field_validator("default_plan", mode="after")
    @classmethod
    def _plan(cls, value: str) -> str:
        if value.lower() in ("auto", "none"):
            return value.lower()
        if not _PLAN.fullmatch(value.upper()):
            raise ValueError("it should be auto, none, or the name of a plan such as FREE")
        return value.upper()

    @property
    def plan_of_new(self) -> str | None:
        """The name of the plan that new organisations get; None: none."""
        if self.default_plan == "auto":
            return "FREE" if self.registration is RegistrationMode.OPEN else None
        return None if self.default_plan == "none" else self.default_plan
