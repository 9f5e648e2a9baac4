"""The Auth emulator of Firebase itself, with the ways in which people come to have ID tokens."""

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

PROJECT = "demo-monitord"
"""Firebase's tools never ask Google about a project whose name begins with demo-."""

_ROOT = Path(__file__).parents[2]
_START_S = 60.0


@dataclass(frozen=True)
class SignedIn:
    """Someone who is signed in to Firebase."""

    uid: str
    id_token: str
    refresh_token: str


class Emulator:
    """A running emulator."""

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"

    def by_password(self, email: str, *, name: str = "") -> SignedIn:
        """Make a user with an e-mail address, which is not verified, and a password."""
        wish = {"email": email, "password": "correct horse", "displayName": name, "returnSecureToken": True}
        return _signed_in(self._post("/identitytoolkit.googleapis.com/v1/accounts:signUp?key=any", wish))

    def again_by_password(self, email: str) -> SignedIn:
        """Sign in a user of ``by_password``."""
        wish = {"email": email, "password": "correct horse", "returnSecureToken": True}
        return _signed_in(self._post("/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=any", wish))

    def by_provider(self, provider: str, subject: str, email: str | None, *, name: str = "") -> SignedIn:
        """Sign in through ``google.com``, ``apple.com`` or another; the emulator takes their word as JSON."""
        claims = {"sub": subject, "email": email, "email_verified": True, "name": name}
        word = json.dumps({key: value for key, value in claims.items() if value is not None})
        wish = {
            "postBody": urlencode({"providerId": provider, "id_token": word}),
            "requestUri": "http://localhost",
            "returnSecureToken": True,
        }
        return _signed_in(self._post("/identitytoolkit.googleapis.com/v1/accounts:signInWithIdp?key=any", wish))

    def anonymously(self) -> SignedIn:
        wish = {"returnSecureToken": True}
        return _signed_in(self._post("/identitytoolkit.googleapis.com/v1/accounts:signUp?key=any", wish))

    def update(self, uid: str, **fields: Any) -> None:
        """Change a user as the project's administrator, such as ``emailVerified=True``."""
        self._admin("update", {"localId": uid, **fields})

    def disable(self, uid: str) -> None:
        self.update(uid, disableUser=True)

    def revoke(self, uid: str) -> None:
        """End all tokens of a user that were given up to now; Firebase counts in whole seconds."""
        self.update(uid, validSince=str(int(time.time()) + 1))

    def delete(self, uid: str) -> None:
        self._admin("delete", {"localId": uid})

    def _admin(self, method: str, wish: dict[str, Any]) -> None:
        path = f"/identitytoolkit.googleapis.com/v1/projects/{PROJECT}/accounts:{method}"
        self._post(path, wish, authorization="Bearer owner")

    def _post(self, path: str, wish: dict[str, Any], **headers: str) -> dict[str, Any]:
        headers["content-type"] = "application/json"
        request = Request(f"http://{self.host}{path}", json.dumps(wish).encode(), headers)
        with urlopen(request, timeout=20) as answer:
            said: dict[str, Any] = json.load(answer)
        return said


@contextlib.contextmanager
def running_emulator(folder: Path) -> Iterator[Emulator]:
    """Run the emulator with ``folder`` as its home. Without npm the test is skipped, except where all have to run."""
    modules = _modules()
    command = ["node", str(_ROOT / "tests/emulator/auth.mjs"), str(modules), PROJECT]
    log = folder / "emulator.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            stdin=subprocess.PIPE,  # the emulator ends with it: also when this process is killed
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield Emulator(_port(process, log))
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def _modules() -> Path:
    if shutil.which("npm") is None or shutil.which("node") is None:
        reason = "there is no npm here, which brings the Firebase emulator: .ci/packages installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the processes that test installs it
        done = subprocess.run([_ROOT / ".ci/emulator"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _START_S)
    said = process.stdout.readline() if ready else b""
    found = re.fullmatch(rb"port (\d+)\n", said)
    assert found, f"the emulator said {said!r} and {log.read_text()!r}"
    return int(found[1])


def _signed_in(answer: dict[str, Any]) -> SignedIn:
    return SignedIn(answer["localId"], answer["idToken"], answer["refreshToken"])
