"""DNS records as people write them, in the one form in which they can be compared (RFC 4034, 6.2)."""

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT

from monitord.domain.kinds.dns import DnsRecordType

EXAMPLES = {
    DnsRecordType.A: "192.0.2.1",
    DnsRecordType.AAAA: "2001:db8::1",
    DnsRecordType.CNAME: "www.example.com",
    DnsRecordType.NS: "ns1.example.com",
    DnsRecordType.PTR: "host.example.com",
    DnsRecordType.MX: "10 mail.example.com",
    DnsRecordType.SRV: "10 5 5060 sip.example.com",
    DnsRecordType.TXT: "v=spf1 -all",
    DnsRecordType.CAA: '0 issue "ca.example.net"',
    DnsRecordType.SOA: "ns1.example.com admin.example.com 2026010101 7200 3600 1209600 300",
}
"""What a record of each type looks like."""


def canonical(record_type: DnsRecordType, text: str) -> bytes:
    """Return a record as zone files write it in its canonical form: names in lower case, numbers as numbers.

    Raises:
        ValueError: it is no record of that type.
    """
    if record_type is DnsRecordType.TXT and not text.startswith('"'):
        return text.encode()
    try:
        return canonical_of(
            dns.rdata.from_text(dns.rdataclass.IN, record_type.name, text, origin=dns.name.root, relativize=False)
        )
    except (dns.exception.DNSException, ValueError, IndexError) as error:
        raise ValueError(str(error)) from None


def canonical_of(record: dns.rdata.Rdata) -> bytes:
    """Return the canonical form of a record that a server sent; the strings of a TXT joined."""
    if isinstance(record, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(record.strings)
    return record.to_digestable(dns.name.root)
