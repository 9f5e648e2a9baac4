from itertools import product

import pytest

from monitord.domain.errors import FailedPreconditionError, PermissionDeniedError
from monitord.domain.organisation import Role
from monitord.domain.rules.membership import judge_change, judge_leaving, of_name
from monitord.v1 import organisation_pb2

ROLES = [None, *Role]


def outcome(actor: Role, before: Role | None, after: Role | None, owners: int) -> str:
    try:
        judge_change(actor, before, after, owners)
    except PermissionDeniedError:
        return "denied"
    except FailedPreconditionError:
        return "ownerless"
    return "done"


@pytest.mark.parametrize(("actor", "before", "after"), list(product(Role, ROLES, ROLES)))
def test_who_decides_what(actor: Role, before: Role | None, after: Role | None) -> None:
    """Nobody below an administrator decides anything; nobody below an owner touches or makes an owner."""
    allowed = actor >= Role.ADMIN and (Role.OWNER not in (before, after) or actor is Role.OWNER)
    assert outcome(actor, before, after, owners=2) == ("done" if allowed else "denied")


@pytest.mark.parametrize("after", ROLES)
def test_the_last_owner_stays(after: Role | None) -> None:
    stays = after is Role.OWNER
    assert outcome(Role.OWNER, Role.OWNER, after, owners=1) == ("done" if stays else "ownerless")
    assert outcome(Role.OWNER, Role.OWNER, after, owners=2) == "done"


def test_anybody_but_the_last_owner_may_leave() -> None:
    for role in (Role.VIEWER, Role.EDITOR, Role.ADMIN):
        judge_leaving(role, None, 1)
    with pytest.raises(FailedPreconditionError, match="make somebody else an owner"):
        judge_leaving(Role.OWNER, None, 1)


@pytest.mark.parametrize("name", ["", " shop", "shop ", "a\nb", "a\u2028b", "x" * 101, "\u202eevil"])
def test_names_that_would_harm(name: str) -> None:
    assert [one.field for one in of_name(name, "here")] == ["here"]


@pytest.mark.parametrize("name", ["Shop", "x" * 100, "Ünïcode & Söhne GmbH"])
def test_names_that_are_fine(name: str) -> None:
    assert list(of_name(name, "here")) == []


def test_the_numbers_of_roles_are_those_of_the_api() -> None:
    assert {f"ROLE_{role.name}": int(role) for role in Role} == {
        name: number for name, number in organisation_pb2.Role.items() if number
    }
