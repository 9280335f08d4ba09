"""Many boxes: shares of a load, and how many it needs."""

from dataclasses import replace

import numpy as np
import pytest

from app.arrivals import constant, poisson
from app.simulation import replicas
from app.simulation.box import Box, simulate
from app.simulation.replicas import needed, play, policies
from tests.app.frontiers import ON, points

BOX = Box(points(), "exact", ON)


def nobody(_replicas: int, _attainment: float) -> None:
    """Hears nothing of the search."""


def test_one_box_is_the_box() -> None:
    arrivals = poisson(100, 5, 1)
    assert play(BOX, arrivals, 1, 3) == simulate(BOX, arrivals.tolist(), 3)


def test_every_arrival_goes_to_one_box() -> None:
    arrivals = poisson(300, 5, 1)
    run = play(BOX, arrivals, 4, 3)
    assert sorted(run.offered) == arrivals.tolist()


def test_of_many_boxes_some_are_played() -> None:
    run = play(BOX, poisson(3000, 4, 1), 100, 3)
    assert len(run.offered) == pytest.approx(3000 * 4 * 8 / 100, rel=0.1)
    assert run.attainment > 0.99


def test_a_load_needs_fewer_boxes_with_the_controller_and_most_of_all_without_haste() -> None:
    arrivals = poisson(300, 4, 1)
    counts = [needed(own, arrivals, 3, nobody) for own in policies(BOX).values()]
    assert None not in counts
    assert counts == sorted(counts, key=lambda count: count or 0)
    assert counts[0] != counts[2]


def test_the_number_found_is_enough_and_one_less_is_not() -> None:
    arrivals = poisson(300, 4, 1)
    found = needed(BOX, arrivals, 3, nobody)
    assert found is not None
    assert play(BOX, arrivals, found, 3).attainment >= 0.99
    assert play(BOX, arrivals, found - 1, 3).attainment < 0.99


def test_boxes_that_nothing_comes_to_are_no_answer_where_no_number_is_enough() -> None:
    hopeless = replace(BOX, slowdown=10.0)
    assert needed(hopeless, poisson(5, 2, 1), 3, nobody) is None


def test_a_load_of_nothing_needs_one_box() -> None:
    assert needed(BOX, constant(0.5, 1)[1:], 3, nobody) == 1


def test_where_no_number_is_enough_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "MOST", 4)
    hopeless = replace(BOX, slowdown=10.0)
    told: list[int] = []
    assert needed(hopeless, poisson(200, 2, 1), 3, lambda count, _: told.append(count)) is None
    assert told == [1, 2, 4]


def test_policies_differ_in_what_they_say() -> None:
    boxes = policies(BOX)
    assert [(box.level, box.objective.enabled) for box in boxes.values()] == [
        ("exact", True),
        ("exact", False),
        ("dense", False),
    ]
    assert np.all([box.points == BOX.points for box in boxes.values()])
