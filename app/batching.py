"""The bounded queue before the engine: admission by predicted completion, and batches, earliest deadline first.

Pure logic on a clock that it is given; it knows the engine by its latencies only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.controller import Controller
from app.interference import ACCEPTED, ANSWERED, REFUSED
from app.job import Job, Refusal
from app.objective import CALL_SECONDS, Change
from app.plan import Batch, without
from app.reserve import Reserve

T = TypeVar("T")
_TRUST_SECONDS, _CLOSED_SECONDS, _FRESH_SECONDS = 1.0, 5.0, 0.005


@dataclass(frozen=True)
class _Running:
    """The batch that runs: when it would end with nothing beside it, and the work that was done before it began."""

    until: float
    work: float


class Batching(Generic[T]):
    """One engine that runs one batch at a time."""

    def __init__(self, controller: Controller, *, capacity: int) -> None:
        self._controller, self._capacity = controller, capacity
        self._queue: list[Job[T]] = []
        self._coming: list[Job[None]] = []
        self._running: _Running | None = None
        self._interference = controller.interference
        self.closed_for: str | None = None  # why nothing is accepted now
        self._measured_at = -math.inf
        self._reserve = Reserve()

    def depth(self, model: str | None = None) -> int:
        """Images that wait, of one model or of all."""
        return sum(model is None or job.model == model for job in self._queue)

    @property
    def empty(self) -> bool:
        """Whether nothing waits, and nothing that was accepted is still being decoded."""
        return not self._queue and not self._coming

    def check(self, now: float, jobs: Sequence[Job[None]]) -> Refusal | None:
        """Why images like these would not be accepted now, None where they would.

        What is refused counts as offered.
        """
        refusal = self._refusal(now, jobs)
        if refusal is not None:
            self._arrived(now, jobs, refusal)
        return refusal

    def expect(self, now: float, jobs: Sequence[Job[None]]) -> Refusal | None:
        """The same before they are decoded: where they would be accepted, others wait behind them from now on."""
        refusal = self.check(now, jobs)
        if refusal is None:
            self._coming += jobs
        return refusal

    def came(self, jobs: Sequence[Job[None]]) -> None:
        """What was expected is decoded, or will not come."""
        self._coming = without(self._coming, jobs)

    def offer(self, now: float, jobs: Sequence[Job[T]], *, expected_since: float | None = None) -> Refusal | None:
        """Accept the images of one request together, which are alike but for their payloads, or say why not.

        expected_since: when they were accepted before they were decoded. A queue that was closed since takes them, and
        right behind that they are not looked at again.
        """
        expected = expected_since is not None
        fresh = expected_since is not None and now - expected_since < _FRESH_SECONDS
        refusal = None if fresh else self._refusal(now, jobs, expected=expected)
        self._arrived(now, jobs, refusal)
        if refusal is None:
            self._queue = sorted([*self._queue, *jobs], key=_due)
        return refusal

    def _arrived(self, now: float, jobs: Sequence[Job[Any]], refusal: Refusal | None) -> None:
        """Count as work, and as offered unless it is refused for good: no machine like this would ever do it."""
        self._interference.did(now, ACCEPTED if refusal is None else REFUSED)
        if refusal is None or refusal.retry_seconds is not None:
            self._offered(now, jobs)

    def _offered(self, now: float, jobs: Sequence[Job[Any]]) -> None:
        job = jobs[0]
        self._controller.arrived(now, job.model, job.level, len(jobs), job.min_level)

    def _ahead(self) -> list[Job[Any]]:
        return sorted([*self._queue, *self._coming], key=_due) if self._coming else self._queue

    def _refusal(self, now: float, jobs: Sequence[Job[Any]], *, expected: bool = False) -> Refusal | None:
        """Every image counts as what it takes at its lowest level: the controller goes down at once where it must."""
        if self.closed_for is not None and not expected:
            return Refusal(self.closed_for, _CLOSED_SECONDS, closed=True)
        ahead, job = self._ahead(), jobs[0]
        if len(ahead) + len(jobs) > self._capacity:
            detail = f"{_waiting(ahead)}, {self._capacity} may; {len(jobs)} more do not fit"
            return Refusal(detail, self._controller.nominal_seconds(job, len(ahead)))
        idle = not ahead and self._running is None
        if idle and not job.firm:
            return None
        least = self._controller.nominal_seconds(job, len(jobs))
        known = self._controller.latency(job.model).calibrated  # else one slow batch would refuse all for good
        if job.firm and known and least > job.due - job.arrived:
            takes = "1 image takes" if len(jobs) == 1 else f"{len(jobs)} images take"
            detail = f"{takes} about {_ms(least)} at the lowest L with nothing before, too long for {_ms(job.seconds)}"
            return Refusal(detail, None)
        if idle and now - self._measured_at > _TRUST_SECONDS:
            return None  # the machine may be faster again by now, and only a batch can tell
        return self._late(now, ahead, jobs)

    def _busy_seconds(self, now: float) -> float:
        """Of the engine alone until it is free: what was done beside its batch since it began makes it later."""
        if self._running is None:
            return 0.0
        beside = self._interference.request_seconds * (self._interference.work - self._running.work)
        return max(self._running.until + beside - now, 0.0)

    def _late(self, now: float, ahead: Sequence[Job[Any]], jobs: Sequence[Job[Any]]) -> Refusal | None:
        """Refuse what might be late itself, or would make something late that was accepted and would be in time."""
        new, busy = set(map(id, jobs)), self._busy_seconds(now)
        ends = list(self._controller.ends(now, busy, sorted([*ahead, *jobs], key=_due)))
        late = [(job, end) for job, end in ends if end > job.due]
        own = [(job, end) for job, end in ends if id(job) in new and end > job.safe]
        if own:
            job, end = own[-1]  # only when the last is in time are all
            if end <= job.due:
                self._reserve.refused(now, job.seconds)
            detail = f"{_waiting(ahead)}: it would be done in {_ms(end - now)}, and {_ms(job.safe - now)} are safe; "
            detail += "ask again, or with a longer deadline_ms"
            return Refusal(detail, end - job.safe)
        if not late:
            return None
        in_time = {id(job) for job, end in self._controller.ends(now, busy, ahead) if end <= job.due}
        spoilt = [end - job.due for job, end in late if id(job) in in_time]
        return Refusal("it would make one late that was accepted before", max(spoilt)) if spoilt else None

    def spoilt(self, now: float) -> None:
        """Count as work a request whose images could not be used."""
        self._interference.did(now, REFUSED)

    def refused(self, now: float, jobs: Sequence[Job[None]]) -> None:
        """Count as work and as offered what was refused elsewhere."""
        self._interference.did(now, REFUSED)
        self._offered(now, jobs)

    def withdraw(self, jobs: Sequence[Job[T]]) -> None:
        """Forget what nobody waits for any more."""
        self._queue = without(self._queue, jobs)

    def take(self, now: float) -> tuple[Batch[Job[T]] | None, list[Change]]:
        """The next batch while the engine is free, None where nothing waits; and what the controller changed for it."""
        reserve = self._reserve.share(self._controller.slo_seconds)
        changes = self._controller.step(now, self._ahead(), reserve)
        if not self._queue:
            return None, changes
        batch = self._controller.batch(now, self._queue)
        self.withdraw(batch.jobs)
        self._running = _Running(now + batch.seconds, self._interference.work)
        return batch, changes

    def alone_seconds(self, job: Job[T]) -> float:
        """What the job takes without load, by a cautious estimate; infinity where it is not all that there is to do."""
        if self._running is not None or self._coming or len(self._queue) > 1:
            return math.inf
        return self._controller.alone_seconds(job)

    def finished(self, now: float, batch: Batch[Job[T]], seconds: float | None, *, handed_over: bool = True) -> None:
        """The engine is free again; `seconds` that the batch took, None where it failed."""
        running, self._running, self._measured_at = self._running, None, now
        if seconds is not None and running is not None:
            work = self._interference.work - running.work
            call = CALL_SECONDS if handed_over else 0.0
            self._controller.observe(batch, max(seconds - call, 1e-6), work)

    def reserve(self, seconds: float) -> float:
        """The share of a deadline so many seconds long that a new job should keep back."""
        return self._reserve.share(seconds)

    def answered(self, now: float, arrived: float, deadline: float) -> None:
        """An answer leaves: learn from it."""
        self._interference.did(now, ANSWERED)
        self._reserve.answered(now, arrived, deadline)

    def left(self, now: float, job: Job[T]) -> None:
        """A client did not wait for its answer: where it would have been late, learn from it as from that."""
        if now > job.deadline:
            self._reserve.answered(now, job.arrived, job.deadline)


def _waiting(ahead: Sequence[Job[Any]]) -> str:
    return {0: "nothing else waits", 1: "1 image waits"}.get(len(ahead), f"{len(ahead)} images wait")


def _due(job: Job[Any]) -> float:
    return job.due


def _ms(seconds: float) -> str:
    return f"{max(0.0, seconds) * 1e3:.0f} ms"
