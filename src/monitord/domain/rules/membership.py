"""Who may change whose place in an organisation."""

from collections.abc import Iterator

from monitord.domain.errors import FailedPreconditionError, PermissionDeniedError, Violation
from monitord.domain.organisation import LONGEST_NAME, Role


def judge_change(actor: Role, before: Role | None, after: Role | None, owners: int) -> None:
    """See to it that somebody of role ``actor`` may turn a member of role ``before`` into one of role ``after``.

    None: no member. ``owners`` is how many there are now. Raises PermissionDeniedError; FailedPreconditionError where
    nobody would own the organisation any more.
    """
    if actor < Role.ADMIN:
        raise PermissionDeniedError("Only administrators of the organisation decide who is a member of it.")
    if Role.OWNER in (before, after) and actor < Role.OWNER:
        raise PermissionDeniedError("Only owners of the organisation decide who owns it.")
    judge_leaving(before, after, owners)


def judge_leaving(before: Role | None, after: Role | None, owners: int) -> None:
    """Raise FailedPreconditionError where nobody would own the organisation any more."""
    if before is Role.OWNER and after is not Role.OWNER and owners <= 1:
        raise FailedPreconditionError(
            "This is the only owner of the organisation: make somebody else an owner first, or delete it."
        )


def of_name(name: str, field: str) -> Iterator[Violation]:
    """Yield what is wrong with what an organisation is to be called."""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        yield Violation(field, f"must be 1 to {LONGEST_NAME} printable characters, without spaces around them")
