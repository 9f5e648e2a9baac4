"""Who may have an account."""

from enum import StrEnum


class RegistrationMode(StrEnum):
    """Who may register."""

    OFF = "off"
    INVITATION = "invitation"
    OPEN = "open"
