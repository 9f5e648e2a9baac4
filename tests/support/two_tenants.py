"""Two organisations with rows in every table that has tenants, and every store that serves callers."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from monitord.domain.contact import AlertConfig, AlertSettings, ContactSpec
from monitord.domain.contacts import EmailContact
from monitord.domain.heartbeat import Ping, PingKind
from monitord.domain.instant import SECOND
from monitord.domain.kinds import HeartbeatCheck
from monitord.domain.maintenance import MaintenanceSpec, Once
from monitord.domain.monitor import MonitorSpec
from monitord.identity.api_keys import ApiKey, generate
from monitord.identity.principal import Scope
from monitord.identity.tenant import Tenant
from monitord.storage.accounts import AccountStore
from monitord.storage.alert_configs import AlertConfigStore
from monitord.storage.alert_history import AlertHistory
from monitord.storage.api_keys import ApiKeyStore
from monitord.storage.audit_log import AuditLog
from monitord.storage.confirmations import ConfirmationStore
from monitord.storage.contacts import ContactStore
from monitord.storage.database import Database, Transaction
from monitord.storage.explanations import Explanations
from monitord.storage.heartbeats import HeartbeatStore
from monitord.storage.incidents import IncidentStore
from monitord.storage.logs import LogStore
from monitord.storage.maintenance import MaintenanceStore
from monitord.storage.monitors import MonitorStore, wall_clock
from monitord.storage.requests import RequestLedger
from tests.support.stored import NOON, PlainSealer, log_row, organisation, spec

SECRETS = b"what only its owner may read"


class Stores:
    """Those that handlers of calls use, on one database."""

    def __init__(self, database: Database) -> None:
        self.monitors = MonitorStore(database, PlainSealer())
        self.logs = LogStore(database)
        self.contacts = ContactStore(database, PlainSealer())
        self.configs = AlertConfigStore(database)
        self.confirmations = ConfirmationStore(database, self.contacts)
        self.incidents = IncidentStore(database)
        self.alerts = AlertHistory(database)
        self.explanations = Explanations(database, self.contacts, self.configs)
        self.windows = MaintenanceStore(database)
        self.words = HeartbeatStore(database)
        self.requests = RequestLedger(database)
        self.accounts = AccountStore(database)
        self.keys = ApiKeyStore(database)
        self.audit = AuditLog(database)


@dataclass(kw_only=True)
class Things:
    """What one organisation has: the ids."""

    org: int
    user: int
    monitor: int
    job: int
    contact: int
    window: int
    key: str
    session: UUID
    change: int
    incident: int
    alert: int
    request: str

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.org, self.user)


async def things(database: Database, name: str) -> Things:
    """Store an organisation with one of everything, and a colleague of its user."""
    stores, org = Stores(database), await organisation(database, name)
    user, session, key = await _person(database, org, f"{name}@example.org")
    await _person(database, org, f"colleague-of-{name}@example.org")
    monitor = (await stores.monitors.create(org, spec())).monitor.id
    check = HeartbeatCheck(period_s=60)
    job = (await stores.monitors.create(org, MonitorSpec(name="job", check=check))).monitor.id
    gone = (await stores.monitors.create(org, spec("gone"))).monitor.id
    await stores.monitors.delete(org, gone)
    await stores.words.record(job, None, Ping(at=NOON, kind=PingKind.SUCCESS, body=SECRETS))
    address = EmailContact(address=f"{name}@example.org")
    contact = (await stores.contacts.create(org, ContactSpec(name="mail", channel=address))).id
    await stores.confirmations.begin(org, contact, f"token of {name}".encode(), b"code")
    await stores.configs.set(org, AlertConfig(monitor_id=monitor, contact_id=contact, settings=AlertSettings()))
    once = Once(start=NOON, end=NOON + SECOND)
    window = (await stores.windows.create(org, MaintenanceSpec(name="night", schedule=once))).id
    request = str(uuid4())

    async def answer(tx: Transaction) -> bytes:
        return SECRETS

    await stores.requests.once(org, "Create", request, b"asked", answer)
    await log_row(database, org, monitor, 1, at=NOON)
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO log_floors (org_id, shard, kept_from) VALUES ($1, 0, 1)", org)
    change, incident, alert = await _outage(database, org, monitor, contact)
    return Things(
        org=org, user=user, monitor=monitor, job=job, contact=contact, window=window, key=key, session=session,
        change=change, incident=incident, alert=alert, request=request,
    )  # fmt: skip


async def _person(database: Database, org: int, email: str) -> tuple[int, UUID, str]:
    session, now = uuid4(), wall_clock()
    key = ApiKey(id=generate()[0], display_name="key", scope=Scope.READ, created_at=now)
    async with database.transaction() as tx:
        user: int = await tx.fetchval(
            "INSERT INTO users (org_id, email, password_hash) VALUES ($1, $2, 'hash') RETURNING id", org, email
        )
        await tx.execute("INSERT INTO user_profile (user_id) VALUES ($1)", user)
        await tx.execute(
            "INSERT INTO sessions (id, user_id, refresh_hash, expires_at) "
            "VALUES ($1, $2, 'hash', now() + interval '1 h')",
            session, user,
        )  # fmt: skip
        assert await ApiKeyStore(database).create_api_key(org, user, key, b"digest", tx=tx)
    return user, session, key.id


async def _outage(database: Database, org: int, monitor: int, contact: int) -> tuple[int, int, int]:
    pair = (org, monitor)
    async with database.transaction() as tx:
        change: int = await tx.fetchval(
            "INSERT INTO monitor_transitions (org_id, monitor_id, seq, before, after, at) "
            "SELECT org_id, monitor_id, seq, 3, 5, checked_at FROM monitor_logs WHERE org_id = $1 AND monitor_id = $2 "
            "RETURNING id", *pair,
        )  # fmt: skip
        await tx.execute(
            "INSERT INTO check_evidence SELECT org_id, monitor_id, seq, checked_at, '\\x80' FROM monitor_logs "
            "WHERE org_id = $1 AND monitor_id = $2", *pair,
        )  # fmt: skip
        incident: int = await tx.fetchval(
            "INSERT INTO incidents (org_id, monitor_id, opened_at, opened_by) VALUES ($1, $2, now(), $3) RETURNING id",
            *pair, change,
        )  # fmt: skip
        alert: int = await tx.fetchval(
            "INSERT INTO alerts (org_id, transition_id, monitor_id, contact_id, incident_id, kind, state) "
            "VALUES ($1, $3, $2, $4, $5, 'down', 'dead') RETURNING id", *pair, change, contact, incident,
        )  # fmt: skip
        await tx.execute(
            "INSERT INTO alert_attempts (org_id, alert_id, number, began_at) VALUES ($1, $2, 1, now())", org, alert
        )
        await tx.execute("INSERT INTO certificate_notices VALUES ($1, $2, $3, now(), 7)", *pair, contact)
    return change, incident, alert
