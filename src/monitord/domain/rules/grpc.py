"""What a gRPC check may be."""

import re
from collections.abc import Iterator

from monitord.domain.connection import Security
from monitord.domain.errors import Violation
from monitord.domain.kinds.grpc import GrpcCheck
from monitord.domain.rules.connection import Context, of_secure
from monitord.domain.rules.headers import of_headers
from monitord.domain.rules.wording import VISIBLE, has_controls, quoted

MAX_SERVICE_CHARS = 255

# gRPC over HTTP/2, "Custom-Metadata": lower case, and not what the protocol keeps for itself.
_KEY = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]*")
_RESERVED = ("content-type", "user-agent", "te", "host")


def violations(check: GrpcCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with a gRPC check."""
    yield from of_secure(check, context, (Security.TLS, Security.PLAIN))
    if len(check.service) > MAX_SERVICE_CHARS:
        yield Violation("service", f"must have at most {MAX_SERVICE_CHARS} characters, not {len(check.service)}")
    if has_controls(check.service):
        yield Violation("service", VISIBLE)
    yield from of_headers(check.metadata, context.secrets_may_be_kept, "metadata")
    for index, each in enumerate(check.metadata[:50]):
        is_reserved = each.name in _RESERVED or each.name.startswith("grpc-") or each.name.endswith("-bin")
        if not _KEY.fullmatch(each.name) or is_reserved:
            yield Violation(
                f"metadata[{index}].name",
                f"must be lower-case letters, digits, - _ or . without grpc- at the beginning or -bin at the end, and "
                f"none of {', '.join(_RESERVED)}, not {quoted(each.name)}",
            )
        if not _VALUE.fullmatch(each.value):
            yield Violation(f"metadata[{index}].value", "must be visible ASCII characters and spaces")
