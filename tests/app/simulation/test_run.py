"""What simulated answers are worth."""

import pytest

from app.contract import Level, Point
from app.simulation.run import Answered, Run, agreements


def point(level: Level, agreement: float, batch: int = 1) -> Point:
    return Point(level, batch, 1.0, 0.5, agreement, 0.1)


POINTS = (point(8, 0.5), point(8, 0.7, batch=8), point(16, 0.9), point("exact", 0.98))


@pytest.mark.parametrize(
    ("level", "worth"), [(6, 0.6), (8, 0.6), (9, 0.9), (16, 0.9), (20, 0.98), ("exact", 0.98), ("dense", 1.0)]
)
def test_a_level_that_was_not_measured_agrees_as_the_next_one_above(level: Level, worth: float) -> None:
    run = Run(0.1, agreements(POINTS), offered=[0.0, 1.0], answered=[Answered(0.0, 0.05, level)])
    assert run.effective == pytest.approx(worth / 2)


def test_what_is_late_is_worth_nothing() -> None:
    assert Run(0.1, agreements(POINTS), offered=[0.0], answered=[Answered(0.0, 0.2, "dense")]).effective == 0
