"""Asks one DNS server one question: over UDP, TCP or TLS (RFC 1035, 7766, 7858), through the guarded dialler."""

import errno
import socket
import time

import dns.flags
import dns.message
import msgspec

from monitord.domain.check import Category
from monitord.domain.connection import NO_TLS_SETTINGS, AddressFamily, TlsSettings
from monitord.domain.kinds.dns import DnsTransport
from monitord.domain.target import Endpoint
from monitord.probes.channel import Channel
from monitord.probes.connect import connect_failure
from monitord.probes.dial import Dialler
from monitord.probes.dns_message import GarbledError, Question, read
from monitord.probes.failure import Failure, ours
from monitord.probes.service import TlsSessions, connect
from monitord.probes.text import shown
from monitord.probes.trial import StepError, Trial
from monitord.probes.waiting import readable

RETRY_S = (1.0, 2.0)
"""When a question is sent again over UDP: packets get lost."""
MAX_STRAYS = 200
"""So many packets that answer nothing we asked end a check: somebody is guessing, and looking at each costs."""

_MAX_UDP_BYTES = 65_535
_MAX_TCP_BYTES = 16 * 1024
"""Answers take time to read: 0.3 us a byte. What is longer is no answer that anybody waits for."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask, and how."""

    endpoint: Endpoint
    transport: DnsTransport = DnsTransport.UDP
    address_family: AddressFamily = AddressFamily.ANY
    verify_tls: bool = True
    tls: TlsSettings = NO_TLS_SETTINGS


class DnsClient:
    """Asks. One instance serves the process."""

    def __init__(self, dialler: Dialler, tls: TlsSessions) -> None:
        self._dialler = dialler
        self._tls = tls

    async def ask(self, question: Question, server: Server, trial: Trial) -> dns.message.Message:
        """Return the server's answer, whatever its response code. Raises ``StepError``."""
        if server.transport is DnsTransport.UDP:
            message = await self._ask_udp(question, server, trial)
            if not message.flags & dns.flags.TC:
                return message
            trial.note("ttfb", "The answer does not fit into a packet: asked again over TCP.")
        return await self._ask_stream(question, server, trial)

    # UDP

    async def _ask_udp(self, question: Question, server: Server, trial: Trial) -> dns.message.Message:
        trial.port = server.endpoint.port
        dialled = trial.dialled = await self._dialler.attach(server.endpoint, server.address_family, trial.deadline)
        if dialled.dns_ms is not None:
            trial.add("dns", dialled.dns_ms)
        if dialled.attempt is None:
            assert dialled.failure is not None
            raise StepError(dialled.failure)
        sock = dialled.attempt.sock
        try:
            with trial.phase("ttfb"):
                return await _Datagrams(sock, dialled.attempt.ip, server.endpoint, trial).converse(question)
        finally:
            sock.close()

    # TCP and TLS

    async def _ask_stream(self, question: Question, server: Server, trial: Trial) -> dns.message.Message:
        channel = await connect(self._dialler, server.endpoint, server, trial)
        try:
            if server.transport is DnsTransport.TLS:
                await self._secure(channel, server)
            with trial.phase("ttfb"):
                return await _converse(channel, question)
        finally:
            channel.close()

    async def _secure(self, channel: Channel, server: Server) -> None:
        try:
            session = self._tls.session(channel.peer, verify=server.verify_tls, settings=server.tls, judge=True)
        except ValueError as error:
            raise StepError(ours(Category.ENGINE_INTERNAL, f"This check cannot be run: {shown(str(error))}.")) from None
        await channel.start_tls(session)


async def _converse(channel: Channel, question: Question) -> dns.message.Message:
    message_id, wire = question.wire()
    await channel.send(len(wire).to_bytes(2, "big") + wire)
    size = int.from_bytes(await channel.exactly(2), "big")
    if size > _MAX_TCP_BYTES:
        raise StepError(
            Failure(
                Category.BODY_TOO_LARGE,
                f"The answer of {channel.peer.authority} has {size} bytes; at most {_MAX_TCP_BYTES} are read.",
            )
        )
    data = await channel.exactly(size)
    try:
        message = read(data, message_id, question)
    except GarbledError:
        message = None
    if message is None:
        raise StepError(_no_answer(channel.peer.authority, data))
    return message


class _Datagrams:
    """A question over UDP, and what comes back."""

    def __init__(self, sock: socket.SocketType, ip: str, server: Endpoint, trial: Trial) -> None:
        self._sock = sock
        self._ip = ip
        self._server = server
        self._trial = trial
        self._strays = 0
        self._last = b""

    async def converse(self, question: Question) -> dns.message.Message:
        message_id, wire = question.wire()
        for wait_s in (*RETRY_S, None):
            self._send(wire)
            again_at = None if wait_s is None else time.monotonic() + wait_s
            message = await self._receive(message_id, question, again_at)
            if message is not None:
                return message
            self._trial.note("ttfb", "No answer yet: asked again.")
        raise AssertionError  # the last wait ends with the deadline

    async def _receive(self, message_id: int, question: Question, again_at: float | None) -> dns.message.Message | None:
        """Return the answer; None when it is time to ask again. Packets that answer something else are not believed."""
        while True:
            data = self._packet()
            if data is None:
                left_s = None if again_at is None else again_at - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                if not await readable(self._sock, self._trial.deadline, left_s):
                    raise StepError(self._silence())
                continue
            self._trial.received += len(data)
            try:
                message = read(data, message_id, question)
            except GarbledError:
                raise StepError(_no_answer(self._server.authority, data)) from None
            if message is not None:
                return message
            self._strays += 1
            self._last = data
            if self._strays >= MAX_STRAYS:
                raise StepError(_no_answer(self._server.authority, data))

    def _packet(self) -> bytes | None:
        try:
            return self._sock.recv(_MAX_UDP_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise StepError(connect_failure(error.errno or 0, self._ip, self._server.port)) from None

    def _send(self, wire: bytes) -> None:
        try:
            self._sock.send(wire)
        except (BlockingIOError, InterruptedError):
            return  # as good as lost: it is sent again
        except OSError as error:
            if error.errno in (errno.ENOBUFS, errno.ENOMEM):
                raise StepError(
                    ours(Category.ENGINE_OVERLOAD, "monitord's machine had no room for a packet.")
                ) from None
            raise StepError(connect_failure(error.errno or 0, self._ip, self._server.port)) from None

    def _silence(self) -> Failure:
        if self._trial.deadline.late:
            return ours(
                Category.ENGINE_OVERLOAD,
                f"monitord was too busy to read the answer of {self._server.authority} in time.",
            )
        if self._strays:
            return _no_answer(self._server.authority, self._last)
        return Failure(Category.DNS_TIMEOUT, f"The DNS server {self._server.authority} did not answer in time.")


def _no_answer(where: str, data: bytes) -> Failure:
    return Failure(
        Category.PROTOCOL_INVALID,
        f"What answers at {where} does not speak DNS, or answers something else: {shown(data[:24])!r}.",
    )
