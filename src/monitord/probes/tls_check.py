"""The TLS check: a handshake, and whether the server's certificate and the version are as they should be."""

import hashlib
from collections.abc import Callable, Sequence

from monitord.domain.check import Category, Observation
from monitord.domain.connection import Security
from monitord.domain.instant import Instant
from monitord.domain.kinds.tls import TlsCheck, TlsVersion
from monitord.domain.target import InvalidTargetError, parse_endpoint
from monitord.probes import starttls
from monitord.probes.certificate_rules import Coverage, days_left, key_bits, weakness
from monitord.probes.certificates import read_certificate
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure, ours
from monitord.probes.service import ServiceChecks
from monitord.probes.tls import TLS_VERSIONS
from monitord.probes.trial import StepError, Trial

_LEAST = {TlsVersion.TLS_1_2: 1.2, TlsVersion.TLS_1_3: 1.3}
_MAX_SHOWN = 5


class TlsProber:
    """Runs TLS checks. One instance serves the process."""

    def __init__(self, services: ServiceChecks, *, now: Callable[[], Instant]) -> None:
        """Take what runs checks of services, and the clock that says how many days a certificate has left."""
        self._services = services
        self._now = now

    async def __call__(self, check: TlsCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check; see ``probes.table.Prober``."""
        return await self._services.check(check, timeout_s, self._talk, trace=trace, upgrade=False)

    async def _talk(self, channel: Channel, check: TlsCheck, trial: Trial) -> Failure | None:
        try:
            if check.security is not Security.TLS:
                await starttls.request(channel, check.security, trial)
            await self._services.secure(channel, check)
            await channel.confirm_tls()
        except StepError as error:
            self._record(trial)
            raise StepError(_told(error.failure, channel, trial)) from None
        self._record(trial)
        return _judge(check, channel, trial)

    def _record(self, trial: Trial) -> None:
        """Record what there is to know of the certificates, also when they were refused."""
        chain = trial.session.chain() if trial.session is not None else ()
        if not chain:
            return
        figures = trial.measurements
        figures["tls.chain_length"] = float(len(chain))
        if (days := days_left(chain, self._now())) is not None:
            figures["tls.days_left"] = float(days)
        if (bits := key_bits(chain[0])) is not None:
            figures["tls.key_bits"] = float(bits)
        trial.note("tls", f"The server sent {len(chain)} {'certificate' if len(chain) == 1 else 'certificates'}.")


def _told(failure: Failure, channel: Channel, trial: Trial) -> Failure:
    """Say what exactly is weak: OpenSSL says only that something is."""
    words = weakness(trial.session.chain()) if failure.category is Category.TLS_WEAK and trial.session else None
    return failure if words is None else _weak(channel, words)


def _weak(channel: Channel, words: str) -> Failure:
    return Failure(Category.TLS_WEAK, f"{channel.peer.authority} is too weak to trust: {words}.")


def _judge(check: TlsCheck, channel: Channel, trial: Trial) -> Failure | None:
    session = trial.session
    assert session is not None
    least = _LEAST.get(check.min_version, 0.0)
    if TLS_VERSIONS.get(session.version(), 0.0) < least:
        spoken = session.version().replace("TLSv", "TLS ") or "an unknown version"
        return Failure(
            Category.TLS_PROTOCOL, f"{channel.peer.authority} agreed to {spoken}; TLS {least} or newer is asked for."
        )
    chain = session.chain()
    if check.verify_tls and (words := weakness(chain)) is not None:
        return _weak(channel, words)
    return _judge_fingerprint(check, channel, chain) or _judge_names(check, channel, chain)


def _judge_fingerprint(check: TlsCheck, channel: Channel, chain: Sequence[bytes]) -> Failure | None:
    if not check.fingerprints_sha256:
        return None
    seen = hashlib.sha256(chain[0]).hexdigest() if chain else ""
    if seen in check.fingerprints_sha256:
        return None
    count = len(check.fingerprints_sha256)
    accepted = "the one that is" if count == 1 else f"one of the {count} that are"
    return Failure(
        Category.TLS_UNTRUSTED,
        f"The certificate of {channel.peer.authority} has the SHA-256 fingerprint {seen or 'of none'}, "
        f"not {accepted} accepted.",
    )


def _judge_names(check: TlsCheck, channel: Channel, chain: Sequence[bytes]) -> Failure | None:
    if not check.names:
        return None
    covered = Coverage(chain[0] if chain else b"")
    try:
        missing = [name for name in check.names if not covered.includes(parse_endpoint(name, channel.peer.port))]
    except InvalidTargetError as error:
        return ours(Category.ENGINE_INTERNAL, f"This check cannot be run as it is stored: {error}.")
    if not missing:
        return None
    facts = read_certificate(chain[0]) if chain else None
    others = ", ".join(facts.names[:_MAX_SHOWN]) if facts is not None else ""
    whose = f"The certificate of {channel.peer.authority}"
    return Failure(
        Category.TLS_HOSTNAME, f"{whose} is not for {_listed(missing)} but for {others or 'no name at all'}."
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MAX_SHOWN
    return ", ".join(names[:_MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
