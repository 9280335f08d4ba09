"""Which images run together, and when each would be answered: the next batch, and all that follow in the queue."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Literal, Protocol, TypeVar

from app.contract import Level
from app.interference import Interference
from app.latency import Latency
from app.objective import CALL_SECONDS

Reason = Literal["full", "deadline", "idle"]


class Waiting(Protocol):
    """An image that waits; `due` on the clock, `level` None where the choice is the controller's.

    answers: its share of its request's answer.
    """

    @property
    def model(self) -> str: ...
    @property
    def level(self) -> Level | None: ...
    @property
    def min_level(self) -> Level | None: ...
    @property
    def due(self) -> float: ...
    @property
    def answers(self) -> float: ...


W = TypeVar("W", bound=Waiting)


@dataclass(frozen=True)
class Batch(Generic[W]):
    """Images of one model with their levels, and the seconds it takes by a cautious estimate with nothing beside it.

    reason: released as large as pays, cut short for the deadline of the most urgent one, or as all that waited.
    """

    model: str
    jobs: Sequence[W]
    levels: Sequence[Level]
    reason: Reason
    seconds: float


@dataclass(frozen=True)
class Planner:
    """How batches are formed: `latency` of a model's engine, at most `max_batch` images, what is done beside them."""

    latency: Callable[[str], Latency]
    max_batch: int
    interference: Interference

    def next(self, now: float, queue: Sequence[W], level: Callable[[W], Level]) -> Batch[W]:
        """The most urgent image and those of its model that follow, as many as pay and leave it in time.

        `queue`: not empty, most urgent first. An image that is late whatever is done does not cut its batch short.
        """
        model = queue[0].model
        own, beside = (job for job in queue if job.model == model), self.interference.beside(now)
        return self._batch(now + queue[0].answers * beside.answer_seconds, model, own, level, beside.soon)

    def _batch(
        self, start: float, model: str, own: Iterable[W], level: Callable[[W], Level], stretch: float
    ) -> Batch[W]:
        """The same of a model's own images, of which no more are looked at than a batch may have.

        start: when it begins, and what the first answer takes behind it added.
        """
        jobs = list(islice(own, self.max_batch))
        latency = self.latency(model)
        most = latency.best_batch(level(jobs[0]), self.max_batch, CALL_SECONDS)
        jobs = jobs[:most]
        levels = [level(job) for job in jobs]
        room = ((jobs[0].due - start) / stretch - CALL_SECONDS) / latency.cautious
        size = len(jobs)
        if latency.batch(levels[0], 1) <= room:
            while latency.mixed(levels[:size]) > room:
                size -= 1
        reason: Reason = "deadline" if size < len(jobs) else ("full" if size == most else "idle")
        seconds = latency.cautious * latency.mixed(levels[:size]) + CALL_SECONDS
        return Batch(model, jobs[:size], levels[:size], reason, seconds)

    def ends(
        self, now: float, busy: float, queue: Sequence[W], level: Callable[[W], Level]
    ) -> Iterator[tuple[W, float]]:
        """Each image of the queue with the time at which it would be answered, batch after batch.

        busy: seconds of the engine until it is free, as all that are added up here without what is done beside it. The
        answers of a batch leave one after another, beside the next one.
        """
        beside = self.interference.beside(now)
        if len(queue) == 1:  # the same as below, for most requests
            latency = self.latency(queue[0].model)
            seconds = latency.cautious * latency.batch(level(queue[0]), 1) + CALL_SECONDS
            yield queue[0], now + beside.after(busy + seconds) + queue[0].answers * beside.answer_seconds
            return
        answers = 0.0
        lines: dict[str, deque[tuple[int, W]]] = {}
        for place, job in enumerate(queue):
            lines.setdefault(job.model, deque()).append((place, job))
        while lines:
            model, line = min(lines.items(), key=_first_place)
            start = now + beside.after(busy) + answers + line[0][1].answers * beside.answer_seconds
            batch = self._batch(start, model, (job for _, job in line), level, beside.stretch(busy))
            busy += batch.seconds
            for job in batch.jobs:
                line.popleft()
                answers += job.answers * beside.answer_seconds
                yield job, now + beside.after(busy) + answers
            if not line:
                del lines[model]


def _first_place(line: tuple[str, deque[tuple[int, W]]]) -> int:
    return line[1][0][0]


def without(queue: Sequence[W], gone: Sequence[object]) -> list[W]:
    """The queue but for these very objects."""
    known = set(map(id, gone))
    return [job for job in queue if id(job) not in known]
