"""The rules for what users say of themselves."""

import re

from monitord.domain.errors import Violation
from monitord.identity.user import Profile

LONGEST_FULL_NAME = 200
LONGEST_BIO = 2_000
_PHONE = re.compile(r"|\+?[0-9][0-9 ()./-]{2,30}")


def violations(said: Profile, prefix: str, *, name_required: bool = False) -> list[Violation]:
    """Return what is wrong with what somebody says of themselves; ``prefix`` stands before the fields' names."""
    found = []
    name, bio = said.full_name, said.bio
    if name_required and not (name or "").strip():
        found.append(Violation(f"{prefix}full_name", f"must be given: 1 to {LONGEST_FULL_NAME} printable characters"))
    elif name is not None and not (len(name) <= LONGEST_FULL_NAME and name.isprintable()):
        found.append(Violation(f"{prefix}full_name", f"must be at most {LONGEST_FULL_NAME} printable characters"))
    if said.phone is not None and not _PHONE.fullmatch(said.phone):
        found.append(Violation(f"{prefix}phone", "must be empty, or a number such as +49 30 1234567"))
    if bio is not None and not (len(bio) <= LONGEST_BIO and bio.replace("\n", "").isprintable()):
        found.append(
            Violation(f"{prefix}bio", f"must be at most {LONGEST_BIO} characters, printable ones and ends of lines")
        )
    return found
