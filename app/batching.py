"""The bounded queue before the engine: admission by predicted completion, and batches, earliest deadline first.

Pure logic on a clock that it is given; it knows the engine by its latencies only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.contract import Level
from app.controller import Controller
from app.objective import CALL_SECONDS, LEAVES, ON_TIME, Change
from app.plan import Batch, without
from app.reserve import Reserve

T = TypeVar("T")
_TRUST_SECONDS, _CLOSED_SECONDS = 1.0, 5.0
_LEAST_ROOM = 0.5  # of a deadline, whatever experience says


@dataclass(eq=False)
class Job(Generic[T]):
    """One image of a request, in seconds on the clock.

    level: a contract where it is one; None: the controller's choice, not under `min_level`. firm: the deadline was
    asked for by the client; one that is only the objective's is never refused where nothing else waits. reserve: what
    experience adds to the time that is left for what comes before and after the engine.
    """

    model: str
    level: Level | None
    min_level: Level | None
    arrived: float
    deadline: float
    firm: bool
    payload: T
    reserve: float = 0.0

    def __post_init__(self) -> None:
        """`room`: seconds in which its batch must end. `due`: when it should. `leaves_by`: when its answer should."""
        whole = self.deadline - self.arrived
        self.room = ON_TIME * whole
        self.due = self.arrived + max(self.room - self.reserve, _LEAST_ROOM * whole)
        self.leaves_by = self.arrived + LEAVES * whole


@dataclass(frozen=True)
class Refusal:
    """Why images are not accepted, and the seconds after which the same would be; None where they never would.

    closed: not for what waits, but because nothing is accepted now.
    """

    detail: str
    retry_seconds: float | None
    closed: bool = False


class Batching(Generic[T]):
    """One engine that runs one batch at a time."""

    def __init__(self, controller: Controller, *, capacity: int) -> None:
        self._controller, self._capacity = controller, capacity
        self._queue: list[Job[T]] = []
        self._coming: list[Job[None]] = []
        self._busy_until: float | None = None
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

    def offer(self, now: float, jobs: Sequence[Job[T]], *, expected: bool = False) -> Refusal | None:
        """Accept the images of one request together, which are alike but for their payloads, or say why not.

        expected: accepted before they were decoded, so that a queue that was closed since takes them.
        """
        refusal = self._refusal(now, jobs, expected=expected)
        self._arrived(now, jobs, refusal)
        if refusal is None:
            self._queue = sorted([*self._queue, *jobs], key=_due)
        return refusal

    def _arrived(self, now: float, jobs: Sequence[Job[Any]], refusal: Refusal | None) -> None:
        """Count as offered, unless it is refused for good: no machine like this would ever do it."""
        job = jobs[0]
        if refusal is None or refusal.retry_seconds is not None:
            self._controller.arrived(now, job.model, job.level, len(jobs), job.min_level)

    def _ahead(self) -> list[Job[Any]]:
        return sorted([*self._queue, *self._coming], key=_due) if self._coming else self._queue

    def _refusal(self, now: float, jobs: Sequence[Job[Any]], *, expected: bool = False) -> Refusal | None:
        """Every image counts as what it takes at its lowest level: the controller goes down at once where it must."""
        if self.closed_for is not None and not expected:
            return Refusal(self.closed_for, _CLOSED_SECONDS, closed=True)
        ahead, job = self._ahead(), jobs[0]
        free_at = now if self._busy_until is None else max(now, self._busy_until)
        if len(ahead) + len(jobs) > self._capacity:
            detail = f"{len(ahead)} images wait, {self._capacity} may; {len(jobs)} more do not fit"
            return Refusal(detail, self._controller.nominal_seconds(job, len(ahead)))
        idle = not ahead and self._busy_until is None
        if idle and not job.firm:
            return None
        least = self._controller.nominal_seconds(job, len(jobs))
        known = self._controller.latency(job.model).calibrated  # else one slow batch would refuse all for good
        if job.firm and known and least > job.room:
            return Refusal(f"{_images(jobs)} about {_ms(least)} at the lowest L with nothing before", None)
        if idle and now - self._measured_at > _TRUST_SECONDS:
            return None  # the machine may be faster again by now, and only a batch can tell
        return self._late(now, free_at, ahead, jobs)

    def _late(self, now: float, free_at: float, ahead: Sequence[Job[Any]], jobs: Sequence[Job[Any]]) -> Refusal | None:
        """Refuse what would be late itself, or make something late that was accepted and would be in time."""
        new = set(map(id, jobs))
        ends = self._controller.ends(free_at, sorted([*ahead, *jobs], key=_due))
        late = [(job, end) for job, end in ends if end > job.due]
        own = [(job, end) for job, end in late if id(job) in new]
        if own:
            job, end = own[-1]  # only when the last is in time are all
            detail = f"{len(ahead)} images wait: it would take {_ms(end - now)} of {_ms(job.due - now)} left"
            return Refusal(detail, end - job.due)
        if not late:
            return None
        in_time = {id(job) for job, end in self._controller.ends(free_at, ahead) if end <= job.due}
        spoilt = [end - job.due for job, end in late if id(job) in in_time]
        return Refusal("it would make one late that was accepted before", max(spoilt)) if spoilt else None

    def withdraw(self, jobs: Sequence[Job[T]]) -> None:
        """Forget what nobody waits for any more."""
        self._queue = without(self._queue, jobs)

    def take(self, now: float) -> tuple[Batch[Job[T]] | None, list[Change]]:
        """The next batch while the engine is free, None where nothing waits; and what the controller changed for it."""
        changes = self._controller.step(now, self._ahead())
        if not self._queue:
            return None, changes
        batch = self._controller.batch(now, self._queue)
        self.withdraw(batch.jobs)
        self._busy_until = now + batch.seconds
        return batch, changes

    def finished(self, now: float, batch: Batch[Job[T]], seconds: float | None) -> None:
        """The engine is free again; `seconds` that the batch took, None where it failed."""
        self._busy_until, self._measured_at = None, now
        if seconds is not None:
            self._controller.latency(batch.model).observe(batch.levels, max(seconds - CALL_SECONDS, 1e-6))

    @property
    def reserve_seconds(self) -> float:
        """What a new job should keep in reserve."""
        return self._reserve.seconds

    def answered(self, *, late: bool) -> None:
        """An answer leaves, late or not: learn from it."""
        self._reserve.answered(self._controller.slo_seconds, late=late)


def _images(jobs: Sequence[Job[Any]]) -> str:
    return "1 image takes" if len(jobs) == 1 else f"{len(jobs)} images take"


def _due(job: Job[Any]) -> float:
    return job.due


def _ms(seconds: float) -> str:
    return f"{max(0.0, seconds) * 1e3:.0f} ms"
