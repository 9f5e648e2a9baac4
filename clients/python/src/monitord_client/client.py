"""The client: one object for all of monitord's services."""

from pathlib import Path
from types import TracebackType
from typing import Self

from monitord_client.accounts import AccountCalls
from monitord_client.address import DEFAULT_ADDRESS, Tls, parse_address
from monitord_client.alerts import AlertCalls
from monitord_client.audit import AuditCalls
from monitord_client.calls import Calls
from monitord_client.channel import open_channel
from monitord_client.check_logs import CheckLogCalls
from monitord_client.contacts import ContactCalls
from monitord_client.credentials import Credentials, Session, StaticKey, TokenStore
from monitord_client.heartbeats import HeartbeatCalls
from monitord_client.incidents import IncidentCalls
from monitord_client.maintenance import MaintenanceCalls
from monitord_client.monitors import MonitorCalls
from monitord_client.organisations import OrganisationCalls

_MAX_ID = 2**63 - 1


class Client(
    MonitorCalls,
    CheckLogCalls,
    MaintenanceCalls,
    HeartbeatCalls,
    ContactCalls,
    IncidentCalls,
    AlertCalls,
    OrganisationCalls,
    AuditCalls,
    AccountCalls,
):
    """An async client of monitord.

    ::

        async with Client("127.0.0.1:50051", api_key=key) as client:
            async for monitor in client.list_monitors():
                print(monitor.name, MonitorStatus.Name(monitor.status))

    It belongs to the event loop it was made in, and is safe to share among that loop's tasks. Every call raises a
    subclass of MonitordError when it fails; what is safe to retry is retried, within the call's deadline.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        api_key: str | None = None,
        session: TokenStore | None = None,
        tls: bool | Tls = False,
        insecure: bool = False,
        timeout_s: float = 10.0,
        retries: int = 3,
        organisation: int | None = None,
    ) -> None:
        """Prepare a client; it connects with its first call.

        ``address`` is ``host:port``, ``https://host:port`` (TLS) or ``unix:/path``. Without ``api_key`` the tokens of
        ``session`` are sent, if there are any; ``login`` keeps new ones there. ``timeout_s`` is the default deadline
        of a call, over all attempts; ``retries`` how often it is repeated at most. ``organisation`` is the id of the
        one that calls and streams act in; without it that is the caller's personal one, or the one that their key was
        made in. Raises ValueError for an address, key or id that cannot be one, InsecureChannelError (a ValueError)
        when secrets would travel in plain text to another machine and ``insecure`` doesn't say that this is meant.
        """
        parsed = parse_address(address)
        wanted = Tls() if tls is True or (tls is False and parsed.tls) else tls
        self._channel = open_channel(parsed, wanted or None, insecure=insecure)
        credentials: Credentials = Session(session) if session is not None and api_key is None else StaticKey(api_key)
        self._calls = Calls(self._channel, credentials, timeout_s=timeout_s, retries=retries)
        self.organisation = organisation
        MonitorCalls.__init__(self, self._calls)
        CheckLogCalls.__init__(self, self._calls)
        MaintenanceCalls.__init__(self, self._calls)
        HeartbeatCalls.__init__(self, self._calls)
        ContactCalls.__init__(self, self._calls)
        IncidentCalls.__init__(self, self._calls)
        AlertCalls.__init__(self, self._calls)
        OrganisationCalls.__init__(self, self._calls)
        AuditCalls.__init__(self, self._calls)
        AccountCalls.__init__(self, self._calls, session)

    @classmethod
    def from_key_file(cls, path: Path | str, address: str = DEFAULT_ADDRESS, *, tls: bool | Tls = False) -> Self:
        """Return a client with the key in a file, such as the ``admin.key`` that monitord keeps in its state folder."""
        return cls(address, api_key=Path(path).read_text().strip(), tls=tls)

    @property
    def organisation(self) -> int | None:
        """The id of the organisation that calls and streams act in from now on, also those that reconnect.

        None: the caller's personal one, or the one that their key was made in. Setting what can't be an id raises
        ValueError.
        """
        return self._calls.organisation

    @organisation.setter
    def organisation(self, organisation_id: int | None) -> None:
        if organisation_id is not None and not 0 < organisation_id <= _MAX_ID:
            raise ValueError(f"{organisation_id} is not the id of an organisation: list_organisations tells them")
        self._calls.organisation = organisation_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all calls and close the connection. Safe to call twice."""
        await self._calls.credentials.settle()
        await self._channel.close()
