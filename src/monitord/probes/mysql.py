"""The MySQL check (and MariaDB): sign in, and read something in a transaction that cannot write.

Sources: "Client/Server Protocol" in MySQL's source documentation, its "Server Error Message Reference", and MariaDB's
pages on the same.
"""

import time

from monitord.domain.check import Category, Observation
from monitord.domain.connection import Security
from monitord.domain.kinds.mysql import MysqlCheck
from monitord.probes import mysql_packets as packets
from monitord.probes.answer import Answer, cut, fail, unrecorded, without
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.mysql_auth import SignIn, is_refusal_of_us
from monitord.probes.mysql_packets import Fields, Greeting, Packets, ServerError
from monitord.probes.service import ServiceChecks
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial

NOBODY = "monitord"
"""Who knocks where no user is set; see ``Conversation._knock``."""

_COM_QUIT, _COM_QUERY = 0x01, 0x03
_NEEDED = packets.PROTOCOL_41 | packets.SECURE_CONNECTION
_OUT_OF_TIME = frozenset({1317, 1969, 3024})
"""The query was interrupted; by max_statement_time; by max_execution_time."""
_NOT_SERVING = frozenset({1040, 1041, 1053, 1129, 1158, 1159, 1160, 1161, 1203, 1226, 1927, 3168})
"""Too many connections, no memory, shutting down, host blocked, network errors, limits of the user, killed, offline."""
_TIMEOUT_SHARE = 0.95
_NO_ROW = "no row"


