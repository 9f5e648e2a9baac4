"""The Postgres check: sign in, and read something in a transaction that cannot write.

Sources: the chapter "Frontend/Backend Protocol" and the appendix "PostgreSQL Error Codes" of Postgres' documentation.
The driver of ``storage`` is not used: it opens its own sockets, past the guarded dialler (T1).
"""

import time

from monitord.domain.check import Category, Observation
from monitord.domain.connection import Security
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.probes import postgres_messages as messages
from monitord.probes import starttls
from monitord.probes.answer import Answer, cut, fail, unrecorded, without
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.postgres_auth import SignIn
from monitord.probes.postgres_messages import Messages, ServerError
from monitord.probes.service import ServiceChecks
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial
from monitord.probes.worker import Worker

NOBODY = "monitord"
"""Who knocks where no user is set. Whether the server knows them does not matter: any answer shows that it serves."""

_QUERY_CANCELED = "57014"
_NOT_SERVING = ("53", "57", "58", "XX")
"""Classes: no resources (too many connections), an operator's doing (starting up, shutting down), system error, bug."""
_NOT_LET_IN = ("28", "3D")
"""Classes: no such user, wrong password, no entry in pg_hba.conf; no such database."""
_NO_RIGHT_TO_CONNECT = "42501"
_POOLER_IS_FULL = b"no more connections allowed"
"""PgBouncer says it under a code that it uses for everything."""
_TIMEOUT_SHARE = 0.95
"""The server gives up a little before us, so that it is the one to say so."""
_NO_ROW = "no row"
_UNASKED = b"NSA"
"""Notices, changes of parameters, notifications: they may come at any time."""


