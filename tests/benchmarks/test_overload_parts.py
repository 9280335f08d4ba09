"""The loads of the overload benchmark, whole and in parts."""

import numpy as np
import pytest

from app.load.outcomes import Outcomes
from app.load.summary import summarise
from benchmarks.overload_parts import cut, joined, plan


def test_bursts_rise_from_the_capacity_to_four_times_as_much_for_two_seconds_of_ten() -> None:
    times = plan(100, 150, 200, ["exact"])[-1].times
    inside = (times % 10 >= 4) & (times % 10 < 6)
    assert np.sum(inside) / 40 == pytest.approx(400, rel=0.05)
    assert np.sum(~inside) / 160 == pytest.approx(100, rel=0.05)


def test_every_load_meets_dense_and_the_controller_and_the_wandering_one_every_level() -> None:
    loads = {load.name: load.policies for load in plan(10, 15, 20, ["exact", 8])}
    assert all({"dense", "controller"} <= set(policies) for policies in loads.values())
    assert loads["wander 0.5x-2x"] == ("dense", "exact", 8, "controller")


def test_the_overloads_are_multiples_of_the_capacity_and_of_what_saturates_dense() -> None:
    overloads = [load.times for load in plan(20, 100, 200, ["exact"])[:3]]
    assert [len(times) / 200 for times in overloads] == pytest.approx([30, 60, 150], rel=0.05)


def test_a_load_is_cut_into_parts_and_joined_again() -> None:
    times = np.array([1.0, 19.5, 20.0, 45.0, 59.0])
    parts = cut(times)
    assert [part.tolist() for part in parts] == [[1.0, 19.5], [0.0], [5.0, 19.0]]
    outcomes = [Outcomes(part) for part in parts]
    for one in outcomes:
        one.sent[:], one.finished[:], one.code[:], one.reached = (
            one.scheduled + 0.001,
            one.scheduled + 0.01,
            200,
            len(one.code),
        )
        one.cpu_seconds, one.wall_seconds = 1.0, 20.0
    whole = joined(times, outcomes)
    assert whole.reached == 5
    assert np.allclose(whole.latency, 0.01)
    assert np.allclose(whole.sent, times + 0.001)
    summary = summarise(whole, 50)
    assert (summary.within, summary.cpu_share) == (5, 3 / 60)


def test_a_part_without_arrivals_is_left_out() -> None:
    assert [part.tolist() for part in cut(np.array([1.0, 41.0]))] == [[1.0], [1.0]]
