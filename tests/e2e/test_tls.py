"""Everything over TLS, with certificates of clients, and a renewal while it runs."""

import ssl
from pathlib import Path

import aiohttp

from monitord_client import Client, Monitor
from monitord_client.address import Tls
from monitord_client.times import duration
from monitord_client.v1.heartbeat_check_pb2 import HeartbeatCheck
from tests.support.authority import Authority
from tests.support.process import Monitorctl, monitord
from tests.support.tls_files import TlsFiles


async def test_monitord_serves_tls_and_goes_on_with_a_renewed_certificate(database_url: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = TlsFiles(tmp_path / "tls", authority, clients=authority)
    certificate, key = authority.client("ann")
    ann = tmp_path / "ann.pem"
    ann.write_text(certificate + key)
    settings = {
        "MONITORD_DATABASE_URL": database_url,
        "MONITORD_TLS_CERT": str(tls.files.certificate),
        "MONITORD_TLS_KEY": str(tls.files.key),
        "MONITORD_TLS_CLIENT_CA": str(tls.files.client_ca),
        "MONITORD_HTTP_TLS": "true",
    }
    trust = ssl.create_default_context(cafile=authority.ca_file)
    async with monitord(tmp_path, settings=settings) as process, aiohttp.ClientSession() as http:
        assert f"--address {process.address} --tls --cert FILE --cert-key FILE list" in process.stdout
        ctl = Monitorctl(tmp_path, process.address, process.key)
        options = ("--ca", str(authority.ca_file), "--cert", str(ann))
        await ctl.ok("list", *options)
        assert "show it with --cert" in (await ctl("list", "--ca", str(authority.ca_file))).stderr

        tls.rename(tls.issue())
        await process.said("certificate_reloaded")
        shown = Tls(authority.ca_file, cert_file=ann)
        async with Client(process.address, api_key=process.key, tls=shown) as client:
            heartbeat = HeartbeatCheck(period=duration(3600))
            made = await client.create_monitor(Monitor(name="backup", interval=duration(3600), heartbeat=heartbeat))
        assert made.heartbeat.ping_url.startswith("https://127.0.0.1:")
        async with http.get(made.heartbeat.ping_url, ssl=trust) as answer:
            assert (answer.status, await answer.text()) == (200, "OK\n")
