"""What can go wrong with a request, as values that the edge translates. Each has one documented reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that is wrong, and a sentence that says what would be right."""

    field: str
    """The path as the request spells it, such as ``monitor.http.url``."""
    description: str


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """A limit of a plan that a request would pass, and a sentence that says which."""

    subject: str
    """Whose limit it is, such as ``organisation:7``."""
    description: str


class DomainError(Exception):
    """A request that cannot be answered as asked. ``reason`` is a value of ``ErrorReason`` in the API."""

    reason = "INTERNAL"

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata


class InvalidArgumentError(DomainError):
    """The request itself is wrong, whatever the state of the system."""

    reason = "INVALID_FIELD"

    def __init__(self, violations: list[Violation], reason: str = "INVALID_FIELD") -> None:
        # Where the request as a whole is wrong, there is no field to name.
        super().__init__("; ".join(f"{v.field}: {v.description}".removeprefix(": ") for v in violations[:5]))
        self.violations = violations
        self.reason = reason


class NotFoundError(DomainError):
    """There is no such thing, or it is somebody else's: the two look the same."""

    reason = "NOT_FOUND"


class AlreadyExistsError(DomainError):
    """Something with this name is there already."""

    reason = "ALREADY_EXISTS"


class EtagMismatchError(DomainError):
    """Someone changed the thing since the caller read it."""

    reason = "ETAG_MISMATCH"


class FailedPreconditionError(DomainError):
    """The system is not in a state in which this can be done."""

    reason = "FAILED_PRECONDITION"


class RequestIdReusedError(DomainError):
    """The request_id was used within 24 hours for a different request (I14)."""

    reason = "REQUEST_ID_REUSED"


class UnauthenticatedError(DomainError):
    """Nobody proved who is asking."""

    reason = "UNAUTHENTICATED"


class PermissionDeniedError(DomainError):
    """Whoever is asking may not do this."""

    reason = "PERMISSION_DENIED"


class AddressNotAllowedError(PermissionDeniedError):
    """Whoever is asking may do this, but not from where they are."""

    reason = "ADDRESS_NOT_ALLOWED"


class ResourceExhaustedError(DomainError):
    """A limit is reached."""

    reason = "LIMIT_REACHED"

    def __init__(self, message: str, *, retry_after_s: float | None = None, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.retry_after_s = retry_after_s


class QuotaExceededError(ResourceExhaustedError):
    """The plan of an organisation has no room for what is asked for. Waiting does not help."""

    reason = "QUOTA_EXCEEDED"

    def __init__(self, violations: list[QuotaViolation], **metadata: str) -> None:
        super().__init__(" ".join(violation.description for violation in violations[:5]))
        self.metadata = metadata
        self.violations = violations


class UnavailableError(DomainError):
    """Something monitord needs, such as its database, is away for the moment."""

    reason = "STORAGE_UNAVAILABLE"


class NotReadyError(UnavailableError):
    """monitord is shutting down or starting: whoever comes back in a moment finds it, or its successor."""

    reason = "NOT_READY"


class ProviderUnavailableError(UnavailableError):
    """Who has to say whether a proof of identity is good, such as Firebase, does not answer. The text is for people."""

    reason = "IDENTITY_PROVIDER_UNAVAILABLE"
