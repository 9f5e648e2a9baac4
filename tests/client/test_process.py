"""monitorctl and the library as a process of their own: start, pipes, signals, TLS."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from monitord_client import CheckLog, Client, UnavailableError, http_monitor
from monitord_client.address import Tls
from monitord_client.v1.monitor_service_pb2_grpc import add_MonitorServiceServicer_to_server
from tests.client.fake_monitord import KEY, FakeMonitord


async def _monitorctl(server: FakeMonitord, *args: str, cwd: Path) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MONITORD_")}
    environment |= {"MONITORD_ADDRESS": server.address, "MONITORD_API_KEY": KEY, "XDG_STATE_HOME": str(cwd)}
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "monitord_client.monitorctl", *args)
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment, cwd=cwd)


async def test_the_command_runs_as_a_process(server: FakeMonitord, tmp_path: Path) -> None:
    server.put(http_monitor("site", "http://127.0.0.1"))
    async with asyncio.timeout(30):
        stdout, stderr = await (process := await _monitorctl(server, "list", cwd=tmp_path)).communicate()
    assert (process.returncode, stderr) == (0, b"")
    assert b"site" in stdout


async def test_ctrl_c_ends_a_tail_cleanly(server: FakeMonitord, tmp_path: Path) -> None:
    await server.store(CheckLog(monitor_id=1, sequence=1))
    async with asyncio.timeout(30):
        process = await _monitorctl(server, "tail", "--last", "1", "--json", cwd=tmp_path)
        assert process.stdout is not None
        assert b"check_log" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = await process.communicate()
    assert (process.returncode, stderr) == (130, b"")


async def test_a_reader_that_has_seen_enough_is_no_error(server: FakeMonitord, tmp_path: Path) -> None:
    for sequence in range(1, 4):
        await server.store(CheckLog(monitor_id=1, sequence=sequence))
    async with asyncio.timeout(30):
        process = await _monitorctl(server, "tail", "--last", "3", "--json", cwd=tmp_path)
        assert process.stdout is not None
        await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]
        await server.store(*(CheckLog(monitor_id=1, sequence=n, message="x" * 10_000) for n in range(4, 40)))
        stderr = await process.stderr.read() if process.stderr else b""
        await process.wait()
    assert (process.returncode, stderr) == (0, b"")


async def test_help_does_not_wait_for_grpc_protobuf_or_yaml() -> None:
    code = (
        "import sys; from monitord_client.monitorctl.app import build; build(); "
        "print(any(name in sys.modules for name in ('grpc', 'google.protobuf', 'yaml')))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        stdout, _ = await process.communicate()
    assert stdout.strip() == b"False"


@pytest_asyncio.fixture
async def encrypted(server: FakeMonitord, tmp_path: Path) -> AsyncIterator[str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "monitord")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("monitord.example")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "ca.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    listener = grpc.aio.server()
    add_MonitorServiceServicer_to_server(server, listener)
    port = listener.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(private, pem)]))
    await listener.start()
    yield f"127.0.0.1:{port}"
    await listener.stop(None)


async def test_tls_with_ones_own_authority(server: FakeMonitord, encrypted: str, tmp_path: Path) -> None:
    server.put(http_monitor("site", "http://127.0.0.1"))
    ca = tmp_path / "ca.pem"
    for tls in (Tls(ca_file=ca), Tls(ca_file=ca, server_name="monitord.example")):
        async with Client(encrypted, api_key=KEY, tls=tls) as client:
            assert (await client.get_monitor(1)).name == "site"
    before = len(server.calls)
    for wrong in (Tls(ca_file=ca, server_name="other.example"), True):
        async with Client(encrypted, api_key=KEY, tls=wrong, retries=0) as client:
            with pytest.raises(UnavailableError):
                await client.get_monitor(1)
    assert len(server.calls) == before
    process = await _monitorctl(server, "show", "1", "--address", encrypted, "--ca", "ca.pem", cwd=tmp_path)
    async with asyncio.timeout(30):
        stdout, _ = await process.communicate()
    assert b"site" in stdout
