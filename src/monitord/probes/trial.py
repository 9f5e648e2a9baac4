"""One check of a service under way: its clock, its phases, and what is told of it afterwards."""

import contextlib
import time
from collections.abc import Iterator

from monitord.domain.check import Category, Evidence, Observation, Phases, Step, Verdict
from monitord.probes.certificates import read_certificate
from monitord.probes.connect import endpoint
from monitord.probes.deadline import Deadline
from monitord.probes.dial import Dialled
from monitord.probes.failure import Failure
from monitord.probes.tls import TLS_VERSIONS, Session

_MAX_CERTIFICATES = 5
_MAX_STEPS = 100


class StepError(Exception):
    """A step of a check went wrong. Raised within probers alone: towards the engine a failure is a value."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Trial:
    """What is recorded while a check runs. Probers talk in sequence; this keeps the times and the words."""

    def __init__(self, deadline: Deadline) -> None:
        self.began_at = time.monotonic()
        self.deadline = deadline
        self.dialled: Dialled | None = None
        self.port = 0
        self.session: Session | None = None
        self.secured: bool | None = None
        """Whether the TLS handshake succeeded; None without TLS."""
        self.content_ok: bool | None = None
        self.status_code: int | None = None
        """Of HTTP, where a kind begins with it."""
        self.measurements: dict[str, float] = {}
        self.received = 0
        self.excerpt = b""
        self.header_lines: tuple[str, ...] = ()
        self._durations: dict[str, float] = {}
        self._steps: list[tuple[float, str, str]] = []
        self._settled_at: float | None = None

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a phase: ``dns``, ``connect``, ``tls``, ``ttfb`` or ``transfer``."""
        began_at = time.monotonic()
        try:
            yield
        finally:
            self.add(name, (time.monotonic() - began_at) * 1000)

    def add(self, name: str, millis: float) -> None:
        """Add to a phase."""
        self._durations[name] = self._durations.get(name, 0.0) + millis

    def note(self, phase: str, text: str) -> None:
        """Tell what happened, in a sentence; texts from the target are to be cleaned first (T19)."""
        if len(self._steps) < _MAX_STEPS:
            self._steps.append((time.monotonic(), phase, text))

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the check began, until it was settled."""
        return ((self._settled_at or time.monotonic()) - self.began_at) * 1000

    def settle(self) -> None:
        """Say that the target has done all that it should: what still comes is courtesy, and does not count as slow."""
        self._settled_at = time.monotonic()

    def conclude(self, final: Failure | None, *, trace: bool) -> Observation:
        """Return what the check saw. ``final`` is what is wrong, or odd; None: all is as it should be.

        Args:
            final: the failure, or a remark whose verdict is UP.
            trace: explain an UP verdict too.
        """
        verdict = final.verdict if final is not None else Verdict.UP
        dialled, session = self.dialled, self.session
        leaf = session.leaf() if session is not None else None
        facts = read_certificate(leaf) if leaf is not None else None
        if session is not None and self.secured and (version := TLS_VERSIONS.get(session.version())) is not None:
            self.measurements["tls.version"] = version
        return Observation(
            verdict=verdict,
            category=final.category if final is not None else None,
            message=final.message if final is not None else "",
            phases=Phases(**self._durations),
            status_code=self.status_code,
            dns_ok=None if dialled is None or dialled.dns_ms is None else bool(dialled.resolved),
            ssl_ok=self._ssl_ok(final),
            content_ok=self.content_ok,
            address=endpoint(dialled.ip, self.port) if dialled is not None and dialled.ip else None,
            certificate_expires_at=facts.not_after if facts is not None else None,
            bytes_received=self.received,
            measurements=self.measurements or None,
            evidence=self._evidence(final) if trace or verdict is not Verdict.UP else None,
        )

    def _ssl_ok(self, final: Failure | None) -> bool | None:
        if self.secured and final is not None and final.verdict is Verdict.DOWN:
            return not final.category.startswith("tls.")
        return self.secured

    def _evidence(self, final: Failure | None) -> Evidence:
        chain = self.session.chain()[:_MAX_CERTIFICATES] if self.session is not None else []
        told = [Step(round((at - self.began_at) * 1000, 3), phase, text) for at, phase, text in self._steps]
        told.append(
            Step(
                round(self.elapsed_ms, 3),
                "judge",
                final.message if final is not None else "Everything is as it should be.",
            )
        )
        return Evidence(
            steps=tuple(told),
            resolved=self.dialled.resolved if self.dialled is not None else (),
            header_lines=self.header_lines,
            body_excerpt=self.excerpt,
            certificates=tuple(facts for der in chain if (facts := read_certificate(der)) is not None),
        )


def unprobed(failure: Failure) -> Observation:
    """Return the observation of a check for which nothing was dialled."""
    return Observation(
        verdict=failure.verdict,
        category=failure.category,
        message=failure.message,
        dialled=False,
        evidence=Evidence(steps=(Step(0.0, "judge", failure.message),)),
    )


def slow(took_ms: float, expected_ms: int, what: str = "The check") -> Failure | None:
    """Return that something took longer than expected, if it did: DEGRADED."""
    if not 0 < expected_ms < took_ms:
        return None
    return Failure(
        Category.ASSERT_LATENCY,
        f"{what} took {took_ms:.0f} ms; at most {expected_ms} ms are expected.",
        Verdict.DEGRADED,
    )
