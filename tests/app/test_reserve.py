"""The reserve: what experience adds to the time that is left behind the engine."""

import numpy as np
import pytest

from app.reserve import Reserve

SLO = 0.1


def test_nothing_is_kept_back_before_anything_was_late() -> None:
    reserve = Reserve()
    for _ in range(100):
        reserve.answered(SLO, late=False)
    assert reserve.seconds == 0


def test_one_late_answer_is_forgotten_after_two_hundred_in_time() -> None:
    reserve = Reserve()
    reserve.answered(SLO, late=True)
    assert 0.02 * SLO < reserve.seconds < 0.05 * SLO
    for _ in range(198):
        reserve.answered(SLO, late=False)
    assert reserve.seconds > 0
    for _ in range(2):
        reserve.answered(SLO, late=False)
    assert reserve.seconds == 0


def test_it_settles_where_one_of_two_hundred_is_late() -> None:
    random, reserve, late = np.random.default_rng(1), Reserve(), []
    for _ in range(40_000):
        late.append(random.exponential(0.004) > reserve.seconds)
        reserve.answered(SLO, late=late[-1])
    assert np.mean(late[4000:]) == pytest.approx(0.005, rel=0.05)


def test_a_machine_that_is_hopeless_keeps_some_of_its_objective() -> None:
    reserve = Reserve()
    for _ in range(1000):
        reserve.answered(SLO, late=True)
    assert reserve.seconds == pytest.approx(0.3 * SLO)
