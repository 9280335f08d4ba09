"""What the planner says of many that wait: the batches that follow, and no more work than there are images."""

from dataclasses import dataclass
from functools import partial

from app.contract import Level
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

    @property
    def model(self) -> str:
        self.asked += 1
        return self.name


def planner() -> Planner:
    latencies = {name: Latency(points()) for name in "mn"}
    return Planner(latencies.__getitem__, MOST)


def exact(_image: Image, levels: list[Image] | None = None) -> Level:
    if levels is not None:
        levels.append(_image)
    return "exact"


def test_the_ends_of_many_that_wait_are_found_in_as_many_steps_as_there_are_images() -> None:
    for names in ("m", "mn"):
        queue = [Image(names[number % len(names)]) for number in range(1024)]
        chosen: list[Image] = []
        assert len(list(planner().ends(0.0, queue, partial(exact, levels=chosen)))) == 1024
        assert sum(image.asked for image in queue) == 1024
        assert len(chosen) <= 1024 + 1024 / MOST


def test_one_alone_ends_as_a_batch_of_one_would() -> None:
    for level in ("dense", 8):
        image = Image("m", due=0.001, level=level)
        batch = planner().next(3.0, [image], lambda own: own.level or "exact")
        assert list(planner().ends(3.0, [image], lambda own: own.level or "exact")) == [(image, 3.0 + batch.seconds)]


def test_the_ends_are_those_of_the_batches_that_would_follow() -> None:
    own = planner()
    queue = [Image("mmnmnnnm"[number % 8], due=0.01 * number) for number in range(60)]
    expected, left, now = [], queue, 0.0
    while left:
        batch: Batch[Image] = own.next(now, left, exact)
        now += batch.seconds
        left = without(left, batch.jobs)
        expected += [(image, now) for image in batch.jobs]
    assert list(own.ends(0.0, queue, exact)) == expected
