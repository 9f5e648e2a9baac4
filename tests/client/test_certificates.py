"""Servers that ask for a client's certificate, and what is said where that is not to be had."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from monitord_client import Client, UnavailableError, http_monitor
from monitord_client.address import Tls
from monitord_client.v1.monitor_service_pb2_grpc import add_MonitorServiceServicer_to_server
from tests.client.conftest import Ctl
from tests.client.fake_monitord import KEY, FakeMonitord
from tests.support.authority import Authority


class Place:
    """A server that asks for certificates, and the files of somebody who has one."""

    def __init__(self, address: str, folder: Path, authority: Authority) -> None:
        self.address = address
        self.ca = authority.ca_file
        certificate, key = authority.client("ann")
        self.cert, self.key, self.both = folder / "ann.pem", folder / "ann.key", folder / "both.pem"
        self.cert.write_text(certificate)
        self.key.write_text(key)
        self.both.write_text(key + certificate)
        self.strangers_key = folder / "eve.key"
        self.strangers_key.write_text(authority.client("eve")[1])


@pytest_asyncio.fixture
async def place(server: FakeMonitord, tmp_path: Path) -> AsyncIterator[Place]:
    server.put(http_monitor("site", "http://127.0.0.1"))
    authority = Authority(tmp_path)
    both = authority.server_file("127.0.0.1").read_bytes()
    listener = grpc.aio.server()
    add_MonitorServiceServicer_to_server(server, listener)
    credentials = grpc.ssl_server_credentials([(both, both)], authority.ca_file.read_bytes(), True)
    port = listener.add_secure_port("127.0.0.1:0", credentials)
    await listener.start()
    yield Place(f"127.0.0.1:{port}", tmp_path, authority)
    await listener.stop(None)


async def test_the_library_shows_the_certificate(place: Place) -> None:
    for tls in (Tls(place.ca, cert_file=place.cert, key_file=place.key), Tls(place.ca, cert_file=place.both)):
        async with Client(place.address, api_key=KEY, tls=tls) as client:
            assert (await client.get_monitor(1)).name == "site"
    async with Client(place.address, api_key=KEY, tls=Tls(place.ca), retries=0) as client:
        with pytest.raises(UnavailableError):
            await client.get_monitor(1)


async def test_files_that_are_of_no_use_are_told_before_any_connection(place: Place) -> None:
    with pytest.raises(ValueError, match="of no use without its certificate"):
        Client(place.address, tls=Tls(place.ca, key_file=place.key))
    for wrong in (place.strangers_key, place.ca):
        with pytest.raises(ValueError, match="must belong together"):
            Client(place.address, tls=Tls(place.ca, cert_file=place.cert, key_file=wrong))
    with pytest.raises(FileNotFoundError):
        Client(place.address, tls=Tls(place.ca, cert_file=place.cert.with_name("nowhere")))


async def test_monitorctl_takes_the_files_as_options(ctl: Ctl, place: Place) -> None:
    there = ("show", "1", "--address", place.address)
    shown = await ctl(*there, "--ca", str(place.ca), "--cert", str(place.cert), "--cert-key", str(place.key))
    assert (shown.exit_code, "site" in shown.stdout) == (0, True), shown.stderr
    assert (await ctl(*there, "--ca", str(place.ca), "--cert", str(place.both))).exit_code == 0

    refused = await ctl(*there, "--ca", str(place.ca))
    assert (refused.exit_code, "show it with --cert" in refused.stderr) == (5, True)
    refused = await ctl(*there)
    assert (refused.exit_code, "add --tls" in refused.stderr) == (5, True)
    wrong = await ctl(*there, "--cert", str(place.cert), "--cert-key", str(place.strangers_key))
    assert (wrong.exit_code, "must belong together" in wrong.stderr) == (2, True)
    wrong = await ctl(*there, "--cert", "nowhere.pem")
    assert (wrong.exit_code, "cannot read nowhere.pem" in wrong.stderr) == (2, True)


async def test_monitorctl_takes_the_files_from_the_environment(
    ctl: Ctl, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONITORD_ADDRESS", place.address)
    monkeypatch.setenv("MONITORD_SERVER_CA_FILE", str(place.ca))
    monkeypatch.setenv("MONITORD_CLIENT_CERT_FILE", str(place.cert))
    monkeypatch.setenv("MONITORD_CLIENT_CERT_KEY_FILE", str(place.key))
    assert "site" in (await ctl("show", "1")).stdout
    assert (await ctl("show", "1", "--cert", str(place.both))).exit_code == 0, "the environment's key is of another one"
