import contextlib
import os
import select
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from monitord.domain.connection import AddressFamily
from monitord.evidence.capture.chromium import find_chromium
from monitord.probes.deadline import Deadline
from monitord.probes.dial import Dialler
from monitord.probes.egress import EgressPolicy
from monitord.probes.failure import Failure
from monitord.probes.outbound import Outbound
from tests.support.pages import Canary, Pages, canary, serving_pages
from tests.support.scratch import root, scratch

PUBLIC = EgressPolicy("public")


class Names:
    """A resolver that answers each lookup of a name with the next of its answers; the last one stays."""

    def __init__(self, **answers: tuple[str, ...]) -> None:
        self.answers = {name: list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, name: str, family: AddressFamily, deadline: Deadline) -> tuple[str, ...] | Failure:
        self.asked.append(name)
        answers = self.answers.get(name.partition(".")[0], ["127.0.0.1"])
        return (answers.pop(0) if len(answers) > 1 else answers[0],)


def way(*deny: str, names: Names | None = None) -> Outbound:
    policy = EgressPolicy("private", deny=deny)
    return Outbound(Dialler(policy, names or Names()), policy)


def processes_of(words: bytes) -> list[int]:
    """Return the ids of all processes in whose command lines some words are."""
    found = []
    for each in Path("/proc").iterdir() if Path("/proc").exists() else ():
        if each.name.isdigit() and int(each.name) != os.getpid():
            with contextlib.suppress(OSError):
                if words in (each / "cmdline").read_bytes():
                    found.append(int(each.name))
    return found


def some_begin(words: bytes, within_s: float = 10.0) -> bool:
    """Wait until there is one of those, and return whether that was soon. Nobody announces an exec."""
    deadline = time.monotonic() + within_s
    while not processes_of(words):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def all_end(words: bytes, within_s: float = 10.0) -> bool:
    """Wait until each of those has ended, those too that only just begin, and return whether they did soon."""
    deadline = time.monotonic() + within_s
    while found := processes_of(words):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                try:
                    select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))
                finally:
                    os.close(descriptor)
        if time.monotonic() > deadline:
            return False
    return True


@pytest.fixture
async def pages() -> AsyncIterator[Pages]:
    async with serving_pages() as served:
        yield served


@pytest.fixture
async def bird() -> AsyncIterator[Canary]:
    async with canary() as listening:
        yield listening


@pytest.fixture(scope="session")
def program() -> Path:
    """The system's Chromium."""
    found = find_chromium(None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium here: .ci/packages installs it")
        pytest.skip("there is no Chromium here")
    return found


@pytest.fixture
def entered() -> Iterator[Path]:
    """A folder that others may enter. Not pytest's own: whoever else begins its tests meanwhile shuts that."""
    with scratch() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def shots_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where browsers have their folders in a test: it has to be empty in the end."""
    folder = Path(tempfile.mkdtemp(prefix="shots-", dir=root()))  # short: there are sockets below it
    folder.chmod(0o711)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    left = sorted(each.name for each in folder.iterdir())
    shutil.rmtree(folder)
    assert not left
    assert all_end(str(folder).encode())
