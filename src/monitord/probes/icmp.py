"""The ICMP check: echo requests, how many come back, and how fast."""

import os
import secrets
import socket
import struct
import time
from itertools import pairwise
from statistics import fmean

import msgspec

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.kinds.icmp import IcmpCheck
from monitord.domain.target import Endpoint, InvalidTargetError, parse_endpoint
from monitord.probes import icmp_packets as packets
from monitord.probes.connect import Attempt
from monitord.probes.deadline import Deadlines
from monitord.probes.dial import Dialler
from monitord.probes.failure import Failure, ours
from monitord.probes.resolver import Resolvers
from monitord.probes.trial import StepError, Trial, slow
from monitord.probes.waiting import readable

STRAGGLERS_S = 1.0
"""How long a reply is waited for at least once others have come; longer where those took long."""

_MAX_PACKET = 2048
_MAX_CONTROL = 256
_MAX_STRAYS = 1000
"""Packets that are no reply of ours; a raw socket sees those of everybody who pings the same host."""


class IcmpProber:
    """Runs ICMP checks, each on a socket of its own, connected to its target. One instance serves the process."""

    def __init__(self, dialler: Dialler, resolvers: Resolvers) -> None:
        self._dialler = dialler
        self._resolvers = resolvers
        self._deadlines = Deadlines()

    async def __call__(self, check: IcmpCheck, timeout_s: float, *, trace: bool = False) -> Observation:
        """Run one check; see ``probes.table.Prober``."""
        deadline = self._deadlines.start(timeout_s)
        trial = Trial(deadline)
        try:
            attempt = await self._open(check, trial)
            try:
                pings = _Pings(check, attempt, trial)
                await pings.run()
            finally:
                attempt.sock.close()
            final = _judge(check, pings, trial)
        except StepError as error:
            final = error.failure
        finally:
            deadline.close()
        seen = trial.conclude(final, trace=trace)
        return msgspec.structs.replace(seen, response_ms=trial.measurements.get("icmp.rtt_avg_ms"))

    async def _open(self, check: IcmpCheck, trial: Trial) -> Attempt:
        try:
            named = parse_endpoint(check.host, 1)
        except InvalidTargetError as error:
            failure = ours(Category.ENGINE_INTERNAL, f"This check can't be run as it is stored: {error}.")
            raise StepError(failure) from None
        peer = Endpoint(host=named.host, port=0, literal=named.literal)
        resolver = self._resolvers.at(check.resolver)
        dialled = trial.dialled = await self._dialler.echo(peer, check.address_family, trial.deadline, resolver)
        if dialled.dns_ms is not None:
            trial.add("dns", dialled.dns_ms)
            trial.note("dns", f"{peer.host} resolved to {', '.join(dialled.resolved[:10]) or 'no address'}.")
        if dialled.attempt is None:
            assert dialled.failure is not None
            raise StepError(dialled.failure)
        return dialled.attempt


