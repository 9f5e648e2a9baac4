"""Builds what tells people: contacts, the outbox, the channels that are set up, and the pages behind links in mails."""

import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Protocol

import aiohttp
import structlog

from monitord import __version__
from monitord.alerting.apprise import AppriseSender
from monitord.alerting.bursts import Bursts
from monitord.alerting.discord import DiscordSender
from monitord.alerting.dispatcher import AT_ONCE, Dispatcher, Meter, Send
from monitord.alerting.greeter import Greeter
from monitord.alerting.http_delivery import HttpDelivery
from monitord.alerting.lookout import Lookout
from monitord.alerting.mail_server import MailServer
from monitord.alerting.operator_desk import OperatorDesk
from monitord.alerting.pagerduty import PagerDutySender
from monitord.alerting.postman import Postman
from monitord.alerting.slack import SlackSender
from monitord.alerting.teams import TeamsSender
from monitord.alerting.telegram import TelegramSender
from monitord.alerting.webhook import WebhookSender
from monitord.domain.contact import AlertConfig, AlertSettings, Contact, ContactSpec
from monitord.domain.contacts import Channel
from monitord.domain.delivery import Attempt, Outcome
from monitord.domain.errors import FailedPreconditionError
from monitord.domain.instant import SECOND, Instant
from monitord.domain.letter import Letter
from monitord.domain.notice import Notice, Picture
from monitord.domain.wording import duration, moment
from monitord.identity.contact_links import ContactLinks
from monitord.identity.vault import Vault
from monitord.mailing import mail_server, postman, renderer, sender
from monitord.pages.contacts import ContactPages
from monitord.probes.outbound import Outbound, RefusedError
from monitord.rpc.alerts import AlertService
from monitord.rpc.contacts import ContactService
from monitord.rpc.convert_contact import ContactReader
from monitord.rpc.incidents import IncidentService, Sessions
from monitord.rpc.places import EgressPolicy
from monitord.rpc.requests import RequestLedger
from monitord.settings import Settings
from monitord.storage.alert_configs import AlertConfigStore
from monitord.storage.alert_history import AlertHistory
from monitord.storage.claimant import Claimant
from monitord.storage.confirmations import ConfirmationStore
from monitord.storage.contacts import ContactStore
from monitord.storage.explanations import Explanations
from monitord.storage.incidents import IncidentStore
from monitord.storage.notices import Notices
from monitord.storage.orphans import Orphans
from monitord.storage.outbox import Claims
from monitord.storage.outbox_outcomes import Outcomes
from monitord.storage.standing_alerts import StandingAlerts
from monitord.storage.tenancy import Pools
from monitord.streaming.incident_feed import IncidentFeed