class PostgresProber:
    """Runs Postgres checks. One instance serves the process."""

    def __init__(self, services: ServiceChecks) -> None:
        self._services = services
        self._worker = Worker()

    async def __call__(self, check: PostgresCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check; see ``probes.table.Prober``."""

        async def talk(channel: Channel, check: PostgresCheck, trial: Trial) -> Failure | None:
            if check.security is Security.TLS:
                await starttls.request(channel, Security.STARTTLS_POSTGRES, trial)
                await self._services.secure(channel, check)
            return await Conversation(channel, check, trial, self._worker, timeout_s).run()

        return await self._services.check(check, timeout_s, talk, trace=trace, upgrade=False)


class Conversation:
    """One conversation, from the startup message on. Whatever is wrong is raised as ``StepError``, or returned."""

    def __init__(self, channel: Channel, check: PostgresCheck, trial: Trial, worker: Worker, timeout_s: float) -> None:
        self._channel = channel
        self._check = check
        self._trial = trial
        self._messages = Messages(channel, trial)
        self._sign_in = SignIn(channel, check, trial, self._messages, worker)
        self._timeout_ms = timeout_s * 1000
        trial.excerpt = b""

    async def run(self) -> Failure | None:
        """Run it, and return what is wrong with the answer to the query, if anything is."""
        check, trial = self._check, self._trial
        with trial.phase("ttfb"):
            await self._channel.send(messages.startup(check.user or NOBODY, check.database))
            first = await self._messages.next()
        answer: Answer | None = None
        with unrecorded(trial):
            with trial.phase("ttfb"):
                await (self._admit(*first) if check.user else self._knock(*first))
            if check.query:
                with trial.phase("transfer"):
                    answer = await self._ask()
            if self._sign_in.is_done:
                await self._channel.send(messages.TERMINATE)
        if answer is None:
            return None
        trial.excerpt = answer.excerpt
        return answer.judge(check.expect, trial)

    # The sign-in

    async def _knock(self, kind: bytes, body: bytes) -> None:
        """Judge the answer to a startup message of nobody in particular."""
        while kind in b"Nv":
            kind, body = await self._messages.next()
        if kind == b"E":
            error = self._messages.error(body)
            if error.code.startswith(_NOT_SERVING) or _POOLER_IS_FULL in error.message:
                raise self._refusal(error)
            self._trial.note("ttfb", f"A Postgres answers: {self._told(error)}.")
        elif kind == b"R" and len(body) >= 4:
            self._trial.note("ttfb", "A Postgres answers, and asks who is there.")
            if not any(body[:4]):
                await self._channel.send(messages.TERMINATE)
        else:
            raise self._messages.malformed(f"{shown(kind)!r} in answer to the startup message")

    async def _admit(self, kind: bytes, body: bytes) -> None:
        """Go through the sign-in, up to the moment when the server is ready for a query."""
        while kind != b"Z":
            if kind == b"E":
                raise self._refusal(self._messages.error(body))
            if kind == b"R":
                await self._sign_in.answer(body)
            elif kind not in b"NSKv" or (kind == b"K" and not self._sign_in.is_done):
                raise self._messages.malformed(f"{shown(kind)!r} during the sign-in")
            kind, body = await self._messages.next()
        if not self._sign_in.is_done:
            raise self._messages.malformed("that it is ready, before it had asked who is there")
        self._trial.note("ttfb", f"Signed in as {self._check.user!r}.")

    def _refusal(self, error: ServerError) -> StepError:
        not_let_in = error.code.startswith(_NOT_LET_IN) or error.code == _NO_RIGHT_TO_CONNECT
        if not_let_in:
            who = f"{self._check.user!r}"
            return fail(
                Category.AUTH_REFUSED, f"{self._channel.peer.authority} does not let {who} in: {self._told(error)}."
            )
        return fail(Category.PROTOCOL_REFUSED, f"{self._channel.peer.authority} won't serve: {self._told(error)}.")

    def _told(self, error: ServerError) -> str:
        message = shown(without(error.message, self._check.password.value)).rstrip(" .?!")
        return f"{message} ({error.code})" if message else f"error {error.code}"

    # The query

    async def _ask(self) -> Answer:
        # SET LOCAL by a query: a transaction that has read something can't be made one that writes any more.
        limit = f"SELECT set_config('statement_timeout', '{self._left_ms()}', true)"
        await self._command(f"BEGIN TRANSACTION READ ONLY; {limit}", b"T")
        began_at = time.monotonic()
        answer = await self._read()
        self._trial.measurements["query.duration_ms"] = round((time.monotonic() - began_at) * 1000, 3)
        self._trial.measurements["query.rows"] = 0.0 if answer.absent == _NO_ROW else 1.0
        await self._command("ROLLBACK", b"I")
        return answer

    def _left_ms(self) -> int:
        # 0 would mean: without end.
        return max(1, int((self._timeout_ms - self._trial.elapsed_ms) * _TIMEOUT_SHARE))

    async def _command(self, statements: str, then: bytes) -> None:
        """Run statements of our own, and expect the state ``then``: T in a transaction, I outside."""
        await self._channel.send(messages.simple(statements))
        failed: ServerError | None = None
        while True:
            kind, body = await self._messages.next()
            if kind == b"Z":
                break
            if kind == b"E":
                failed = failed or self._messages.error(body)
            elif kind not in b"CTDI" + _UNASKED:
                raise self._messages.malformed(f"{shown(kind)!r} in answer to {statements.split(';')[0]}")
        if failed is not None:
            raise self._failed(failed)
        if body != then:
            raise self._messages.malformed(f"that its state is {shown(body, 8)!r} after {statements.split(';')[0]}")

    async def _read(self) -> Answer:
        """Run the user's statement, and return what it answers."""
        await self._channel.send(messages.one_row_of(self._check.query))
        answer: Answer | None = None
        failed: ServerError | None = None
        while True:
            kind, body = await self._messages.next()
            if kind == b"Z":
                break
            if kind == b"E":
                failed = failed or self._messages.error(body)
            elif kind == b"D":
                if answer is not None:
                    raise self._messages.malformed("a second row, where one was asked for")
                answer = self._answer(body)
            elif kind in b"GHW":
                await self._channel.send(messages.COPY_FAIL + messages.TERMINATE)
                raise fail(Category.QUERY_FAILED, "The query is a COPY; it must be one that reads, and returns rows.")
            elif kind not in b"12CIsn" + _UNASKED:
                raise self._messages.malformed(f"{shown(kind)!r} in answer to the query")
        if failed is not None:
            raise self._failed(failed)
        if body != b"T":
            raise fail(Category.QUERY_FAILED, "The query ended the transaction; it must be one that reads.")
        return answer or Answer(absent=_NO_ROW)

    def _answer(self, row: bytes) -> Answer:
        value = self._messages.first_column(row)
        if value is None:
            return Answer(absent="no value: the first column is NULL, or there is none")
        value, is_cut = cut(value)
        return Answer(without(value, self._check.password.value), "the first column", is_cut=is_cut)

    def _failed(self, error: ServerError) -> StepError:
        if error.code == _QUERY_CANCELED:
            return fail(
                Category.TIMEOUT_TOTAL,
                f"The query was not done in the time that the timeout had left for it: {self._told(error)}.",
            )
        if error.code.startswith(_NOT_SERVING):
            return self._refusal(error)
        return fail(Category.QUERY_FAILED, f"{self._channel.peer.authority} refused the query: {self._told(error)}.")
