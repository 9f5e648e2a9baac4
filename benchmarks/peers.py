"""Debian's prometheus and blackbox_exporter on the same target, where they are installed."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.daemon import free_port
from benchmarks.processes import MEASURED, on_core, requests, target, usage
from benchmarks.progress import say
from benchmarks.report import Figure

_MODULE = """
modules:
  http_2xx:
    prober: http
    timeout: 10s
"""
_SCRAPES = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: probes
    metrics_path: /probe
    static_configs:
{targets}
    relabel_configs:
      - {{source_labels: [__address__], target_label: __param_target, regex: "(.*)#.*", replacement: "$1"}}
      - {{source_labels: [__address__], target_label: instance}}
      - {{target_label: __param_module, replacement: http_2xx}}
      - {{target_label: __address__, replacement: "127.0.0.1:{exporter}"}}
"""


def installed() -> bool:
    """Return whether both peers are on the PATH."""
    return all(shutil.which(name) for name in ("prometheus", "prometheus-blackbox-exporter"))


async def peers(count: int, windows: int, seconds: float) -> list[Figure]:
    """Let Prometheus probe one target ``count`` times a second through blackbox_exporter, both on one core."""
    name = f"blackbox_exporter with Prometheus, {count:,} HTTP targets every 1 s"
    with tempfile.TemporaryDirectory(prefix="monitord-bench-peers-") as folder, target() as port:
        root, exporter, web = Path(folder), free_port(), free_port()
        (root / "blackbox.yml").write_text(_MODULE)
        targets = "\n".join(f'      - targets: ["http://127.0.0.1:{port}/#{n}"]' for n in range(count))
        (root / "prometheus.yml").write_text(_SCRAPES.format(targets=targets, exporter=exporter))
        commands = [
            [
                "prometheus-blackbox-exporter",
                f"--config.file={root / 'blackbox.yml'}",
                f"--web.listen-address=127.0.0.1:{exporter}",
            ],
            [
                "prometheus",
                f"--config.file={root / 'prometheus.yml'}",
                f"--storage.tsdb.path={root / 'data'}",
                f"--web.listen-address=127.0.0.1:{web}",
            ],
        ]
        with (root / "log").open("wb") as log:
            running = [subprocess.Popen(on_core(MEASURED, c), stdout=log, stderr=log) for c in commands]
        try:
            say(f"{name}: warming up")
            await asyncio.sleep(10)
            costs, rates = [], []
            for number in range(windows):
                say(f"{name}: window {number + 1} of {windows}")
                cpu, probes, began = sum(usage(p.pid).cpu_s for p in running), requests(port), time.monotonic()
                await asyncio.sleep(seconds)
                cpu, probes = sum(usage(p.pid).cpu_s for p in running) - cpu, requests(port) - probes
                costs.append(1000 * cpu / max(probes, 1))
                rates.append(probes / (time.monotonic() - began))
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(20)
    return [Figure(name, "checks stored", "1/s", rates), Figure(name, "CPU per stored check, both", "ms", costs)]
