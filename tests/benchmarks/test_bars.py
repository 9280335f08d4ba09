"""What the overload benchmark makes of its rows."""

from typing import Any

import pytest

from app.contract import Level, Point
from benchmarks.bars import BURSTS, WANDERING, bars, speed_up
from haste.bench.rows import Quality


def point(level: Level, median_ms: float, batch: int = 1, *, frontier: bool = True) -> Point:
    return Point(level, batch, median_ms, 0.5, 1.0, 0.0, frontier)


POINTS = (point("dense", 10, frontier=False), point("exact", 8), point(8, 4, frontier=False), point(8, 1, batch=8))


KNOWN: dict[Level, Quality] = {10: Quality(0.7, 0.0125)}


def row(load: str, policy: str, effective: float | None, kept: float | None = 1.0, **more: float) -> dict[str, Any]:
    shares = {"attainment": 0.8, "effective_accuracy": effective, "kept": kept}
    return {"load": load, "policy": policy, "rate": 30.0, **shares, **more}


OVERLOADED = ("poisson 1.5x", "poisson 3x", "poisson 1.5x saturation")
ROWS = [
    *(row(name, "dense", 0.4) for name in OVERLOADED),
    *(row(name, "controller", 0.6) for name in OVERLOADED),
    row(WANDERING, "dense", 0.5),
    row(WANDERING, "exact", 0.8, kept=0.97),
    row(WANDERING, "8", None, kept=None),
    row(WANDERING, "controller", 0.76),
    row(BURSTS, "dense", 0.3, recovered=0.7),
    row(BURSTS, "controller", 0.5, recovered=0.99),
]


def test_the_speed_up_is_of_the_fastest_point_of_the_frontier_over_dense_at_batch_1() -> None:
    assert speed_up(POINTS, KNOWN) == 10 / 8


def test_a_level_that_loses_too_much_or_nobody_knows_how_much_is_no_speed_up() -> None:
    points = [*POINTS, point(10, 2), point(7, 1)]
    assert speed_up(points, KNOWN) == 10 / 2
    assert speed_up(points, {10: Quality(0.7, 0.0126), 7: Quality(0.7, 0.2)}) == 10 / 8
    assert speed_up([point("dense", 10, frontier=False), point(7, 1)], KNOWN) == 1


def test_the_ratio_that_is_needed_follows_the_speed_up_up_to_one_and_a_half() -> None:
    assert bars(POINTS, ROWS, KNOWN)["needed_ratio"] == pytest.approx(0.9 * 1.25)
    assert bars([*POINTS, point(10, 2)], ROWS, KNOWN)["needed_ratio"] == pytest.approx(0.9 * 1.5)


def test_the_controller_is_held_against_dense_and_against_the_best_fixed_level() -> None:
    found = bars(POINTS, ROWS, KNOWN)
    assert found["ratio_to_dense"] == dict.fromkeys(OVERLOADED, pytest.approx(1.5))
    assert found["most_ratio"] == dict.fromkeys(OVERLOADED, pytest.approx(1 / 0.8))
    assert found["best_fixed"] == {"policy": "exact", "effective_accuracy": 0.8}
    assert found["controller_above_best_fixed_percent"] == pytest.approx(-5)


def test_the_row_that_kept_least_is_named_and_what_came_after_bursts_is_told_by_policy() -> None:
    found = bars(POINTS, ROWS, KNOWN)
    assert found["least_kept"] == {"load": WANDERING, "policy": "exact", "rate": 30.0, "kept": 0.97}
    assert found["recovered"] == {"dense": 0.7, "controller": 0.99}


def test_where_dense_answered_nothing_right_there_is_no_ratio() -> None:
    rows = [one | {"effective_accuracy": 0.0, "attainment": 0.0} if one["policy"] == "dense" else one for one in ROWS]
    found = bars(POINTS, rows, KNOWN)
    assert found["ratio_to_dense"] == found["most_ratio"] == dict.fromkeys(OVERLOADED)