class _ByHttp(Protocol):
    """A channel that sends by one POST."""

    def __init__(self, delivery: HttpDelivery) -> None:
        """Take what sends."""

    async def send(self, channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        """Try once."""
        ...


_KINDS = ("email", "webhook", "slack", "teams", "discord", "telegram", "pagerduty", "apprise")
_BY_HTTP: Mapping[str, type[_ByHttp]] = {
    "webhook": WebhookSender,
    "slack": SlackSender,
    "teams": TeamsSender,
    "discord": DiscordSender,
    "telegram": TelegramSender,
    "pagerduty": PagerDutySender,
}
_CONNECTIONS = AT_ONCE * len(_BY_HTTP)
"""Room for all that may be under way: a channel that hangs keeps none from another."""
_APART = ("pagerduty",)
"""Machines read these one by one: no digests."""

_SHOWN_WITHIN_S = 2.0
"""How long alerts wait at the start for our sign of life to be seen; without it, leases have to do."""

_log = structlog.get_logger(__name__)


class Notification:
    """Everything between the outbox and the people. Construction wires; ``close`` ends what is open."""

    def __init__(
        self,
        settings: Settings,
        pools: Pools,
        vault: Vault,
        outbound: Outbound,
        *,
        now: Callable[[], Instant],
        meter: Meter,
        base: Callable[[], str],
        picture: Callable[[str], Awaitable[Picture | None]],
    ) -> None:
        """``base`` gives what stands before the path in links, ``picture`` a screenshot by its URL."""
        database, tenants = pools
        self._picture = picture
        self._session: aiohttp.ClientSession | None = None
        self._apprise: AppriseSender | None = None
        self._postman: Postman | None = None
        self._mail: MailServer | None = None
        self._unasked: list[Contact] = []
        self._contacts = ContactStore(database, vault)
        self._configs = AlertConfigStore(database)
        self._incidents = IncidentStore(tenants)
        self._feed = IncidentFeed(self._incidents)
        self._database = database
        self._tenants = tenants
        self._callers_contacts = ContactStore(tenants, vault)
        self._callers_configs = AlertConfigStore(tenants)
        self._now = now
        links = ContactLinks(vault.derive, base)
        senders = self._senders(settings, outbound, now)
        # Two, as nobody has signed in who opens a link of a mail: the link says whose it is.
        confirmations = ConfirmationStore(database, self._contacts)
        self._greeter = Greeter(self._contacts, confirmations, links, senders, now=now)
        callers_confirmations = ConfirmationStore(tenants, self._callers_contacts)
        self._callers_greeter = Greeter(self._callers_contacts, callers_confirmations, links, senders, now=now)
        self.pages = ContactPages(self._greeter, links)
        self.operator_desk = _operator_desk(settings, senders, now)
        self._network_down_since: Instant | None = None
        missing = {kind: _not_set_up(kind) for kind in _KINDS if kind not in senders}
        self.claimant = Claimant(database.dsn)
        self.dispatcher = Dispatcher(
            Claims(database, lambda: self.claimant.standing),
            Notices(database, vault, links.unsubscribe_url),
            Outcomes(database, random.uniform),
            {**senders, **missing},
            now=now,
            meter=meter,
            bursts=Bursts(apart=_APART),
            orphans=Orphans(database, self.claimant.number, random.uniform),
        )

    async def meet(self, org_id: int, specs: Iterable[ContactSpec]) -> dict[str, int]:
        """Store contacts, and return their ids by their names; mailboxes among them are asked by ``greet``."""
        made = [await self._contacts.create(org_id, spec) for spec in specs]
        self._unasked += made
        return {contact.spec.name: contact.id for contact in made}

    async def tell(self, org_id: int, monitor_id: int, contact_id: int, settings: AlertSettings) -> None:
        """Store what a contact is told of a monitor."""
        config = AlertConfig(monitor_id=monitor_id, contact_id=contact_id, settings=settings)
        await self._configs.set(org_id, config)

    async def deliver(self) -> None:
        """Deliver until cancelled; but first show that we live, so that nobody has to wait for our claims after us."""
        await self.claimant.held(_SHOWN_WITHIN_S)
        await self.dispatcher.run()

    def greet(self) -> None:
        """Ask the mailboxes of ``meet``, now that it is known where the links in mails lead."""
        while self._unasked:
            self._greeter.greet(self._unasked.pop())

    def lookout(self) -> Lookout:
        """Return what looks for alerts that follow from no change of status."""
        return Lookout(StandingAlerts(self._database), now=self._now, found=self.dispatcher.poke)

    def contact_service(self, requests: RequestLedger, policy: EgressPolicy) -> ContactService:
        """Return what serves the API of contacts."""
        return ContactService(
            self._callers_contacts, self._callers_configs, requests, ContactReader(policy), self._callers_greeter
        )

    def incident_service(self, sessions: Sessions, now: Callable[[], Instant]) -> IncidentService:
        """Return what serves the API of incidents."""
        return IncidentService(self._incidents, self._feed, self._callers_configs, sessions, now=now)

    def alert_service(self) -> AlertService:
        """Return what serves the history of alerts."""
        configs = self._callers_configs
        explanations = Explanations(self._tenants, self._callers_contacts, configs)
        history = AlertHistory(self._tenants)
        return AlertService(history, configs, self._incidents, explanations, revived=self.dispatcher.poke)

    def network_changed(self, is_down: bool) -> None:
        """Tell the operator that monitord's own network is down, or was; while it is, that waits (one alert, I9)."""
        since, now = self._network_down_since, self._now()
        self._network_down_since = now if is_down else None
        if self.operator_desk is None:
            return
        if is_down:
            self.operator_desk.tell(
                "network",
                f"monitord's own network is down since {moment(now, 'UTC')}: failures count against no monitor.",
            )
        elif since is not None:
            lasted = duration((now - since) / SECOND)
            news = f"monitord's own network was down from {moment(since, 'UTC')}, for {lasted}"
            self.operator_desk.tell("network", f"{news}: meanwhile no failure counted against a monitor.")

    def poke(self) -> None:
        """Look at once: a change was committed."""
        self.dispatcher.poke()
        self._feed.poke()

    def _senders(self, settings: Settings, outbound: Outbound, now: Callable[[], Instant]) -> Mapping[str, Send]:
        """Return what delivers, by kind of channel; a kind that is not set up is missing, which is said once."""
        senders: dict[str, Send] = {}
        self._mail = mail_server(settings, outbound)
        if self._mail is None:
            _log.info("channel_off", channel="email", reason="set MONITORD_SMTP_EMAIL and MONITORD_SMTP_PASSWORD")
        else:
            senders["email"] = sender(settings, self._mail, renderer(settings), now, self._picture).send
            self._postman = postman(settings, self._mail, now)
        self._session = outbound.session(connections=_CONNECTIONS, reuse=False)
        agent = f"monitord/{__version__} (+{settings.operator_url})"
        delivery = HttpDelivery(self._session, user_agent=agent, now=now, refused=RefusedError)
        for kind, made in _BY_HTTP.items():
            senders[kind] = made(delivery).send
        if settings.apprise_services:
            self._apprise = _apprise(settings.apprise_services)
            senders["apprise"] = self._apprise.send
        return senders

    @property
    def post(self) -> Callable[[Letter], None] | None:
        """What sends mails about accounts; None where mail is not set up."""
        return None if self._postman is None else self._postman.post

    async def close(self) -> None:
        """End what is open."""
        if self._postman is not None:
            await self._postman.close()
        await self._greeter.close()
        await self._callers_greeter.close()
        if self._mail is not None:
            await self._mail.close()
        if self._apprise is not None:
            self._apprise.close()
        if self._session is not None:
            await self._session.close()


def _apprise(services: Collection[str]) -> AppriseSender:
    try:
        return AppriseSender(services)
    except ValueError as error:
        raise FailedPreconditionError(f"MONITORD_APPRISE_SERVICES: {error}") from None


def _operator_desk(settings: Settings, senders: Mapping[str, Send], now: Callable[[], Instant]) -> OperatorDesk | None:
    if settings.operator_email is None or "email" not in senders:
        return None
    return OperatorDesk(senders["email"], settings.operator_email, now=now)


def _not_set_up(kind: str) -> Send:
    """Return what stands in for a channel that is not set up: it may be within the day."""

    async def refuse(channel: Channel, notice: Notice, timeout_s: float) -> Attempt:
        return Attempt(outcome=Outcome.RETRY, code="not_set_up", detail=f"this server is not set up to send by {kind}")

    return refuse
