"""The DNS check: a question to one server, and whether its answer is the expected one."""

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import dns.rrset

from monitord.domain.check import Category, Observation
from monitord.domain.kinds.dns import DNS_PORT, DnsCheck, DnsMatch, DnsRecordType
from monitord.domain.records import canonical, canonical_of
from monitord.domain.target import Endpoint, InvalidTargetError, parse_endpoint, parse_server
from monitord.probes.deadline import Deadlines
from monitord.probes.dns_client import DnsClient, Server
from monitord.probes.dns_message import AliasLoopError, Question, records_of
from monitord.probes.dns_system import SystemServers
from monitord.probes.failure import Failure, ours
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial, slow

_MAX_LINES = 40
_MAX_SHOWN = 5

_OUR_OWN = frozenset(
    {Category.DNS_TIMEOUT, Category.CONNECT_REFUSED, Category.CONNECT_TIMEOUT, Category.CONNECT_UNREACHABLE}
)
"""What makes a system's own resolver unusable: that is no fault of the name (I9)."""


class DnsProber:
    """Runs DNS checks. One instance serves the process."""

    def __init__(self, client: DnsClient, system: SystemServers) -> None:
        self._client = client
        self._system = system
        self._deadlines = Deadlines()

    async def __call__(self, check: DnsCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check; see ``probes.table.Prober``."""
        deadline = self._deadlines.start(timeout_s)
        trial = Trial(deadline)
        try:
            final = await self._run(check, trial)
        except StepError as error:
            final = error.failure
        finally:
            deadline.close()
        return trial.conclude(final, trace=trace)

    async def _run(self, check: DnsCheck, trial: Trial) -> Failure | None:
        question, server = self._question(check), self._server(check)
        trial.note("dns", f"Asking {server.endpoint.authority} for {question.name} {check.record_type.name}.")
        try:
            message = await self._client.ask(question, server, trial)
        except StepError as error:
            if not check.server and error.failure.category in _OUR_OWN:
                why = f"the system's own DNS server, {server.endpoint.authority}, can't be used"
                raise StepError(ours(Category.ENGINE_NETWORK_DOWN, f"{why}: {error.failure.message}")) from None
            raise
        took_ms = trial.elapsed_ms
        _record(message, trial)
        failure = _judge(check, question, message, trial)
        trial.content_ok = failure is None
        return failure or slow(took_ms, check.expected_latency_ms, "The answer")

    def _server(self, check: DnsCheck) -> Server:
        try:
            endpoint = parse_server(check.server, check.default_port) if check.server else self._system_server()
        except InvalidTargetError as error:
            raise StepError(
                ours(Category.ENGINE_INTERNAL, f"This check can't be run as it is stored: {error}.")
            ) from None
        return Server(
            endpoint=endpoint,
            transport=check.transport,
            address_family=check.address_family,
            verify_tls=check.verify_tls,
            tls=check.tls,
        )

    def _system_server(self) -> Endpoint:
        server = self._system.first()
        if server is None:
            raise StepError(
                ours(
                    Category.ENGINE_UNSUPPORTED,
                    "This machine names no DNS server (/etc/resolv.conf); give the monitor a server of its own.",
                )
            )
        return parse_endpoint(server, DNS_PORT)

    def _question(self, check: DnsCheck) -> Question:
        try:
            name = _name(check)
        except (InvalidTargetError, dns.exception.DNSException) as error:
            raise StepError(_unusable(str(error))) from None
        return Question(
            name=name,
            record_type=int(check.record_type),
            recursion=not check.no_recursion,
            authenticated=check.require_authenticated_data,
        )


def _unusable(why: str) -> Failure:
    return ours(Category.ENGINE_INTERNAL, f"This check can't be run as it is stored: {shown(why)}.")


def _name(check: DnsCheck) -> dns.name.Name:
    if check.record_type is DnsRecordType.PTR:
        try:
            return dns.reversename.from_address(check.name)
        except (dns.exception.SyntaxError, ValueError):
            pass  # a name then
    if check.name.isascii():
        return dns.name.from_text(check.name)
    return dns.name.from_text(parse_endpoint(check.name, 1).host)


def _record(message: dns.message.Message, trial: Trial) -> None:
    """Keep what an answer says, as figures and as lines."""
    counts = {"answers": message.answer, "authorities": message.authority, "additionals": message.additional}
    for name, section in counts.items():
        trial.measurements[f"dns.{name}"] = float(sum(len(rrset) for rrset in section))
    trial.measurements["dns.rcode"] = float(message.rcode())
    trial.measurements["dns.authenticated"] = float(bool(message.flags & dns.flags.AD))
    for rrset in (*message.answer, *message.authority):
        if rrset.rdtype == dns.rdatatype.SOA and len(rrset):
            trial.measurements.setdefault("dns.serial", float(rrset[0].serial))
    lines = (f"{rrset.name} {rrset.ttl} {_type(rrset)} {_text(each)}" for rrset in message.answer for each in rrset)
    trial.header_lines = tuple(shown(line) for line, _ in zip(lines, range(_MAX_LINES), strict=False))
    flags = dns.flags.to_text(message.flags)
    trial.note("ttfb", f"The answer has {dns.rcode.to_text(message.rcode())} and the flags {flags}.")


def _judge(check: DnsCheck, question: Question, message: dns.message.Message, trial: Trial) -> Failure | None:
    rcode = dns.rcode.to_text(message.rcode())
    asked = f"{check.name} {check.record_type.name}"
    if rcode not in check.accepted_rcodes:
        category = Category.DNS_NXDOMAIN if rcode == "NXDOMAIN" else Category.DNS_SERVFAIL
        return Failure(category, f"The answer for {asked} has {rcode}; {', '.join(check.accepted_rcodes)} is accepted.")
    if check.require_authenticated_data and not message.flags & dns.flags.AD:
        return Failure(
            Category.DNS_MISMATCH, f"The answer for {asked} is not authenticated: the server did not set AD (DNSSEC)."
        )
    if rcode != "NOERROR":
        return None
    try:
        found = records_of(message, question)
    except AliasLoopError:
        return Failure(Category.DNS_SERVFAIL, f"The aliases (CNAME) in the answer for {asked} lead in a circle.")
    if found is None or not len(found):
        return Failure(Category.DNS_NO_ADDRESS, f"{check.name} has no record of type {check.record_type.name}.")
    return _compare(check, found)


def _compare(check: DnsCheck, found: dns.rrset.RRset) -> Failure | None:
    if not check.expected_answers:
        return None
    there = {canonical_of(each) for each in found}
    wanted = {canonical(check.record_type, text): text for text in check.expected_answers}
    missing = [text for form, text in wanted.items() if form not in there]
    surplus = [_text(each) for each in found if canonical_of(each) not in wanted]
    match check.match:
        case DnsMatch.ANY:
            is_right = len(missing) < len(wanted)
        case DnsMatch.ALL:
            is_right = not missing
        case _:
            is_right = not missing and not surplus
    if is_right:
        return None
    what = f"The answer for {check.name} {check.record_type.name} is {_listed(sorted(map(_text, found)))}"
    if check.match is DnsMatch.ANY:
        return Failure(Category.DNS_MISMATCH, f"{what}; one of {_listed(list(check.expected_answers))} is expected.")
    parts = [f"{_listed(missing)} is missing"] if missing else []
    if surplus and check.match is DnsMatch.EXACT:
        parts.append(f"{_listed(surplus)} is not expected")
    return Failure(Category.DNS_MISMATCH, f"{what}: {', and '.join(parts)}.")


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - _MAX_SHOWN} more" if len(texts) > _MAX_SHOWN else ""
    return ", ".join(shown(text, 80) for text in texts[:_MAX_SHOWN]) + more


def _type(rrset: dns.rrset.RRset) -> str:
    return dns.rdatatype.to_text(rrset.rdtype)


def _text(record: object) -> str:
    return str(record)