class _Pings:
    """The requests of one check, and the replies to them."""

    def __init__(self, check: IcmpCheck, attempt: Attempt, trial: Trial) -> None:
        self.sent = 0
        self.rtts_ms: dict[int, float] = {}
        """By the number of the request."""
        self.duplicates = 0
        self.hop_limit: int | None = None
        self.unreachable: str | None = None
        self._check = check
        self._sock = attempt.sock
        self._version = 6 if ":" in attempt.ip else 4
        self._trial = trial
        self._token = secrets.token_bytes(packets.TOKEN_BYTES)
        self._payload = packets.payload(self._token, check.payload_bytes)
        self._first = secrets.randbelow(0x8000)
        self._began_at = 0.0
        self._sent_at: list[float] = []
        self._strays = 0

    async def run(self) -> None:
        """Send all requests, a fixed time apart, and take replies until all are here or no more are to be expected."""
        self._began_at = time.monotonic()
        while True:
            now = time.monotonic()
            if self.sent < self._check.count and now >= self._next_at:
                self._send(now)
                continue
            self._take()
            if len(self.rtts_ms) == self._check.count:
                return
            until = self._patience()
            left_s = None if until is None else until - time.monotonic()
            if left_s is not None and left_s <= 0:
                if self.sent == self._check.count:
                    return
                continue
            if not await readable(self._sock, self._trial.deadline, left_s):
                if self._trial.deadline.late:
                    raise StepError(ours(Category.ENGINE_OVERLOAD, "monitord was too busy to read replies in time."))
                return

    @property
    def _next_at(self) -> float:
        return self._began_at + self.sent * self._check.packet_interval_ms / 1000

    def _patience(self) -> float | None:
        """Return until when there is something to wait for; None: until the deadline."""
        if self.sent < self._check.count:
            return self._next_at
        if self.rtts_ms:
            return self._sent_at[-1] + max(STRAGGLERS_S, 4 * max(self.rtts_ms.values()) / 1000)
        return None if self.unreachable is None else self._sent_at[-1] + STRAGGLERS_S

    def _send(self, now: float) -> None:
        wire = packets.request(self._version, os.getpid() & 0xFFFF, self._first + self.sent, self._payload)
        self._sent_at.append(now)
        self.sent += 1
        try:
            self._sock.send(wire)
        except (BlockingIOError, InterruptedError):
            return  # as good as lost
        except OSError as error:
            self._note_error(error)

    def _take(self) -> None:
        """Take all packets that are here."""
        while True:
            try:
                data, control, _, _ = self._sock.recvmsg(_MAX_PACKET, _MAX_CONTROL)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._note_error(error)
                self._stray()
                continue
            self._read(data, _hop_limit(control), time.monotonic())

    def _read(self, data: bytes, hop_limit: int | None, now: float) -> None:
        reply = packets.read(self._version, data, hop_limit)
        if reply is None or reply.payload != self._payload:
            self._stray()
            return
        number = reply.sequence - self._first
        if not 0 <= number < self.sent:
            self._stray()
        elif number in self.rtts_ms:
            self.duplicates += 1
        else:
            self.rtts_ms[number] = (now - self._sent_at[number]) * 1000
            self.hop_limit = reply.hop_limit
            self._trial.received += len(data)

    def _stray(self) -> None:
        self._strays += 1
        if self._strays >= _MAX_STRAYS:
            raise StepError(
                ours(Category.ENGINE_OVERLOAD, f"{_MAX_STRAYS} packets that were none of ours drowned the replies.")
            )

    def _note_error(self, error: OSError) -> None:
        self.unreachable = (error.strerror or "unknown error").lower()


def _hop_limit(control: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in control:
        if (level, kind) in _HOP_LIMITS and len(data) >= 4:
            return int(struct.unpack("i", data[:4])[0])
    return None


_HOP_LIMITS = {
    (socket.IPPROTO_IP, getattr(socket, "IP_TTL", 2)),
    (socket.IPPROTO_IPV6, getattr(socket, "IPV6_HOPLIMIT", 52)),
}


def _judge(check: IcmpCheck, pings: _Pings, trial: Trial) -> Failure | None:
    received, rtts = len(pings.rtts_ms), [pings.rtts_ms[number] for number in sorted(pings.rtts_ms)]
    lost = pings.sent - received
    loss = lost / pings.sent
    _record(pings, rtts, loss, trial)
    where = trial.dialled.ip if trial.dialled is not None else check.host
    trial.note("ttfb", f"{pings.sent} requests to {where}, {received} replies.")
    how_many = f"{lost} of {pings.sent} {'request' if pings.sent == 1 else 'requests'} to {where} went unanswered"
    if not received and pings.unreachable is not None:
        return Failure(Category.ICMP_UNREACHABLE, f"{where} can't be reached, says the network: {pings.unreachable}.")
    if not received or loss * 100 > check.max_loss_percent:
        return Failure(Category.ICMP_LOSS, f"{how_many}.")
    mean_ms = fmean(rtts)
    trial.add("ttfb", mean_ms)
    if loss * 100 > check.degraded_loss_percent:
        return Failure(Category.ICMP_LOSS, f"{how_many}.", Verdict.DEGRADED)
    return slow(mean_ms, check.expected_latency_ms, "The round trip")


def _record(pings: _Pings, rtts: list[float], loss: float, trial: Trial) -> None:
    figures = trial.measurements
    figures.update(
        {"icmp.sent": float(pings.sent), "icmp.received": float(len(rtts)), "icmp.loss_ratio": round(loss, 6)}
    )
    if pings.duplicates:
        figures["icmp.duplicates"] = float(pings.duplicates)
    if pings.hop_limit is not None:
        figures["icmp.hop_limit"] = float(pings.hop_limit)
    if rtts:
        figures["icmp.rtt_min_ms"] = min(rtts)
        figures["icmp.rtt_avg_ms"] = fmean(rtts)
        figures["icmp.rtt_max_ms"] = max(rtts)
        figures["icmp.jitter_ms"] = fmean(abs(b - a) for a, b in pairwise(rtts)) if len(rtts) > 1 else 0.0
