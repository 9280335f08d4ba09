"""What the planner says of many that wait: the batches that follow, and no more work than there are images."""

from dataclasses import dataclass
from functools import partial

import pytest

from app.contract import Level
from app.interference import Interference
from app.latency import Latency
from app.plan import Batch, Planner, without
from tests.app.frontiers import points

MOST = 8


@dataclass(eq=False)
class Image:
    """An image that waits, and how often somebody asked for its model."""

    name: str
    due: float = 1e9
    level: Level | None = None
    min_level: Level | None = None
    asked: int = 0
    answers: float = 1.0

    @property
    def model(self) -> str:
        self.asked += 1
        return self.name


def planner(interference: Interference | None = None) -> Planner:
    latencies = {name: Latency(points()) for name in "mn"}
    return Planner(latencies.__getitem__, MOST, undisturbed() if interference is None else interference)


def undisturbed() -> Interference:
    interference = Interference()
    interference.request_seconds = 0.0
    return interference


def exact(_image: Image, levels: list[Image] | None = None) -> Level:
    if levels is not None:
        levels.append(_image)
    return "exact"


def test_the_ends_of_many_that_wait_are_found_in_as_many_steps_as_there_are_images() -> None:
    for names in ("m", "mn"):
        queue = [Image(names[number % len(names)]) for number in range(1024)]
        chosen: list[Image] = []
        assert len(list(planner().ends(0.0, 0.0, queue, partial(exact, levels=chosen)))) == 1024
        assert sum(image.asked for image in queue) == 1024
        assert len(chosen) <= 1024 + 1024 / MOST


def test_one_alone_ends_as_a_batch_of_one_would() -> None:
    for level in ("dense", 8):
        image = Image("m", due=0.001, level=level)
        batch = planner().next(3.0, [image], lambda own: own.level or "exact")
        ends = planner().ends(3.0, 0.0, [image], lambda own: own.level or "exact")
        assert list(ends) == [(image, 3.0 + batch.seconds)]


def test_the_ends_are_those_of_the_batches_that_would_follow() -> None:
    own = planner()
    queue = [Image("mmnmnnnm"[number % 8], due=0.01 * number) for number in range(60)]
    expected, left, now = [], queue, 0.0
    while left:
        batch: Batch[Image] = own.next(now, left, exact)
        now += batch.seconds
        left = without(left, batch.jobs)
        expected += [(image, now) for image in batch.jobs]
    found = list(own.ends(0.0, 0.0, queue, exact))
    assert [image for image, _ in found] == [image for image, _ in expected]
    assert [end for _, end in found] == pytest.approx([end for _, end in expected], rel=1e-12)


def test_the_answers_of_a_batch_leave_one_after_another_and_the_next_batch_ends_later_for_them() -> None:
    queue, interference = [Image("m") for _ in range(2 * MOST)], Interference()
    alone = [end for _, end in planner().ends(0.0, 0.0, queue, exact)]
    beside = [end for _, end in planner(interference).ends(0.0, 0.0, queue, exact)]
    later = [end - before for end, before in zip(beside, alone, strict=True)]
    assert later == pytest.approx([interference.beside(0.0).answer_seconds * place for place in range(1, 2 * MOST + 1)])


def test_while_much_comes_a_batch_takes_longer_and_fewer_images_leave_the_most_urgent_in_time() -> None:
    interference = Interference()
    calm = planner(interference).next(1.0, [Image("m", due=1.061) for _ in range(MOST)], exact)
    for number in range(20):
        interference.did(1.0 + number / 200, 1.0)
    busy = planner(interference).next(1.1, [Image("m", due=1.161) for _ in range(MOST)], exact)
    assert len(busy.jobs) < len(calm.jobs)
    (alone,) = planner(interference).ends(1.1, 0.0, [Image("m")], exact)
    assert alone[1] > 1.1 + 1.1 * planner(interference).next(1.1, [Image("m")], exact).seconds


def test_the_images_of_one_request_have_one_answer_between_them() -> None:
    interference = Interference()
    (*_, (_, apart)) = planner(interference).ends(0.0, 0.0, [Image("m") for _ in range(MOST)], exact)
    (*_, (_, together)) = planner(interference).ends(
        0.0, 0.0, [Image("m", answers=1 / MOST) for _ in range(MOST)], exact
    )
    assert apart - together == pytest.approx((MOST - 1) * interference.beside(0.0).answer_seconds)
