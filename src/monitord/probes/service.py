"""What the checks of services have in common: dial, secure the connection, talk, judge the time and the certificate."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from monitord.domain.check import Category, Observation
from monitord.domain.connection import NO_TLS_SETTINGS, AddressFamily, SecureCheck, Security, TlsSettings
from monitord.domain.instant import Instant
from monitord.domain.target import InvalidTargetError, parse_endpoint
from monitord.probes import starttls
from monitord.probes.certificates import expiring
from monitord.probes.channel import Channel
from monitord.probes.deadline import Deadlines
from monitord.probes.dial import Dialler, Peer
from monitord.probes.failure import Failure, ours
from monitord.probes.resolver import Resolver, Resolvers
from monitord.probes.text import shown
from monitord.probes.tls import Session
from monitord.probes.trial import StepError, Trial, slow

C = TypeVar("C", bound=SecureCheck)


class TlsSessions(Protocol):
    """Makes TLS sessions."""

    def session(
        self, target: Peer, *, verify: bool, settings: TlsSettings = NO_TLS_SETTINGS, judge: bool = False
    ) -> Session:
        """Begin a session; raise ValueError for settings that can't be used."""


class ServiceChecks:
    """Runs the checks of services. One instance serves all their probers.

    TLS is OpenSSL's alone here: it explains more, and these checks are too few for the faster engine to matter.
    """

    def __init__(self, dialler: Dialler, tls: TlsSessions, resolvers: Resolvers, *, now: Callable[[], Instant]) -> None:
        self._dialler = dialler
        self._tls = tls
        self._resolvers = resolvers
        self._now = now
        self._deadlines = Deadlines()

    async def check(
        self,
        check: C,
        timeout_s: float,
        talk: Callable[[Channel, C, Trial], Awaitable[Failure | None]],
        *,
        trace: bool,
        upgrade: bool = True,
    ) -> Observation:
        """Run one check: connect, secure the connection as the check asks, and talk.

        Args:
            check: what to reach, and how.
            timeout_s: seconds for the whole of it.
            talk: says what there is to say; returns or raises (``StepError``) what is wrong.
            trace: explain an UP verdict too.
            upgrade: begin TLS before the talk; otherwise ``talk`` does, by ``secure``.
        """
        deadline = self._deadlines.start(timeout_s)
        trial = Trial(deadline)
        channel: Channel | None = None
        try:
            channel = await self._connect(check, trial)
            if upgrade:
                await self._upgrade(check, channel, trial)
            final = await talk(channel, check, trial)
        except StepError as error:
            final = error.failure
        finally:
            deadline.close()
            if channel is not None:
                channel.close()
        if final is None:
            chain = trial.session.chain() if trial.session is not None and check.min_certificate_days else ()
            final = slow(trial.elapsed_ms, check.expected_latency_ms) or expiring(
                chain, check.min_certificate_days, self._now()
            )
        return trial.conclude(final, trace=trace)

    async def secure(self, channel: Channel, check: SecureCheck) -> None:
        """Make the TLS handshake as the check asks."""
        try:
            session = self._tls.session(channel.peer, verify=check.verify_tls, settings=check.tls, judge=True)
        except ValueError as error:
            raise StepError(ours(Category.ENGINE_INTERNAL, f"This check cannot be run: {shown(str(error))}.")) from None
        await channel.start_tls(session)

    async def _connect(self, check: SecureCheck, trial: Trial) -> Channel:
        try:
            peer = parse_endpoint(check.host, check.port)
        except InvalidTargetError as error:
            raise StepError(
                ours(Category.ENGINE_INTERNAL, f"This check cannot be run as it is stored: {error}.")
            ) from None
        return await connect(self._dialler, peer, check, trial, self._resolvers.at(check.resolver))

    async def _upgrade(self, check: SecureCheck, channel: Channel, trial: Trial) -> None:
        if check.security is Security.PLAIN:
            return
        if check.security is not Security.TLS:
            await starttls.request(channel, check.security, trial)
        await self.secure(channel, check)


class Reachable(Protocol):
    """Whatever says which addresses of a name may be dialled."""

    @property
    def address_family(self) -> AddressFamily:
        """Which."""


async def connect(
    dialler: Dialler, peer: Peer, check: Reachable, trial: Trial, resolver: Resolver | None = None
) -> Channel:
    """Dial a peer and return the channel; raise ``StepError`` if that can't be done. The caller closes it."""
    trial.port = peer.port
    dialled = trial.dialled = await dialler.dial(peer, check.address_family, trial.deadline, resolver=resolver)
    if dialled.dns_ms is not None:
        trial.add("dns", dialled.dns_ms)
        trial.note("dns", f"{peer.host} resolved to {', '.join(dialled.resolved[:10]) or 'no address'}.")
    if dialled.connect_ms is not None:
        trial.add("connect", dialled.connect_ms)
    if dialled.attempt is None:
        assert dialled.failure is not None
        raise StepError(dialled.failure)
    trial.note("connect", f"Connected to {dialled.ip} port {peer.port}.")
    return Channel(dialled.attempt, peer, trial)
