"""What a DNS check may be."""

import re
from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.kinds.dns import DnsCheck, DnsRecordType
from monitord.domain.records import EXAMPLES, canonical
from monitord.domain.rules.connection import Context, of_latency, of_length, of_tls_settings
from monitord.domain.rules.wording import has_controls, quoted
from monitord.domain.target import InvalidTargetError, parse_endpoint, parse_server

MAX_ANSWERS = 50
MAX_ANSWER_BYTES = 1024
MAX_RCODES = 10
RCODES = (
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
)
"""Response codes by their names (RFC 6895, 2.3)."""

# Names in the DNS are wider than those of hosts: _dmarc, _sip._tcp, wildcards as they stand in a zone.
_NAME = re.compile(r"(?:[A-Za-z0-9_*/-]{1,63}\.)*[A-Za-z0-9_*/-]{1,63}\.?|\.")


def violations(check: DnsCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with a DNS check."""
    yield from _of_name(check)
    if check.server:
        try:
            parse_server(check.server, check.default_port)
        except InvalidTargetError as error:
            yield Violation("server", str(error))
    yield from of_latency(check.expected_latency_ms, context)
    yield from of_tls_settings(check.tls, context)
    yield from _of_answers(check)
    if not 1 <= len(check.accepted_rcodes) <= MAX_RCODES:
        yield Violation("accepted_rcodes", f"must be 1 to {MAX_RCODES}, not {len(check.accepted_rcodes)}")
        return
    for index, rcode in enumerate(check.accepted_rcodes):
        if rcode not in RCODES:
            yield Violation(f"accepted_rcodes[{index}]", f"must be one of {', '.join(RCODES)}, not {quoted(rcode)}")


def _of_name(check: DnsCheck) -> Iterator[Violation]:
    if check.name.isascii():
        is_address = check.record_type is DnsRecordType.PTR and ":" in check.name
        if not is_address and not (len(check.name) <= 254 and _NAME.fullmatch(check.name)):
            yield Violation("name", f"must be a name of the DNS such as example.com, not {quoted(check.name)}")
            return
        if not is_address:
            return
    try:
        parse_endpoint(check.name, 1)
    except InvalidTargetError as error:
        yield Violation("name", str(error))


def _of_answers(check: DnsCheck) -> Iterator[Violation]:
    field = "expected_answers"
    if len(check.expected_answers) > MAX_ANSWERS:
        yield Violation(field, f"must be at most {MAX_ANSWERS}, not {len(check.expected_answers)}")
        return
    for index, answer in enumerate(check.expected_answers):
        yield from of_length(answer, f"{field}[{index}]", MAX_ANSWER_BYTES)
        if not answer or has_controls(answer):
            yield Violation(f"{field}[{index}]", "must be a record as zone files write it, on one line")
            continue
        try:
            canonical(check.record_type, answer)
        except ValueError:
            name, example = check.record_type.name, EXAMPLES[check.record_type]
            yield Violation(
                f"{field}[{index}]", f"must be a record of type {name}, such as {example}, not {quoted(answer)}"
            )
