"""A real browser, Connect's own client for it, and a page on an origin of its own that uses both."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.rpc import error_details_pb2

from monitord.v1 import check_log_service_pb2, monitor_service_pb2

HERE = Path(__file__).parents[1] / "browser"
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    # Nothing but this machine exists for it: tests send nothing anywhere else.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def needed(*names: str) -> str:
    """Return the path of the first program that is there; skip the test without one, but never in CI."""
    for name in names:
        if found := shutil.which(name):
            return found
    if os.environ.get("CI"):
        pytest.fail(f"CI has to have {names[0]}: see .ci/packages")
    pytest.skip(f"there is no {names[0]}")


def packages(cache: Path) -> Path:
    """Return the folder with the packages that ``tests/browser`` pins, which npm fills the first time."""
    npm = needed("npm")
    folder = cache / hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    if not folder.exists():
        fresh = cache / f"fresh-{os.getpid()}"
        fresh.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, fresh)
        command = (npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        with contextlib.suppress(OSError):  # another process was first
            fresh.rename(folder)
    return folder / "node_modules"


class Page:
    """Serves the page and what it imports, and hears what it tells."""

    def __init__(self, packages: Path) -> None:
        self._packages = packages
        self._told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.origin = ""

    def url(self, **given: str) -> str:
        """Return the page's address with what it is to know."""
        return f"{self.origin}/#{quote(json.dumps(given))}"

    async def told(self, step: str) -> Any:
        """Return what the page tells next, which has to be of a step."""
        async with asyncio.timeout(60):
            found, value = await self._told.get()
        assert found == step, value
        return value

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator["Page"]:
        """Serve it at a port of its own, by another name than the bridge has."""
        application = web.Application()
        application.router.add_get("/", self._show)
        application.router.add_get("/{file:page.js}", self._show)
        application.router.add_get("/contract", self._contract)
        application.router.add_post("/told", self._hear)
        application.router.add_static("/packages", self._packages)
        runner = web.AppRunner(application, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.origin = f"http://localhost:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _show(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(HERE / request.match_info.get("file", "page.html"))

    async def _contract(self, request: web.Request) -> web.Response:
        found: dict[str, descriptor_pb2.FileDescriptorProto] = {}
        for module in (monitor_service_pb2, check_log_service_pb2, error_details_pb2):
            _collect(module.DESCRIPTOR, found)
        contract = descriptor_pb2.FileDescriptorSet(file=found.values())
        return web.Response(body=contract.SerializeToString(), content_type="application/octet-stream")

    async def _hear(self, request: web.Request) -> web.Response:
        step, value = await request.json()
        self._told.put_nowait((step, value))
        return web.Response()


def _collect(file: FileDescriptor, found: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
    """Add a file after those that it imports."""
    if file.name not in found:
        for imported in file.dependencies:
            _collect(imported, found)
        found[file.name] = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(found[file.name])
        for name, message in file.message_types_by_name.items():
            told = next(each for each in found[file.name].message_type if each.name == name)
            _name_in_json(message, told)


def _name_in_json(message: Descriptor, told: descriptor_pb2.DescriptorProto) -> None:
    """Say what fields are called in JSON, which protoc leaves out of the code that it generates for Python."""
    for field in told.field:
        field.json_name = message.fields_by_name[field.name].json_name
    for nested in told.nested_type:
        _name_in_json(message.nested_types_by_name[nested.name], nested)


@contextlib.asynccontextmanager
async def chromium(url: str, folder: Path, *more: str) -> AsyncIterator[None]:
    """Show a page, with a profile below ``folder``, until the end of the block."""
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    command = (needed(*_NAMES), *_ARGUMENTS, *root, *more, f"--user-data-dir={folder / 'profile'}", url)
    environment: Mapping[str, str] = {**os.environ, "HOME": str(folder)}
    with (folder / "chromium.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # so that its helpers end with it
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
