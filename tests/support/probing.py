"""What the probers of services share, put together as the process does."""

import time

from monitord.probes.dial import Dialler
from monitord.probes.dns_client import DnsClient
from monitord.probes.dns_resolver import ServerResolvers
from monitord.probes.service import ServiceChecks
from monitord.probes.tls import Tls


def service_checks(dialler: Dialler, tls: Tls) -> ServiceChecks:
    """Return them for a dialler."""
    return ServiceChecks(dialler, tls, ServerResolvers(DnsClient(dialler, tls)), now=lambda: time.time_ns() // 1000)
