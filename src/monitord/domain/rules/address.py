"""What an e-mail address may be that mail is sent to."""

import re
from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.rules.wording import quoted
from monitord.domain.target import InvalidTargetError, parse_endpoint

MAX_ADDRESS_CHARS = 254
MAX_LOCAL_CHARS = 64
"""RFC 5321, 4.5.3.1."""

# RFC 5321, 4.1.2: a dot-string. Quoted local parts exist on paper alone.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_RIGHT = "such as ann@example.org"


def of_address(address: str, field: str) -> Iterator[Violation]:
    """Yield what is wrong with an address."""
    local, at, domain = address.rpartition("@")
    if not at or len(address) > MAX_ADDRESS_CHARS:
        yield Violation(field, f"must be an address of at most {MAX_ADDRESS_CHARS} characters, {_RIGHT}")
    elif len(local) > MAX_LOCAL_CHARS or not _LOCAL.fullmatch(local):
        yield Violation(
            field,
            f"must have 1 to {MAX_LOCAL_CHARS} ASCII letters, digits or any of !#$%&'*+/=?^_`{{|}}~.- before the @, "
            f"{_RIGHT}, not {quoted(local)}",
        )
    else:
        yield from _of_domain(domain, field)


def _of_domain(domain: str, field: str) -> Iterator[Violation]:
    try:
        wrong = "it is an address of a machine" if parse_endpoint(domain, 25).literal is not None else ""
    except InvalidTargetError as error:
        wrong = str(error)
    if wrong:
        yield Violation(field, f"must have the name of a host after the @, {_RIGHT}: {wrong}")
