"""The operator's service account of a Firebase project: where it is read from, and what is wrong with it."""

import re
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

_HELP = (
    "it should be the JSON file of a service account, or its path: in the Firebase console under project settings, "
    "service accounts, generate new private key"
)
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]{1,62}[a-z0-9]")
"""Some old projects belong to a domain, as in ``example.com:api-project``."""
_LARGEST_BYTES = 64 * 1024


class ServiceAccount(msgspec.Struct, frozen=True):
    """A service account whose parts are all there."""

    project_id: str
    info: dict[str, Any]
    """The whole file."""

    def __repr__(self) -> str:
        """Show the private key to nobody (T15)."""
        return f"ServiceAccount({self.project_id!r}, <secret>)"


class _File(msgspec.Struct):
    """What is needed of the file (https://cloud.google.com/iam/docs/keys-create-delete)."""

    type: str
    project_id: str
    private_key: str
    client_email: str
    token_uri: str


def read_service_account(text: str) -> ServiceAccount:
    """Return the service account that is given as JSON, or as the path of a file of it.

    Raises ValueError, with a sentence that says what would be right and shows nothing secret.
    """
    text = text.strip()
    raw = text if text.startswith("{") else _content(text)
    try:
        file, info = msgspec.json.decode(raw, type=_File), msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.ValidationError as error:
        raise ValueError(f"{_HELP}; this JSON is none: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError(f"{_HELP}; this is no JSON") from None
    if file.type != "service_account":
        raise ValueError(f"{_HELP}; this is a file of type {file.type[:40]!r}, not `service_account`")
    if not _PROJECT.fullmatch(file.project_id):
        raise ValueError(f"{_HELP}; the project_id of this one is none")
    if not file.token_uri.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise ValueError(f"{_HELP}; the token_uri of this one does not begin with https://")
    try:
        is_rsa = isinstance(load_pem_private_key(file.private_key.encode(), None), RSAPrivateKey)
    except (ValueError, TypeError):
        is_rsa = False
    if not is_rsa:
        raise ValueError(f"{_HELP}; the private_key of this one can't be read: was its text cut, or its \\n changed?")
    return ServiceAccount(file.project_id, info)


def _content(name: str) -> bytes:
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_BYTES)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no path"
        # What was meant as JSON and got damaged may hold the key.
        shown = name if len(name) <= 255 and "\n" not in name and "PRIVATE" not in name else "what is given"
        raise ValueError(f"{_HELP}; {shown} can't be read: {said}") from None
