"""The path of a request for an inference: admitted, decoded, queued, answered, and counted at each step."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from starlette.types import Scope

from app.admission import Admission
from app.afterwards import Afterwards
from app.asked import Done, Wanted
from app.connection_state import not_before
from app.contract import Prepared
from app.dispatch import Dispatcher
from app.errors import Busy, InvalidParameter
from app.metrics import UNKNOWN, Metrics
from app.oip.statistics import Statistics
from app.parameters import Choice
from app.preparation import Decoded, Preparation, Stages
from app.repository import Repository


@dataclass
class Tally:
    """What is known of a request when it ends."""

    model: str = UNKNOWN


@dataclass(frozen=True)
class Answer:
    """One image's way through the service, without its pixels."""

    done: Done
    stages: Stages


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
        afterwards: Afterwards,
    ) -> None:
        self._repository, self._admission, self._preparation = repository, admission, preparation
        self._dispatcher, self._metrics, self._statistics = dispatcher, metrics, statistics
        self._afterwards = afterwards

    @contextmanager
    def inference(self, scope: Scope) -> Iterator[Tally]:
        """Around a request for an inference: counts it under the model that the tally names, by how it ends."""
        tally, started, error = Tally(), self.arrived(scope), None
        self._metrics.in_flight.inc()
        try:
            yield tally
        except BaseException as caught:
            error = type(caught)  # not itself, which holds the request's body
            raise
        finally:
            self._metrics.in_flight.dec()
            self._afterwards.later(self._ended, tally.model, error, time.perf_counter() - started)

    def _ended(self, model: str, error: type[BaseException] | None, seconds: float) -> None:
        self._metrics.inference(model, error)
        self._statistics.ended(model, seconds, answered=error is None)

    @contextmanager
    def admit(self, choice: Choice, *, named: bool = True, there: bool = False) -> Iterator[Callable[[int], None]]:
        """Around a classify request, before its body is read; yields what counts the body's bytes.

        named: whether the model is known, which the body may still name. there: whether the body is, so that what is
        done with it refuses it as soon. Unavailable while the model, or else every model, is not loaded; Busy where too
        much is in flight, or it could not be in time.
        """
        self._repository.check_ready(choice.model.name, named=named)
        wanted = _wanted(choice, time.perf_counter())
        if not there:
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

    def arrived(self, scope: Scope) -> float:
        """When a request that is looked at now came, on the clock of time.perf_counter; not later than it did."""
        return self._dispatcher.arrived(not_before(scope))

    async def classify(self, encoded: Sequence[bytes], choice: Choice, arrived: float) -> list[Answer]:
        """Decode all images at once, queue them together, wait for all.

        arrived: when the body was there, on time.perf_counter's clock; the deadline counts from then. A request without
        a deadline of its own has the objective, which the decoding of its images does not use up: a photo of many
        pixels takes what it takes. InvalidParameter where decoding alone takes longer than the deadline.
        """
        model, wanted = choice.model.name, _wanted(choice, arrived)
        with self._repository.using(model):
            with self._dispatcher.expecting(wanted, len(encoded)) as since:
                prepared = await self._preparation.prepare(model, encoded)
            longest = max(one.stages.seconds for one in prepared)
            if wanted.deadline_seconds is None:
                wanted = replace(wanted, arrived=wanted.arrived + longest)
            elif longest > wanted.deadline_seconds:
                detail = f"deadline_ms {choice.deadline_ms} cannot be met: to decode the image took"
                raise InvalidParameter(f"{detail} {longest * 1e3:.0f} ms")
            return await self._run(wanted, prepared, since)

    async def classify_prepared(self, prepared: Sequence[Prepared], choice: Choice, arrived: float) -> list[Answer]:
        """The same for network inputs, of which nothing is to be decoded."""
        with self._repository.using(choice.model.name):
            return await self._run(_wanted(choice, arrived), [Decoded(one) for one in prepared], None)

    async def _run(self, wanted: Wanted, images: Sequence[Decoded], expected_since: float | None) -> list[Answer]:
        prepared = [image.prepared for image in images]
        alone = self._admission.requests == 1
        done = await self._dispatcher.classify(wanted, prepared, expected_since=expected_since, alone=alone)
        return [Answer(one, image.stages) for one, image in zip(done, images, strict=True)]

    def answered(self, model: str, answers: Sequence[Answer], postprocess_seconds: float) -> None:
        """Count the images of an answer, which leaves now, and what each stage of it took."""
        now, done = time.perf_counter(), answers[0].done  # the images of a request have one deadline
        self._dispatcher.answered(now, done)
        at, in_time = time.time(), now <= done.deadline
        self._afterwards.later(self._count, at, model, answers, postprocess_seconds, in_time=in_time)

    def _count(
        self, at: float, model: str, answers: Sequence[Answer], postprocess_seconds: float, *, in_time: bool
    ) -> None:
        levels = (answer.done.level for answer in answers)
        self._metrics.answered(model, levels, [answer.done.result.flops for answer in answers])
        for answer in answers:
            self._metrics.stages_of(
                model,
                decode=answer.stages.decode,
                preprocess=answer.stages.preprocess,
                queue=answer.done.queue_seconds,
                forward=answer.done.forward_seconds,
                postprocess=postprocess_seconds / len(answers),
            )
        self._metrics.in_time.labels(model).inc(in_time)
        last = max((answer.done for answer in answers), key=lambda done: done.queue_seconds)
        self._statistics.answered(
            model,
            len(answers),
            at,
            queue=last.queue_seconds,
            compute_input=max(answer.stages.seconds for answer in answers),
            compute_infer=last.forward_seconds,
            compute_output=postprocess_seconds,
        )


def _wanted(choice: Choice, arrived: float) -> Wanted:
    seconds = None if choice.deadline_ms is None else choice.deadline_ms / 1e3
    return Wanted(choice.model.name, choice.level, choice.min_level, choice.top_k, arrived, seconds)
