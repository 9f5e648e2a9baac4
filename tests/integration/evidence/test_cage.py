"""What holds a browser that was taken over entirely: here it is a shell that does what it wants (T5)."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from monitord.evidence.capture import cage
from monitord.evidence.capture.account import account
from monitord.evidence.capture.process import Cage, end, receive, start
from tests.integration.evidence.conftest import all_end, processes_of, some_begin
from tests.support.pages import Canary

pytestmark = [
    pytest.mark.usefixtures("shots_folder"),
    pytest.mark.skipif(sys.platform != "linux", reason="there are no namespaces"),
]

MEGABYTE = 1024 * 1024
OWN = os.getpid()
"""Makes the naps of this process of tests different from those of others, which run at the same time."""


def nap(number: int) -> bytes:
    return f"sleep\0{number}{OWN}".encode()


class Caged:
    """A shell in a cage, and what it says."""

    def __init__(
        self, process: asyncio.subprocess.Process, said: socket.socket, listener: socket.socket | None
    ) -> None:
        self.process = process
        self._said = said
        self.listener = listener

    async def said(self) -> str:
        """Return all that it said, once it has ended."""
        loop, parts = asyncio.get_running_loop(), []
        async with asyncio.timeout(20):
            while part := await loop.sock_recv(self._said, 65536):
                parts.append(part)
        return b"".join(parts).decode()

    async def line(self) -> str:
        async with asyncio.timeout(20):
            return (await asyncio.get_running_loop().sock_recv(self._said, 65536)).decode().strip()

    async def code(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()

    async def close(self) -> None:
        await end(self.process)
        self._said.close()
        if self.listener is not None:
            self.listener.close()


async def caged(
    folder: Path, script: str, *, isolate: bool = True, hidden: tuple[Path, ...] = (), **changed: object
) -> Caged:
    own = folder / "shot-test"
    own.mkdir()
    user = account()
    if user.own:
        os.chown(own, user.uid, user.gid)
    talk, control = socket.socketpair(), socket.socketpair()
    talk[0].setblocking(False)
    fields: dict[str, object] = {
        "parent": os.getpid(),
        "uid": user.uid,
        "gid": user.gid,
        "folder": str(own),
        "hidden": [str(each) for each in hidden],
        "isolate": isolate,
        "port": 3128,
        "control": control[1].fileno(),
        "devtools": talk[1].fileno(),
        "memory_bytes": 256 * MEGABYTE,
        "disk_bytes": 4 * MEGABYTE,
        "limit_s": 20.0,
        "limits": {"RLIMIT_CORE": 0, "RLIMIT_NPROC": 200},
        "command": ["/bin/sh", "-c", f"exec >&4 2>&1; {script}"],
        "environment": {"PATH": os.defpath + ":/usr/sbin:/sbin", "HERE": str(own)},
    }
    process = await start(Cage(**(fields | changed)))  # type: ignore[arg-type]
    control[1].close()
    talk[1].close()
    listener = await receive(control[0]) if isolate else None
    control[0].close()
    return Caged(process, talk[0], listener)


@contextlib.asynccontextmanager
async def shell(folder: Path, script: str, **options: object):  # type: ignore[no-untyped-def]
    running = await caged(folder, script, **options)  # type: ignore[arg-type]
    try:
        yield running
    finally:
        await running.close()
        shutil.rmtree(folder / "shot-test")


async def test_its_network_has_nothing_but_the_proxy(shots_folder: Path, bird: Canary) -> None:
    """(T1): not by the browser's leave, but by the kernel's."""
    script = f"""cat /proc/net/dev | grep -c :; bash -c 'echo > /dev/tcp/127.0.0.1/{bird.port}';
    bash -c 'echo > /dev/udp/127.0.0.1/{bird.port}'; bash -c 'echo hello > /dev/tcp/127.0.0.1/3128'; echo done"""
    async with shell(shots_folder, script) as running:
        assert running.listener is not None
        accepted, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(running.listener), 10)
        said = await running.said()
        assert await asyncio.get_running_loop().sock_recv(accepted, 100) == b"hello\n"
        accepted.close()
    assert "refused" in said
    assert said.endswith("done\n")
    assert bird.heard == []


async def test_what_is_hidden_is_not_there(shots_folder: Path, entered: Path) -> None:
    """(T15)"""
    state = entered / "state"
    state.mkdir(mode=0o755)
    (state / "secret.key").write_text("canary")
    script = f"cat {state}/secret.key; ls -A {state}; touch {state}/x; ls $HERE | wc -l; id -u; cat /proc/1/cmdline"
    async with shell(shots_folder, script, hidden=(state,)) as running:
        said = await running.said()
    assert "canary" not in said
    assert "secret.key: " in said
    assert (state / "secret.key").read_text() == "canary"
    assert not (state / "x").exists()


async def test_its_disk_is_small_and_vanishes(shots_folder: Path) -> None:
    script = "dd if=/dev/zero of=$HERE/a bs=1M count=20; ls -l $HERE | wc -l; echo done"
    async with shell(shots_folder, script) as running:
        said = await running.said()
        assert not list((shots_folder / "shot-test").iterdir())
    assert "No space left" in said
    assert said.endswith("done\n")


async def test_it_gains_nothing_from_programs_of_root(shots_folder: Path) -> None:
    async with shell(shots_folder, "grep -E 'NoNewPrivs|CapEff' /proc/self/status") as running:
        said = await running.said()
    assert "NoNewPrivs:\t1" in said
    assert "CapEff:\t0000000000000000" in said


@pytest.mark.parametrize("isolate", [True, False])
async def test_what_leaves_its_session_is_ended_too(shots_folder: Path, isolate: bool) -> None:
    naps = f"setsid sh -c 'sleep 977{OWN} & sleep 978{OWN} & wait' &"
    script = f"{naps} {naps} {naps} sleep 0.1; echo started; wait"
    async with shell(shots_folder, script, isolate=isolate) as running:
        assert "started" in await running.line()
        assert await asyncio.to_thread(some_begin, nap(977))
    assert not processes_of(nap(977))
    assert not processes_of(nap(978))


@pytest.mark.parametrize("isolate", [True, False])
async def test_when_it_ends_all_ends(shots_folder: Path, isolate: bool) -> None:
    async with shell(
        shots_folder, f"setsid sleep 976{OWN} & echo started; sleep 0.1; exit 7", isolate=isolate
    ) as running:
        assert await running.code() == 7
        assert not processes_of(nap(976))


@pytest.mark.parametrize("isolate", [True, False])
async def test_memory_is_counted_over_all_processes(shots_folder: Path, isolate: bool) -> None:
    hog = f"{sys.executable} -c 'x = bytearray(100 << 20); import time; time.sleep(60)'"
    options = {"isolate": isolate, "uid": os.getuid(), "gid": os.getgid()}
    async with shell(shots_folder, f"{hog} & {hog} & {hog} & wait", **options) as running:
        assert await running.code() == cage.TOO_MUCH_MEMORY


@pytest.mark.parametrize("isolate", [True, False])
async def test_time_is_counted(shots_folder: Path, isolate: bool) -> None:
    async with shell(shots_folder, f"trap '' TERM; sleep 975{OWN} & wait", isolate=isolate, limit_s=0.3) as running:
        assert await running.code() == cage.TOO_LONG
    assert not processes_of(nap(975))


async def test_a_cage_that_is_killed_takes_everything_with_it(shots_folder: Path) -> None:
    async with shell(shots_folder, f"sleep 974{OWN} & setsid sleep 974{OWN} & echo started; wait") as running:
        assert "started" in await running.line()
        running.process.kill()
        await running.code()
        assert await asyncio.to_thread(all_end, nap(974))


MONITORD = """
import asyncio, pathlib, sys
from tests.integration.evidence.test_cage import caged

