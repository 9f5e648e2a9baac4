"""Signing in with Firebase, against a monitord that was started as an operator would, and Firebase's own emulator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitord.v1 import auth_pb2
from monitord_client import Client
from tests.support.firebase_emulator import PROJECT as EMULATED_PROJECT
from tests.support.firebase_emulator import Emulator, running_emulator
from tests.support.google_keys import PROJECT, Google
from tests.support.process import monitord, run_monitord


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The file of a service account."""
    google = Google()
    google.base = "http://127.0.0.1:9"
    path = tmp_path / "account.json"
    path.write_text(google.service_account().replace(PROJECT, EMULATED_PROJECT))
    return path


async def test_sign_in_and_use_both_kinds_of_token(
    emulator: Emulator, account: Path, database_url: str, folder: Path
) -> None:
    settings = {
        "MONITORD_DATABASE_URL": database_url,
        "MONITORD_DEVELOPMENT": "true",
        "FIREBASE_SERVICE_ACCOUNT": str(account),
        "FIREBASE_AUTH_EMULATOR_HOST": emulator.host,
    }
    ann = emulator.by_provider("google.com", "e2e", "ann@gmail.test", name="Ann")
    async with monitord(folder, settings=settings) as running:
        async with Client(running.address) as client:
            answer = await client.login_with_id_token(ann.id_token)
            assert answer.is_new_user
            assert answer.user.provider == auth_pb2.IDENTITY_PROVIDER_GOOGLE
            assert (await client.get_user()).email == "ann@gmail.test"
        async with Client(running.address, api_key=ann.id_token) as client:
            assert (await client.get_user()).id == answer.user.id
            assert [monitor async for monitor in client.list_monitors()] == []
        assert "anyone can be anyone" in running.stderr
        assert ann.id_token not in running.stderr + running.stdout


async def test_the_emulator_or_a_wrong_file_stops_the_start(account: Path, tmp_path: Path) -> None:
    """T13, T20."""
    emulated = {"FIREBASE_SERVICE_ACCOUNT": str(account), "FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}
    answer = await run_monitord(tmp_path, "run", settings=emulated)
    assert answer.status == 2
    assert "anyone can sign in as anyone" in answer.stderr
    answer = await run_monitord(tmp_path, "run", settings={"FIREBASE_SERVICE_ACCOUNT": str(tmp_path / "no.json")})
    assert answer.status == 2
    assert "generate new private key" in answer.stderr
