import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from monitord.environment import SettingsError, load
from monitord.identity.service_account import read_service_account


def pem(key: Any) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


KEY = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
GOOD = {
    "type": "service_account",
    "project_id": "shop-1a2b3",
    "private_key_id": "1",
    "private_key": KEY,
    "client_email": "firebase-adminsdk@shop-1a2b3.example",
    "token_uri": "https://oauth2.example/token",
}


def test_it_is_given_as_json_or_as_a_path(tmp_path: Path) -> None:
    text = json.dumps(GOOD)
    path = tmp_path / "account.json"
    path.write_text(text)
    for given in (text, f"  {text}\n", str(path)):
        account = read_service_account(given)
        assert (account.project_id, account.info) == ("shop-1a2b3", GOOD)
        assert "PRIVATE" not in repr(account)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": "authorized_user"}, "authorized_user"),
        ({"project_id": None}, "project_id"),
        ({"project_id": "a b"}, "project_id"),
        ({"private_key": KEY[:200]}, "private_key"),
        ({"private_key": KEY.replace("\n", "\\n")}, "private_key"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "private_key"),
        ({"client_email": 5}, "client_email"),
        ({"token_uri": "http://oauth2.example/token"}, "token_uri"),
    ],
)
def test_what_is_wrong_with_the_json_is_told_and_nothing_secret(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"FIREBASE_SERVICE_ACCOUNT": json.dumps(GOOD | change)})

    (problem,) = caught.value.problems
    assert problem.startswith("FIREBASE_SERVICE_ACCOUNT: ")
    assert says in problem.partition(";")[2]
    assert "service accounts, generate new private key" in problem
    assert KEY.splitlines()[1] not in problem


def test_what_is_no_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    for given, says in (
        ("{", "no JSON"),
        (str(tmp_path / "empty.json"), "no JSON"),
        (str(tmp_path / "missing.json"), "missing.json can't be read: No such file"),
        (str(tmp_path), "Is a directory"),
        (KEY, "what is given can't be read"),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            read_service_account(given)
        assert KEY.splitlines()[1] not in str(caught.value)


def test_the_emulator_must_stand_where_the_library_looks_for_it(tmp_path: Path) -> None:
    """T13: in the file alone it would be forgotten in silence."""
    env = tmp_path / ".env"
    env.write_text("FIREBASE_AUTH_EMULATOR_HOST=127.0.0.1:9099\nMONITORD_DEVELOPMENT=true\n")
    with pytest.raises(SettingsError, match="in the environment itself"):
        load({"MONITORD_ENV_FILE": str(env)})
    load({"MONITORD_ENV_FILE": str(env), "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"})