async def main():
    running = await caged(pathlib.Path(sys.argv[1]), f"{sys.argv[3]} & setsid {sys.argv[3]} & echo started; wait",
                          isolate=sys.argv[2] == "True")
    print(await running.line(), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("isolate", [True, False])
async def test_when_monitord_is_killed_nothing_stays(shots_folder: Path, isolate: bool) -> None:
    """(I6)"""
    monitord = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", MONITORD, str(shots_folder), str(isolate), nap(972).decode().replace("\0", " ")],
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert monitord.stdout is not None
    try:
        assert await asyncio.wait_for(monitord.stdout.readline(), 20) == b"started\n"
        assert await asyncio.to_thread(some_begin, nap(972))  # the shell forks, and goes on before its child is another
    finally:
        monitord.kill()
        await monitord.wait()
    assert await asyncio.to_thread(all_end, nap(972))
    assert await asyncio.to_thread(all_end, str(shots_folder).encode())
    shutil.rmtree(shots_folder / "shot-test")


ORDINARY = """
import json, os, socket, subprocess, sys
said, control = socket.socketpair(), socket.socketpair()
cage = json.loads(sys.argv[2]) | {"parent": os.getpid(), "control": control[1].fileno(), "devtools": said[1].fileno()}
process = subprocess.Popen([sys.executable, "-I", "-S", sys.argv[1], json.dumps(cage)], start_new_session=True,
                           pass_fds=(control[1].fileno(), said[1].fileno()))
control[1].close(), said[1].close()
given = socket.recv_fds(control[0], 64, 1)[1]
print(said[0].makefile().read(), len(given), process.wait())
"""


@pytest.mark.skipif(os.getuid() != 0 or not Path("/usr/bin/python3").exists(), reason="the other tests show it then")
async def test_as_an_ordinary_user_it_is_isolated_too(shots_folder: Path) -> None:
    """By a namespace of users (user_namespaces(7)), where the system lets them have one."""
    uid = 61_999
    own, program, secret = (shots_folder / name for name in ("own", "cage.py", "secret"))
    shutil.copy(cage.__file__, program)
    for each in (own, secret):
        each.mkdir()
        os.chown(each, uid, uid)
    (secret / "key").write_text("canary")
    (secret / "key").chmod(0o644)
    script = f"exec >&4 2>&1; cat {secret}/key; grep -c : /proc/net/dev; id -u; grep -E NoNewPrivs /proc/self/status"
    configuration = {
        "uid": uid,
        "gid": uid,
        "folder": str(own),
        "hidden": [str(secret)],
        "isolate": True,
        "port": 3128,
        "memory_bytes": 256 * MEGABYTE,
        "disk_bytes": 4 * MEGABYTE,
        "limit_s": 20.0,
        "limits": {"RLIMIT_CORE": 0},
        "command": ["/bin/sh", "-c", script],
        "environment": {"PATH": os.defpath},
    }
    ended = await asyncio.to_thread(
        subprocess.run,
        ["/usr/bin/python3", "-I", "-S", "-c", ORDINARY, str(program), json.dumps(configuration)],
        stdout=subprocess.PIPE,
        cwd="/",
        user=uid,
        group=uid,
        extra_groups=[],
        timeout=20,
    )
    said = ended.stdout
    for each in (own, secret):
        shutil.rmtree(each)
    program.unlink()
    if said.decode().split() == ["0", str(cage.NO_NAMESPACES)]:
        pytest.skip("the system lets ordinary users have no namespaces")
    assert b"canary" not in said
    assert said.endswith(f"1\n{uid}\nNoNewPrivs:\t1\n 1 0\n".encode())
