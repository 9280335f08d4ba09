"""The path of a request for an inference: admitted, decoded, queued, answered, and counted at each step."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from app.admission import Admission
from app.contract import Prepared
from app.dispatch import Dispatcher, Done, Wanted
from app.errors import Busy, InvalidParameter
from app.metrics import Metrics, Tally
from app.oip.statistics import Statistics
from app.parameters import Choice
from app.preparation import Preparation
from app.repository import Repository


@dataclass(frozen=True)
class Answer:
    """One image's way through the service; times in seconds."""

    done: Done
    decode_seconds: float


class Classifying:
    """Used from the event loop only."""

    def __init__(
        self,
        repository: Repository,
        admission: Admission,
        preparation: Preparation,
        dispatcher: Dispatcher,
        metrics: Metrics,
        statistics: Statistics,
    ) -> None:
        self._repository, self._admission, self._preparation = repository, admission, preparation
        self._dispatcher, self._metrics, self._statistics = dispatcher, metrics, statistics

    @contextmanager
    def inference(self) -> Iterator[Tally]:
        """Around a request for an inference: counts it under the model that the tally names, by how it ends."""
        started, answered = time.perf_counter(), False
        with self._metrics.inference() as tally:
            try:
                yield tally
                answered = True
            finally:
                self._statistics.ended(tally.model, time.perf_counter() - started, answered=answered)

    @contextmanager
    def admit(self, choice: Choice, *, named: bool = True) -> Iterator[Callable[[int], None]]:
        """Around a classify request, before its body is read; yields what counts the body's bytes.

        named: whether the model is known, which the body may still name. Unavailable while it, or else every model, is
        not loaded; Busy where too much is in flight, or it could not be in time.
        """
        self._repository.check_ready(choice.model.name, named=named)
        wanted = _wanted(choice, time.perf_counter())
        self._dispatcher.check_room(wanted, 1)
        with ExitStack() as admitted:
            with self._offered(wanted):
                hold = admitted.enter_context(self._admission.admit())

            def counted(size: int) -> None:
                with self._offered(wanted):
                    hold(size)

            yield counted

    @contextmanager
    def _offered(self, wanted: Wanted) -> Iterator[None]:
        """Around what may raise Busy: a request that is refused before its images are offered counts as load too."""
        try:
            yield
        except Busy:
            self._dispatcher.refused(wanted, 1)
            raise

    async def classify(self, encoded: Sequence[bytes], choice: Choice, arrived: float) -> list[Answer]:
        """Decode all images at once, queue them together, wait for all.

        arrived: when the body was there, on time.perf_counter's clock; the deadline counts from then. A request without
        a deadline of its own has the objective, which the decoding of its images does not use up: a photo of many
        pixels takes what it takes. InvalidParameter where decoding alone takes longer than the deadline.
        """
        model, wanted = choice.model.name, _wanted(choice, arrived)
        with self._repository.using(model):
            with self._dispatcher.expecting(wanted, len(encoded)):
                prepared = await self._preparation.prepare(model, encoded)
            longest = max(seconds for _, seconds in prepared)
            if wanted.deadline_seconds is None:
                wanted = replace(wanted, arrived=wanted.arrived + longest)
            elif longest > wanted.deadline_seconds:
                detail = f"deadline_ms {choice.deadline_ms} cannot be met: to decode the image took"
                raise InvalidParameter(f"{detail} {longest * 1e3:.0f} ms")
            return await self._run(wanted, prepared, expected=True)

    async def classify_prepared(self, prepared: Sequence[Prepared], choice: Choice, arrived: float) -> list[Answer]:
        """The same for network inputs, of which nothing is to be decoded."""
        with self._repository.using(choice.model.name):
            return await self._run(_wanted(choice, arrived), [(one, 0.0) for one in prepared], expected=False)

    async def _run(self, wanted: Wanted, prepared: Sequence[tuple[Prepared, float]], *, expected: bool) -> list[Answer]:
        done = await self._dispatcher.classify(wanted, [one for one, _ in prepared], expected=expected)
        return [Answer(one, seconds) for one, (_, seconds) in zip(done, prepared, strict=True)]

    def answered(self, model: str, answers: Sequence[Answer], postprocess_seconds: float) -> None:
        """Count the images of an answer, and what each stage of it took, in the next turn of the loop.

        It leaves at the end of this one.
        """
        now = time.perf_counter()
        asyncio.get_running_loop().call_soon(self._count, now, model, answers, postprocess_seconds)

    def _count(self, now: float, model: str, answers: Sequence[Answer], postprocess_seconds: float) -> None:
        for answer in answers:
            self._metrics.answered(model, answer.done.level, answer.done.result.flops)
            self._metrics.stage(model, "queue", answer.done.queue_seconds)
            self._metrics.stage(model, "forward", answer.done.forward_seconds)
            self._metrics.stage(model, "postprocess", postprocess_seconds / len(answers))
        done = answers[0].done  # the images of a request have one deadline
        self._metrics.in_time.labels(model).inc(now <= done.deadline)
        self._dispatcher.answered(now, done)
        last = max((answer.done for answer in answers), key=lambda done: done.queue_seconds)
        self._statistics.answered(
            model,
            len(answers),
            queue=last.queue_seconds,
            compute_input=max(answer.decode_seconds for answer in answers),
            compute_infer=last.forward_seconds,
            compute_output=postprocess_seconds,
        )


def _wanted(choice: Choice, arrived: float) -> Wanted:
    seconds = None if choice.deadline_ms is None else choice.deadline_ms / 1e3
    return Wanted(choice.model.name, choice.level, choice.min_level, choice.top_k, arrived, seconds)
