"""The organisation of ``monitorctl org use``: one file per server, beside the session that it goes with."""

import json
from pathlib import Path

from monitord_client.monitorctl.sessions import name_of, replace_file

_MAX_ID = 2**63 - 1


class ChosenOrganisation:
    """In which organisation whoever is signed in acts; kept from one command to the next."""

    def __init__(self, folder: Path, address: str) -> None:
        """Keep it for the server at ``address`` in ``folder``, which is made when it is needed."""
        self.path = folder / f"organisation-{name_of(address)}.json"

    def load(self) -> int | None:
        """Return its id; None: none was chosen."""
        return self._number("organisation_id")

    def save(self, organisation_id: int, user_id: int) -> None:
        """Remember a user's choice."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self.path, json.dumps({"organisation_id": organisation_id, "user_id": user_id}))

    def forget(self) -> None:
        """Go back to the personal one."""
        self.path.unlink(missing_ok=True)

    def keep_for(self, user_id: int) -> None:
        """Forget the choice of anybody else: they would be refused there."""
        if self._number("user_id") != user_id:
            self.forget()

    def _number(self, name: str) -> int | None:
        try:
            value = json.loads(self.path.read_text())[name]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return value if type(value) is int and 0 < value <= _MAX_ID else None
