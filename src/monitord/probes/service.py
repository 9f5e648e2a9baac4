"""What the checks of services have in common: dial, secure the connection, talk, judge the time and the certificate."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar

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


class TlsSessions(Protocol):
    """Makes TLS sessions."""

    def session(
        self,
        target: Peer,
        *,
        verify: bool,
        settings: TlsSettings = NO_TLS_SETTINGS,
        judge: bool = False,
        alpn: tuple[str, ...] = (),
    ) -> Session:
        """Begin a session that offers ``alpn``; raise ValueError for settings that can't be used."""


class Securable(Protocol):
    """A check that may ask for TLS."""

    @property
    def verify_tls(self) -> bool:
        """Whether the server's certificate counts."""

    @property
    def tls(self) -> TlsSettings:
        """Whose certificates are trusted, and which one is shown."""


class Converses(Securable, Protocol):
    """A check of something that is connected to and talked with."""

    @property
    def address_family(self) -> AddressFamily:
        """Which addresses of a name may be dialled."""

    @property
    def resolver(self) -> str:
        """The DNS server to ask in place of the system's; empty: the system's."""

    @property
    def expected_latency_ms(self) -> int:
        """Slower is DEGRADED; 0: no expectation."""

    @property
    def min_certificate_days(self) -> int:
        """DEGRADED when the certificate has fewer whole days left; 0: no condition."""


C = TypeVar("C", bound=SecureCheck)
D = TypeVar("D", bound=Converses)
T = TypeVar("T")
Talk: TypeAlias = Callable[[Channel, T, Trial], Awaitable[Failure | None]]
"""Says what there is to say; returns or raises (``StepError``) what is wrong."""


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
        talk: Talk[C],
        *,
        trace: bool,
        upgrade: bool = True,
        alpn: tuple[str, ...] = (),
    ) -> Observation:
        """Run one check: connect, secure the connection as the check asks, and talk.

        Args:
            check: what to reach, and how.
            timeout_s: seconds for the whole of it.
            talk: see ``Talk``.
            trace: explain an UP verdict too.
            upgrade: begin TLS before the talk; otherwise ``talk`` does, by ``secure``.
            alpn: the protocols to offer in the TLS handshake.
        """

        async def begin(channel: Channel, check: C, trial: Trial) -> Failure | None:
            if upgrade and check.security is not Security.PLAIN:
                if check.security is not Security.TLS:
                    await starttls.request(channel, check.security, trial)
                await self.secure(channel, check, alpn)
            return await talk(channel, check, trial)

        return await self.converse(check, lambda: parse_endpoint(check.host, check.port), timeout_s, begin, trace=trace)

    async def converse(
        self,
        check: D,
        peer: Callable[[], Peer],
        timeout_s: float,
        talk: Talk[D],
        *,
        trace: bool,
    ) -> Observation:
        """Run one check: connect to what ``peer`` returns, and talk; ``peer`` may raise ``InvalidTargetError``."""
        deadline = self._deadlines.start(timeout_s)
        trial = Trial(deadline)
        channel: Channel | None = None
        try:
            channel = await self._connect(check, peer, trial)
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

    async def secure(self, channel: Channel, check: Securable, alpn: tuple[str, ...] = ()) -> None:
        """Make the TLS handshake as the check asks."""
        try:
            session = self._tls.session(
                channel.peer, verify=check.verify_tls, settings=check.tls, judge=True, alpn=alpn
            )
        except ValueError as error:
            raise StepError(ours(Category.ENGINE_INTERNAL, f"This check cannot be run: {shown(str(error))}.")) from None
        await channel.start_tls(session)

    async def _connect(self, check: Converses, peer: Callable[[], Peer], trial: Trial) -> Channel:
        try:
            target = peer()
        except InvalidTargetError as error:
            raise StepError(
                ours(Category.ENGINE_INTERNAL, f"This check cannot be run as it is stored: {error}.")
            ) from None
        return await connect(self._dialler, target, check, trial, self._resolvers.at(check.resolver))


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