class MysqlProber:
    """Runs MySQL checks. One instance serves the process."""

    def __init__(self, services: ServiceChecks) -> None:
        self._services = services

    async def __call__(self, check: MysqlCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check; see ``probes.table.Prober``."""

        async def talk(channel: Channel, check: MysqlCheck, trial: Trial) -> Failure | None:
            return await Conversation(channel, check, trial, self._services, timeout_s).run()

        return await self._services.check(check, timeout_s, talk, trace=trace, upgrade=False)


class Conversation:
    """One conversation, from the greeting on. Whatever is wrong is raised as ``StepError``, or returned."""

    def __init__(
        self, channel: Channel, check: MysqlCheck, trial: Trial, services: ServiceChecks, timeout_s: float
    ) -> None:
        self._channel = channel
        self._check = check
        self._trial = trial
        self._services = services
        self._packets = Packets(channel, trial)
        self._timeout_ms = timeout_s * 1000
        self._capabilities = 0

    async def run(self) -> Failure | None:
        """Run it, and return what is wrong with the answer to the query, if anything is."""
        check, trial = self._check, self._trial
        with trial.phase("ttfb"):
            greeting = await self._greeted()
        if check.security is Security.TLS:
            await self._packets.send(packets.ssl_request(self._capabilities))
            await self._services.secure(self._channel, check)
        answer: Answer | None = None
        with unrecorded(trial):
            if not check.user:
                await self._knock(greeting)
                return None
            with trial.phase("ttfb"):
                await self._admitted(greeting)
            if check.query:
                with trial.phase("transfer"):
                    answer = await self._ask(greeting)
            # Closing without a commit rolls back.
            await self._packets.command(_COM_QUIT)
        if answer is None:
            return None
        trial.excerpt = answer.excerpt
        return answer.judge(check.expect, trial)

    # The greeting and the sign-in

    async def _greeted(self) -> Greeting:
        """Read the greeting, and decide what we tell the server that we can."""
        where = self._channel.peer.authority
        packet = await self._packets.next()
        if packet[0] == packets.ERROR:
            error = packets.read_error(packet)
            if error is None:
                raise self._packets.not_mysql()
            raise fail(Category.PROTOCOL_REFUSED, f"{where} won't talk to us: {self._told(error)}.")
        greeting = packets.read_greeting(packet)
        if greeting is None:
            raise self._packets.not_mysql()
        if greeting.capabilities & _NEEDED != _NEEDED:
            raise fail(Category.PROTOCOL_INVALID, f"{where} speaks a protocol of before MySQL 4.1, which is not safe.")
        self._trial.note("ttfb", f"The server greets as version {shown(greeting.version, 80)}.")
        self._capabilities = packets.WANTED & greeting.capabilities
        if self._check.database:
            self._capabilities |= packets.CONNECT_WITH_DB
        if self._check.security is Security.TLS:
            if not greeting.capabilities & packets.SSL:
                raise fail(Category.TLS_REQUIRED, f"{where} won't begin TLS over MySQL: it does not offer TLS.")
            self._capabilities |= packets.SSL
        return greeting

    async def _knock(self, greeting: Greeting) -> None:
        """Answer the greeting as nobody in particular, and leave: the greeting alone says that the server serves.

        Who leaves without an answer counts as an interrupted connection, and after 100 of them in a row (the server's
        max_connect_errors) our host would be blocked. A sign-in that is refused does not count.
        """
        sign_in = SignIn(self._channel, self._check, self._trial, self._packets, greeting)
        await self._packets.send(packets.sign_in(self._capabilities, NOBODY, b"", "", sign_in.plugin))

    async def _admitted(self, greeting: Greeting) -> None:
        check = self._check
        sign_in = SignIn(self._channel, check, self._trial, self._packets, greeting)
        await self._packets.send(
            packets.sign_in(self._capabilities, check.user, sign_in.proof(), check.database, sign_in.plugin)
        )
        error = await sign_in.finish()
        if error is None:
            self._trial.note("ttfb", f"Signed in as {check.user!r}.")
            return
        where = self._channel.peer.authority
        if is_refusal_of_us(error):
            raise fail(Category.AUTH_REFUSED, f"{where} does not let {check.user!r} in: {self._told(error)}.")
        raise fail(Category.PROTOCOL_REFUSED, f"{where} won't serve: {self._told(error)}.")

    def _told(self, error: ServerError) -> str:
        message = shown(without(error.message, self._check.password.value)).rstrip(" .?!")
        return f"{message} ({error.number}{f', {error.state}' if error.state else ''})"

    # The query

    async def _ask(self, greeting: Greeting) -> Answer:
        left_ms = max(1, int((self._timeout_ms - self._trial.elapsed_ms) * _TIMEOUT_SHARE))
        limit = f"max_statement_time={left_ms / 1000:.3f}" if greeting.is_mariadb else f"max_execution_time={left_ms}"
        # Both spare the server work and change nothing else: where one is not known, our own bounds are enough.
        await self._command(f"SET SESSION sql_select_limit=1, {limit}")
        # Of the session, too: some statements (DROP TABLE) commit first, and would then be in no read-only transaction.
        for statement in ("SET SESSION TRANSACTION READ ONLY", "START TRANSACTION READ ONLY"):
            if refused := await self._command(statement):
                raise self._failed(refused)
        began_at = time.monotonic()
        answer = await self._read()
        self._trial.measurements["query.duration_ms"] = round((time.monotonic() - began_at) * 1000, 3)
        self._trial.measurements["query.rows"] = 0.0 if answer.absent == _NO_ROW else 1.0
        return answer

    async def _command(self, statement: str) -> ServerError | None:
        """Run a statement of our own that returns no rows; return the server's error."""
        await self._packets.command(_COM_QUERY, statement.encode())
        packet = await self._packets.next()
        if packet[0] == packets.OK:
            return None
        if packet[0] == packets.ERROR and (error := packets.read_error(packet)):
            return error
        raise self._packets.malformed(f"{shown(packet[:8])!r} in answer to {statement.split('=')[0]}")

    async def _read(self) -> Answer:
        """Run the user's statement, and return what it answers."""
        await self._packets.command(_COM_QUERY, self._check.query.encode())
        packet = await self._next()
        if packet[0] == packets.OK:
            return Answer(absent=_NO_ROW)
        if packet[0] == packets.LOCAL_INFILE:
            await self._packets.send(b"")
            raise self._packets.malformed("a request for a file of this machine, which it will not get")
        columns = self._count(packet)
        for _ in range(columns):
            await self._next()
        if not self._capabilities & packets.DEPRECATE_EOF and not _is_end(await self._next()):
            raise self._packets.malformed("columns without an end")
        row = await self._next()
        if _is_end(row):
            return Answer(absent=_NO_ROW)
        value = self._first(row, columns)
        # The end, or another row: then there is no need to read on. An error may come late too, as of a time limit.
        await self._next()
        if value is None:
            return Answer(absent="no value: the first column is NULL")
        value, is_cut = cut(value)
        return Answer(without(value, self._check.password.value), "the first column", is_cut=is_cut)

    async def _next(self) -> bytes:
        """Return the next packet of an answer; raise the server's error."""
        packet = await self._packets.next()
        if packet[0] == packets.ERROR:
            error = packets.read_error(packet)
            if error is None:
                raise self._packets.malformed("an error without a number")
            raise self._failed(error)
        return packet

    def _count(self, packet: bytes) -> int:
        fields = Fields(packet)
        try:
            count = fields.number()
        except ValueError:
            count = None
        if count is None or not 1 <= count <= packets.MAX_COLUMNS or not fields.at_end:
            raise self._packets.malformed("a result without a count of columns")
        return count

    def _first(self, row: bytes, columns: int) -> bytes | None:
        """Return the first column of a row; None for NULL."""
        fields = Fields(row)
        try:
            values = [fields.text() for _ in range(columns)]
        except ValueError:
            raise self._packets.malformed("a row that is cut off") from None
        if not fields.at_end:
            raise self._packets.malformed("a row that is longer than its columns")
        return values[0]

    def _failed(self, error: ServerError) -> StepError:
        where = self._channel.peer.authority
        if error.number in _OUT_OF_TIME:
            return fail(
                Category.TIMEOUT_TOTAL,
                f"The query was not done in the time that the timeout had left for it: {self._told(error)}.",
            )
        if error.number in _NOT_SERVING:
            return fail(Category.PROTOCOL_REFUSED, f"{where} won't serve: {self._told(error)}.")
        return fail(Category.QUERY_FAILED, f"{where} refused the query: {self._told(error)}.")


def _is_end(packet: bytes) -> bool:
    """Tell the end of columns or rows: an EOF packet, or an OK packet with its header.

    A row that begins so has a first column of 16 MiB or more, and is refused by its length.
    """
    return packet[0] == packets.EOF
