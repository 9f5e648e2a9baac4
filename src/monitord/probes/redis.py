"""The Redis check (and Valkey): sign in if asked to, and run one command that reads.

Sources: "Redis serialization protocol specification", and the pages of AUTH, SELECT and of security ("protected mode")
in Redis' documentation.
"""

import time

from monitord.domain.check import Category, Observation
from monitord.domain.kinds.redis import RedisCheck
from monitord.probes.answer import Answer, fail, unrecorded, without
from monitord.probes.channel import Channel
from monitord.probes.failure import Failure
from monitord.probes.resp import Replies, Reply
from monitord.probes.service import ServiceChecks
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial

_NOT_LET_IN = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})
_NOT_SERVING = frozenset({"BUSY", "CLUSTERDOWN", "DENIED", "LOADING", "MASTERDOWN", "MISCONF", "TRYAGAIN"})
_FULL = b"ERR max number of clients"
_ELSEWHERE = frozenset({"ASK", "MOVED"})


class RedisProber:
    """Runs Redis checks. One instance serves the process."""

    def __init__(self, services: ServiceChecks) -> None:
        self._services = services

    async def __call__(self, check: RedisCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check; see ``probes.table.Prober``."""
        return await self._services.check(check, timeout_s, talk, trace=trace)


async def talk(channel: Channel, check: RedisCheck, trial: Trial) -> Failure | None:
    """Say what a check has to say; return or raise what is wrong with the answers."""
    replies = Replies(channel, trial)
    if check.password:
        with unrecorded(trial), trial.phase("ttfb"):
            await _sign_in(channel, check, replies)
        trial.note("ttfb", f"Signed in{f' as {check.user!r}' if check.user else ''}.")
    if check.database:
        with trial.phase("ttfb"):
            await channel.send(_command("SELECT", str(check.database)))
            reply = await replies.next()
        if reply.is_error:
            raise _refused(channel, check, reply)
        if reply.value != b"OK":
            raise fail(Category.PROTOCOL_INVALID, f"{channel.peer.authority} did not answer SELECT with OK.")
    trial.excerpt = b""
    began_at = time.monotonic()
    try:
        with trial.phase("transfer" if check.password or check.database else "ttfb"):
            await channel.send(_command(*check.command.split()))
            reply = await replies.next()
    finally:
        trial.excerpt = without(trial.excerpt, check.password.value)
    if reply.is_error:
        raise _refused(channel, check, reply)
    trial.measurements["query.duration_ms"] = round((time.monotonic() - began_at) * 1000, 3)
    value = without(reply.value, check.password.value)
    # Nil is the empty text: ``^$`` expects it.
    answer = Answer(value, "the answer (nil)" if reply.is_nil else "the answer", is_cut=reply.is_cut)
    trial.excerpt = answer.excerpt
    return answer.judge(check.expect, trial)


async def _sign_in(channel: Channel, check: RedisCheck, replies: Replies) -> None:
    """Send AUTH, and judge the reply. What it says is quoted without the password: some servers repeat commands."""
    names = (check.user,) if check.user else ()
    await channel.send(_command("AUTH", *names, check.password.value))
    try:
        reply = await replies.next()
    except StepError as error:
        if error.failure.category is not Category.PROTOCOL_INVALID:
            raise
        # Its first bytes stand in the sentence, and may be a part of what was sent.
        raise fail(
            Category.PROTOCOL_INVALID,
            f"What answers at {channel.peer.authority} does not speak Redis: its answer to AUTH is no reply.",
        ) from None
    if reply.is_error:
        if reply.code in _NOT_SERVING or reply.value.startswith(_FULL):
            raise _refused(channel, check, reply)
        raise fail(
            Category.AUTH_REFUSED,
            f"{channel.peer.authority} does not accept the password: {_told(check, reply)}.",
        )
    if reply.value != b"OK":
        raise fail(Category.PROTOCOL_INVALID, f"{channel.peer.authority} did not answer AUTH with OK.")


def _refused(channel: Channel, check: RedisCheck, reply: Reply) -> StepError:
    where, told = channel.peer.authority, _told(check, reply)
    if reply.code == "DENIED":
        return fail(
            Category.PROTOCOL_REFUSED,
            f"{where} is in protected mode: without a password it talks to its own machine alone ({told}).",
        )
    if reply.code in _NOT_SERVING or reply.value.startswith(_FULL):
        return fail(Category.PROTOCOL_REFUSED, f"{where} won't serve: {told}.")
    if reply.code == "NOAUTH" and not check.password:
        return fail(Category.AUTH_REFUSED, f"{where} wants a password, and this monitor has none: {told}.")
    if reply.code in _NOT_LET_IN:
        return fail(Category.AUTH_REFUSED, f"{where} does not allow this: {told}.")
    if reply.code in _ELSEWHERE:
        return fail(Category.QUERY_FAILED, f"{where} is a node of a cluster, and the key is on another: {told}.")
    return fail(Category.QUERY_FAILED, f"{where} refused the command: {told}.")


def _told(check: RedisCheck, reply: Reply) -> str:
    return shown(without(reply.value, check.password.value)).rstrip(" .?!")


def _command(*words: str) -> bytes:
    """Return a command as an array of strings: nothing in a word can end it, or begin another command."""
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
