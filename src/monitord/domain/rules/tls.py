"""What a TLS check may be."""

import re
from collections.abc import Iterator

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.kinds.tls import TlsCheck
from monitord.domain.rules.connection import Context, of_host, of_secure
from monitord.domain.rules.wording import quoted

MAX_NAMES = 20
MAX_FINGERPRINTS = 10

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def violations(check: TlsCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with a TLS check."""
    yield from of_secure(check, context, tuple(each for each in Security if each is not Security.PLAIN))
    if len(check.names) > MAX_NAMES:
        yield Violation("names", f"must be at most {MAX_NAMES}, not {len(check.names)}")
    else:
        for index, name in enumerate(check.names):
            yield from of_host(name, f"names[{index}]")
    field = "fingerprints_sha256"
    if len(check.fingerprints_sha256) > MAX_FINGERPRINTS:
        yield Violation(field, f"must be at most {MAX_FINGERPRINTS}, not {len(check.fingerprints_sha256)}")
        return
    for index, fingerprint in enumerate(check.fingerprints_sha256):
        if not _FINGERPRINT.fullmatch(fingerprint):
            yield Violation(f"{field}[{index}]", f"must be 64 hexadecimal digits, not {quoted(fingerprint)}")
