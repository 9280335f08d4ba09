"""The reserve: what experience keeps back of deadlines."""

import numpy as np
import pytest

from app.reserve import LEAVES, Reserve

SLO = 0.1


class Clock:
    """Answers that leave one after another, each to a request of its own."""

    def __init__(self) -> None:
        self.reserve, self.now = Reserve(), 0.0

    def answer(self, taken: float, seconds: float = SLO) -> None:
        self.now += 1.0
        self.reserve.answered(self.now, self.now - taken, self.now - taken + seconds)

    def late(self) -> None:
        self.answer(SLO * (LEAVES + 0.001))

    def in_time(self) -> None:
        self.answer(SLO * (LEAVES - 0.001))

    @property
    def share(self) -> float:
        return self.reserve.share(SLO)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_nothing_is_kept_back_before_anything_was_late(clock: Clock) -> None:
    for _ in range(100):
        clock.in_time()
    assert clock.share == 0


def test_one_late_answer_is_forgotten_after_two_hundred_in_time(clock: Clock) -> None:
    clock.late()
    assert 0.02 < clock.share < 0.05
    for _ in range(198):
        clock.in_time()
    assert clock.share > 0
    for _ in range(2):
        clock.in_time()
    assert clock.share == 0


def test_it_settles_where_one_of_two_hundred_is_late(clock: Clock) -> None:
    random, late = np.random.default_rng(1), []
    for _ in range(40_000):
        taken = SLO * (LEAVES - clock.share) + random.exponential(0.004)
        late.append(taken > LEAVES * SLO)
        clock.answer(taken)
    assert np.mean(late[4000:]) == pytest.approx(0.005, rel=0.05)


def test_a_machine_that_is_hopeless_keeps_most_of_its_objective(clock: Clock) -> None:
    for _ in range(1000):
        clock.late()
    assert clock.share == pytest.approx(0.3)


def test_deadlines_that_are_too_tight_take_nothing_from_others(clock: Clock) -> None:
    for _ in range(100):
        clock.answer(0.02, 0.008)
    assert clock.reserve.share(0.008) > 0
    assert clock.share == 0


def test_a_share_that_refuses_everything_is_given_back_and_one_that_answers_teach_is_not(clock: Clock) -> None:
    clock.late()
    taught = clock.share
    clock.reserve.refused(clock.now + 0.1, SLO)
    assert clock.share == taught
    clock.reserve.refused(clock.now + 3.0, SLO)
    assert clock.share == 0
