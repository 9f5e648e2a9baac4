"""Questions to DNS servers and their answers, as they stand on the wire."""

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import msgspec

_UDP_PAYLOAD = 1232
"""What passes everywhere without fragments (DNS Flag Day 2020)."""
_MAX_ALIASES = 16
_GARBLED = (dns.exception.DNSException, ValueError, IndexError, KeyError, TypeError, OverflowError)
"""What the parser raises for bytes that are no message; a fuzzer looks for others."""


class GarbledError(ValueError):
    """The bytes are no message of the DNS."""


class Question(msgspec.Struct, frozen=True):
    """What is asked for."""

    name: dns.name.Name
    record_type: int
    recursion: bool = True
    authenticated: bool = False
    """Ask to be told whether the answer was validated with DNSSEC (RFC 6840, 5.7)."""

    def wire(self) -> tuple[int, bytes]:
        """Return a message with a random id, and that id."""
        flags = dns.flags.RD if self.recursion else dns.flags.Flag(0)
        if self.authenticated:
            flags |= dns.flags.AD
        message = dns.message.make_query(
            self.name,
            dns.rdatatype.RdataType(self.record_type),
            use_edns=0,
            payload=_UDP_PAYLOAD,
            want_dnssec=self.authenticated,
        )
        message.flags = flags
        return message.id, message.to_wire()


def read(wire: bytes, message_id: int, question: Question) -> dns.message.Message | None:
    """Return the answer to a question; None for a message that answers another one.

    Raises:
        GarbledError: it is no message.
    """
    if len(wire) < 12 or int.from_bytes(wire[:2], "big") != message_id:
        return None
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
        if not message.flags & dns.flags.QR:
            return None
        # A server that could not even read the question may leave it out.
        if message.question and not _is_of(message.question[0], question):
            return None
    except _GARBLED as error:
        raise GarbledError(str(error)) from None
    if not message.question and message.rcode() == dns.rcode.NOERROR:
        return None
    return message


def _is_of(asked: dns.rrset.RRset, question: Question) -> bool:
    return asked.name == question.name and asked.rdtype == question.record_type


class AliasLoopError(Exception):
    """The aliases of an answer lead in a circle, or on for too long."""


def records_of(message: dns.message.Message, question: Question) -> dns.rrset.RRset | None:
    """Return the records that a question asks for, along the aliases (CNAME) within the answer; None if there are none.

    Raises:
        AliasLoopError: see there.
    """
    name = question.name
    wanted = dns.rdatatype.RdataType(question.record_type)
    for _ in range(_MAX_ALIASES):
        found = _find(message, name, wanted)
        if found is not None:
            return found
        alias = _find(message, name, dns.rdatatype.CNAME)
        if alias is None or not len(alias):
            return None
        name = alias[0].target
    raise AliasLoopError


def _find(
    message: dns.message.Message, name: dns.name.Name, record_type: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    return message.get_rrset(message.answer, name, dns.rdataclass.IN, record_type)
