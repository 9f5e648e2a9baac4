from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from monitord.domain import errors
from monitord.domain.errors import InvalidArgumentError, Violation
from monitord.rpc.errors import DeadlineExceededError, status_for, status_of

ROOM = 8 * 1024 - 1024
"""What clients accept of trailers by default, less what gRPC itself puts there."""


def trailers(status: Any) -> int:
    """How many bytes a status takes: the message percent-encoded at worst, the details in base64 at worst."""
    return 3 * len(status.details.encode()) + len(status.trailing_metadata[0][1]) * 4 // 3


def details(status: Any) -> status_pb2.Status:
    return status_pb2.Status.FromString(status.trailing_metadata[0][1])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidArgumentError([]), StatusCode.INVALID_ARGUMENT),
        (errors.NotFoundError(""), StatusCode.NOT_FOUND),
        (errors.AlreadyExistsError(""), StatusCode.ALREADY_EXISTS),
        (errors.EtagMismatchError(""), StatusCode.ABORTED),
        (errors.FailedPreconditionError(""), StatusCode.FAILED_PRECONDITION),
        (errors.RequestIdReusedError(""), StatusCode.INVALID_ARGUMENT),
        (errors.UnauthenticatedError(""), StatusCode.UNAUTHENTICATED),
        (errors.PermissionDeniedError(""), StatusCode.PERMISSION_DENIED),
        (errors.ResourceExhaustedError(""), StatusCode.RESOURCE_EXHAUSTED),
        (errors.QuotaExceededError([]), StatusCode.RESOURCE_EXHAUSTED),
        (errors.UnavailableError(""), StatusCode.UNAVAILABLE),
        (DeadlineExceededError(""), StatusCode.DEADLINE_EXCEEDED),
        (errors.DomainError(""), StatusCode.INTERNAL),
    ],
)
def test_every_error_of_the_domain_has_its_code(error: errors.DomainError, code: StatusCode) -> None:
    assert status_of(error).code is code


def test_a_quota_is_told_with_whose_it_is_and_without_a_time_to_come_back() -> None:
    violations = [errors.QuotaViolation("organisation:7", f"{number} " + "x" * 700) for number in range(30)]
    status = details(status_of(errors.QuotaExceededError(violations, plan="FREE")))
    info, failure = error_details_pb2.ErrorInfo(), error_details_pb2.QuotaFailure()
    assert len(status.details) == 2
    assert status.details[0].Unpack(info)
    assert (info.reason, dict(info.metadata)) == ("QUOTA_EXCEEDED", {"plan": "FREE"})
    assert status.details[1].Unpack(failure)
    assert [one.subject for one in failure.violations] == ["organisation:7"] * 3
    assert failure.violations[2].description.startswith("2 x")
    assert trailers(status_of(errors.QuotaExceededError(violations, plan="FREE"))) < ROOM


def test_the_table_forgets_no_error() -> None:
    for kind in errors.DomainError.__subclasses__():
        if kind.__module__.startswith("monitord.bridge"):
            continue  # what it refuses never gets to gRPC
        error = kind([]) if kind is InvalidArgumentError else kind("")
        assert status_of(error).code is not StatusCode.INTERNAL, kind


def test_a_more_special_error_is_what_its_kind_is() -> None:
    class SpecialError(errors.NotFoundError):
        reason = "NOT_FOUND"

    assert status_of(SpecialError("")).code is StatusCode.NOT_FOUND


def test_the_widest_texts_fit() -> None:
    """What chance found: four bytes for a character, three characters for a byte of the message."""
    wide = "\U0010ffff" * 500
    assert trailers(status_of(InvalidArgumentError([Violation(wide, wide)] * 60))) < ROOM
    assert trailers(status_of(errors.AlreadyExistsError(wide, name=wide, other=wide))) < ROOM


_LONG = st.text(st.characters(codec="utf-8"), max_size=500).map(lambda text: text * 40)


@given(st.lists(st.builds(Violation, _LONG, _LONG), min_size=1, max_size=60))
def test_a_status_fits_into_the_trailers_whatever_was_wrong(violations: list[Violation]) -> None:
    status = status_of(InvalidArgumentError(violations))
    assert trailers(status) < ROOM
    assert len(details(status).details) == 2  # ErrorInfo and BadRequest are there all the same


@given(_LONG, _LONG)
def test_a_message_and_metadata_fit_too(message: str, value: str) -> None:
    assert trailers(status_of(errors.AlreadyExistsError(message, name=value))) < ROOM


def test_a_lone_surrogate_is_replaced() -> None:
    assert status_of(errors.NotFoundError("a\ud800b")).details == "a?b"


def test_what_a_driver_says_stays_inside() -> None:
    status = status_of(errors.UnavailableError("could not connect to 10.0.0.5:5432", host="10.0.0.5"))
    assert b"10.0.0.5" not in status.trailing_metadata[0][1]
    assert "10.0.0.5" not in status.details


def test_other_statuses_have_their_reason() -> None:
    info = details(status_for(StatusCode.INTERNAL, "m", error_id="e")).details[0]
    assert b"INTERNAL" in info.value
    assert b"monitord" in info.value
