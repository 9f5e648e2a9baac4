"""What a TLS handshake that failed says about the server."""

import ssl
import time
from collections.abc import Sequence
from typing import TypeAlias

from monitord.domain.check import Category, Certificate
from monitord.domain.instant import Instant, to_datetime
from monitord.domain.target import Target
from monitord.probes.certificates import read_certificate
from monitord.probes.dial import Peer
from monitord.probes.failure import Failure
from monitord.probes.text import shown
from monitord.probes.tls import Session

_Chain: TypeAlias = Sequence[Certificate]

# X509_V_ERR_*: what ``SSLCertVerificationError.verify_code`` holds.
_VERIFY = {
    9: Category.TLS_NOT_YET_VALID,
    10: Category.TLS_EXPIRED,
    18: Category.TLS_SELF_SIGNED,
    19: Category.TLS_SELF_SIGNED,
    62: Category.TLS_HOSTNAME,
    64: Category.TLS_HOSTNAME,
    66: Category.TLS_WEAK,
    67: Category.TLS_WEAK,
    68: Category.TLS_WEAK,
}
_PLAIN = {"https": "http", "wss": "ws"}
_WEAK = ("DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "BAD_DH_VALUE")
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "PACKET_LENGTH_TOO_LONG")
_OLD = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW", "NO_PROTOCOLS_AVAILABLE")


def is_tls_record(data: bytes) -> bool:
    """Tell whether the first bytes of an answer can be a TLS record (RFC 8446, 5.1)."""
    return 20 <= data[0] <= 24 and (len(data) < 2 or data[1] == 3)


def not_tls(target: Peer, data: bytes) -> Failure:
    """Return the failure of a server that answers a handshake in another language."""
    plain = _PLAIN.get(target.scheme) if isinstance(target, Target) else None
    return Failure(
        Category.TLS_NOT_TLS,
        f"{target.authority} does not speak TLS on port {target.port}: its answer to the handshake begins with "
        f"{shown(data[:24])!r}." + (f" Perhaps the URL should begin with {plain}://." if plain else ""),
    )


def closed_in_handshake(target: Peer) -> Failure:
    """Return the failure of a server that hangs up instead of finishing the handshake."""
    return Failure(Category.TLS_PROTOCOL, f"{target.authority} closed the connection during the TLS handshake.")


def client_certificate(session: Session, target: Peer) -> Failure:
    """Return the failure of a server that lets nobody in without a certificate, or not with the monitor's."""
    if session.shows_certificate:
        return Failure(
            Category.TLS_CLIENT_CERT, f"{target.authority} does not accept the monitor's client certificate."
        )
    return Failure(Category.TLS_CLIENT_CERT, f"{target.authority} demands a client certificate, and none is set.")


def explain(session: Session, error: ssl.SSLError, target: Peer) -> Failure:
    """Return the category and the sentence for a handshake, or a session, that ended with an error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(session, error, target)
    reason = (error.reason or "").upper().replace("CERTIFICATEREQUIRED", "CERTIFICATE_REQUIRED")
    if "CERTIFICATE_REQUIRED" in reason or (session.asked_for_certificate and "ALERT" in reason):
        return client_certificate(session, target)
    if reason in _NOT_TLS:
        return Failure(Category.TLS_NOT_TLS, f"What answers at {target.authority} does not speak TLS.")
    if reason in _OLD:
        return Failure(
            Category.TLS_PROTOCOL, f"{target.authority} and monitord share no TLS version: 1.2 or 1.3 is needed."
        )
    if reason in _WEAK:
        return Failure(Category.TLS_WEAK, f"{target.authority} uses a key or signature that is too weak to trust.")
    if "NO_APPLICATION_PROTOCOL" in reason:
        return Failure(
            Category.PROTOCOL_INVALID,
            f"{target.authority} speaks none of the protocols that were offered to it in the TLS handshake (ALPN).",
        )
    if "ALERT" in reason or "UNRECOGNIZED_NAME" in reason:
        return Failure(Category.TLS_ALERT, f"{target.authority} refused the TLS handshake: {_words(reason)}.")
    return Failure(Category.TLS_PROTOCOL, f"The TLS handshake with {target.authority} went wrong: {_words(reason)}.")


def _explain_certificate(session: Session, error: ssl.SSLCertVerificationError, target: Peer) -> Failure:
    category = _VERIFY.get(getattr(error, "verify_code", 0), Category.TLS_UNTRUSTED)
    chain = [facts for der in session.chain() if (facts := read_certificate(der)) is not None]
    return Failure(category, _CERTIFICATE_SENTENCES.get(category, _untrusted)(session.server_name, chain, error))


def _expired(host: str, chain: _Chain, _: ssl.SSLCertVerificationError) -> str:
    first = min(chain, key=lambda facts: facts.not_after, default=None)
    if first is None or first.not_after > _now():
        # The root, which servers need not send, or a certificate that can't be read.
        return f"A certificate in the chain of {host} has expired; it must be renewed."
    when = f"{to_datetime(first.not_after):%Y-%m-%d %H:%M} UTC"
    return f"{_whose(host, chain, first)} has expired on {when}; it must be renewed."


def _not_yet_valid(host: str, chain: _Chain, _: ssl.SSLCertVerificationError) -> str:
    last = max(chain, key=lambda facts: facts.not_before, default=None)
    if last is None or last.not_before < _now():
        return f"A certificate in the chain of {host} is not valid yet."
    return f"{_whose(host, chain, last)} is not valid before {to_datetime(last.not_before):%Y-%m-%d %H:%M} UTC."


def _now() -> Instant:
    # OpenSSL has judged by the same clock.
    return time.time_ns() // 1000


def _whose(host: str, chain: _Chain, facts: Certificate) -> str:
    return f"The certificate of {host}" if facts is chain[0] else f"In the chain of {host} the one of {facts.subject}"


def _self_signed(host: str, _: _Chain, error: ssl.SSLCertVerificationError) -> str:
    if getattr(error, "verify_code", 0) == 19:
        return f"The chain of {host} ends in a self-signed certificate that is not trusted here."
    return f"The certificate of {host} is self-signed; one from a trusted authority was expected."


def _hostname(host: str, chain: _Chain, _: ssl.SSLCertVerificationError) -> str:
    names = ", ".join(chain[0].names[:5]) if chain else ""
    return f"The certificate is not for {host} but for {names or 'no name at all'}."


def _weak(host: str, _: _Chain, __: ssl.SSLCertVerificationError) -> str:
    return f"The certificate of {host} has a key or signature that is too weak to trust."


def _untrusted(host: str, chain: _Chain, error: ssl.SSLCertVerificationError) -> str:
    issuer = f" by {chain[0].issuer}" if chain else ""
    detail = shown(getattr(error, "verify_message", "") or "the chain leads to no trusted root")
    return f"The certificate of {host}, issued{issuer}, is not trusted: {detail}."


_CERTIFICATE_SENTENCES = {
    Category.TLS_EXPIRED: _expired,
    Category.TLS_NOT_YET_VALID: _not_yet_valid,
    Category.TLS_SELF_SIGNED: _self_signed,
    Category.TLS_HOSTNAME: _hostname,
    Category.TLS_WEAK: _weak,
}


def _words(reason: str) -> str:
    if not reason:
        return "the server ended it"
    return shown(reason.removeprefix("SSLV3_").removeprefix("TLSV1_").removeprefix("TLSV13_").replace("_", " ").lower())
