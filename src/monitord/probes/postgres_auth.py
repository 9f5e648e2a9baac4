"""How Postgres is told who one is: a password in the clear (over TLS alone), by MD5, or by SCRAM-SHA-256.

Source: "Message Flow, Start-up" and "SASL Authentication" in the protocol's chapter of Postgres' documentation.
"""

import base64
import hashlib
import os

from monitord.domain.check import Category
from monitord.domain.kinds.postgres import PostgresCheck
from monitord.probes import postgres_messages as messages
from monitord.probes.answer import fail
from monitord.probes.channel import Channel
from monitord.probes.postgres_messages import Messages
from monitord.probes.scram import Scram, ScramError
from monitord.probes.trial import StepError, Trial
from monitord.probes.worker import Worker

_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12
_UNKNOWN_TO_US = {2: "Kerberos", 4: "crypt", 6: "SCM credentials", 7: "GSSAPI", 8: "GSSAPI", 9: "SSPI"}
_MECHANISM = "SCRAM-SHA-256"
_CHEAP_ITERATIONS = 20_000
"""About 5 ms; servers ask for 4096 unless they are told otherwise."""


class SignIn:
    """One sign-in. The server asks once and in one way: a second, weaker request would be somebody's trick."""

    def __init__(
        self, channel: Channel, check: PostgresCheck, trial: Trial, messages: Messages, worker: Worker
    ) -> None:
        self.is_done = False
        self._channel = channel
        self._check = check
        self._trial = trial
        self._messages = messages
        self._worker = worker
        self._has_answered = False
        self._scram: Scram | None = None
        self._has_proven = False

    async def answer(self, body: bytes) -> None:
        """Answer an authentication request; raise ``StepError`` when that can't be done."""
        if len(body) < 4 or self.is_done:
            raise self._messages.malformed("a request to authenticate that is out of place")
        code, data = int.from_bytes(body[:4], "big"), body[4:]
        if code == _OK:
            if self._scram is not None and not self._scram.is_proven:
                raise self._messages.malformed("its consent without proving that it knows the password itself")
            self.is_done = True
        elif code in (_SASL_CONTINUE, _SASL_FINAL):
            await self._go_on(code, data)
        else:
            await self._begin(code, data)

    async def _begin(self, code: int, data: bytes) -> None:
        if self._has_answered:
            raise self._messages.malformed("a second request to authenticate, after the first one was answered")
        self._has_answered = True
        where = self._channel.peer.authority
        if code not in (_CLEARTEXT, _MD5, _SASL):
            named = _UNKNOWN_TO_US.get(code, f"method {code}")
            raise fail(
                Category.AUTH_REFUSED, f"{where} wants {self._check.user!r} to sign in by {named}, which we can't."
            )
        if not self._check.password:
            raise fail(
                Category.AUTH_REFUSED, f"{where} wants a password of {self._check.user!r}, and this monitor has none."
            )
        if code == _CLEARTEXT:
            await self._in_the_clear()
        elif code == _MD5:
            await self._by_md5(data)
        else:
            await self._by_scram(data)

    async def _in_the_clear(self) -> None:
        if not self._channel.is_secure:
            raise fail(
                Category.AUTH_REFUSED,
                f"The server wants the password in the clear: {self._channel.peer.authority} is not spoken to over "
                "TLS, so it was not sent. Set the monitor's security to TLS, or have the server ask for SCRAM.",
            )
        self._trial.note("ttfb", "The server asks for the password itself; it is sent over TLS.")
        await self._channel.send(messages.password(self._check.password.value.encode()))

    async def _by_md5(self, salt: bytes) -> None:
        if len(salt) != 4:
            raise self._messages.malformed("a salt of another length than 4")
        self._trial.note("ttfb", "The server asks for the password's MD5.")
        inner = _md5(self._check.password.value.encode() + self._check.user.encode())
        await self._channel.send(messages.password(b"md5" + _md5(inner + salt)))

    async def _by_scram(self, mechanisms: bytes) -> None:
        offered = mechanisms.split(b"\0")
        if _MECHANISM.encode() not in offered:
            raise fail(
                Category.AUTH_REFUSED,
                f"{self._channel.peer.authority} offers no way to sign in that we know: {_MECHANISM} is needed.",
            )
        self._trial.note("ttfb", f"The server asks for {_MECHANISM}.")
        self._scram = Scram(self._check.password.value, fresh_nonce())
        await self._channel.send(messages.sasl_first(_MECHANISM, self._scram.first()))

    async def _go_on(self, code: int, data: bytes) -> None:
        scram = self._scram
        # One challenge, then one proof of the server's: each further challenge would cost us as much as the first.
        if scram is None or scram.is_proven or self._has_proven != (code == _SASL_FINAL):
            raise self._messages.malformed("a part of SCRAM that is out of place")
        try:
            if code == _SASL_FINAL:
                scram.verify(data)
                return
            self._has_proven = True
            challenge = scram.challenge(data)
            salted = await self._worker.run(
                lambda: scram.salted(challenge),
                self._trial.deadline,
                is_expensive=challenge.iterations > _CHEAP_ITERATIONS,
            )
            await self._channel.send(messages.sasl(scram.final(salted)))
        except ScramError as error:
            raise self._refuted(error) from None

    def _refuted(self, error: ScramError) -> StepError:
        return fail(
            Category.PROTOCOL_INVALID, f"{self._channel.peer.authority} must not be trusted in SCRAM: it {error}."
        )


def fresh_nonce() -> str:
    """Return what no exchange before had."""
    return base64.b64encode(os.urandom(18)).decode()


def _md5(data: bytes) -> bytes:
    # What the server asks for; nobody would choose it today.
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
