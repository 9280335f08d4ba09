"""A box on a virtual clock: the same every time, and worth its controller."""

import math
from dataclasses import replace

import numpy as np
import pytest

from app.objective import CALL_SECONDS
from app.simulation.box import Box, simulate
from tests.app.frontiers import OFF, ON, points

BOX = Box(points(), "exact", ON, request_seconds=0.003)


def poisson(rate: float, seconds: float = 20.0) -> list[float]:
    gaps = np.random.default_rng(7).exponential(1 / rate, int(rate * seconds * 2))
    times = np.cumsum(gaps)
    return [float(time) for time in times[times < seconds]]


def off(box: Box) -> Box:
    return replace(box, objective=replace(box.objective, enabled=False))


def test_the_same_arguments_give_the_same_run_and_another_seed_another() -> None:
    arrivals = poisson(120)
    assert simulate(BOX, arrivals, 1) == simulate(BOX, arrivals, 1)
    assert simulate(BOX, arrivals, 1) != simulate(BOX, arrivals, 2)


def test_counts_add_up() -> None:
    arrivals = poisson(200)
    run = simulate(BOX, arrivals, 1)
    seconds = run.seconds()
    assert run.offered == arrivals
    assert sum(second.offered for second in seconds) == len(arrivals)
    assert sum(second.answered for second in seconds) == len(run.answered) == sum(run.levels().values())
    assert sum(second.in_time for second in seconds) == round(run.attainment * len(arrivals))
    assert run.effective <= run.attainment <= run.kept <= 1


@pytest.mark.parametrize("rate", [60, 150, 220, 800])
def test_what_is_accepted_is_in_time_at_any_load_that_the_loop_can_read(rate: float) -> None:
    for box in (BOX, off(BOX)):
        assert simulate(box, poisson(rate), 1).kept >= 0.99


def test_under_overload_the_controller_answers_more_than_any_fixed_level_refuses() -> None:
    arrivals = poisson(160)
    steered = simulate(BOX, arrivals, 1)
    fixed = simulate(off(BOX), arrivals, 1)
    lowest = simulate(replace(off(BOX), level=8), arrivals, 1)
    assert steered.attainment > 1.15 * fixed.attainment
    assert steered.attainment >= lowest.attainment - 0.02


def test_a_flood_is_refused_for_little_and_costs_few_answers() -> None:
    full, flooded = (
        sum(second.in_time for second in simulate(BOX, poisson(rate, 5), 1).seconds()) for rate in (200, 800)
    )
    assert flooded > 0.75 * full


def test_light_load_is_answered_at_the_configured_level() -> None:
    run = simulate(BOX, poisson(5), 1)
    assert run.attainment == 1
    assert set(run.levels()) == {"exact"}


def test_a_box_that_turns_out_slower_still_keeps_its_word() -> None:
    run = simulate(replace(BOX, slowdown=1.4), poisson(100, 40), 1)
    assert run.kept >= 0.99


def test_after_a_burst_of_four_times_the_load_it_is_back_within_a_second() -> None:
    calm, burst = poisson(40, 30), [10 + 2 * i / 320 for i in range(320)]
    run = simulate(BOX, sorted(calm + burst), 1)
    after = run.seconds()[13:]
    assert sum(second.in_time for second in after) / sum(second.offered for second in after) >= 0.99
    assert "8" in run.seconds()[10].levels


def test_what_a_request_takes_beside_the_forward_comes_before_and_after_it() -> None:
    box = replace(BOX, noise=0.0, request_seconds=0.004)
    for alone in simulate(box, [0.0, 1.0], 1).answered:
        assert alone.latency == pytest.approx(0.002 + 0.007 + CALL_SECONDS + 0.002)


def test_a_request_that_comes_during_a_batch_makes_it_end_later() -> None:
    box = replace(BOX, noise=0.0, request_seconds=0.004)
    first, _ = simulate(box, [0.0, 0.005], 1).answered
    assert first.latency == pytest.approx(0.002 + 0.007 + CALL_SECONDS + 0.002 + 0.002)


def test_a_box_is_full_sooner_the_more_a_request_takes_beside_the_forward() -> None:
    shares = [simulate(replace(BOX, request_seconds=ms / 1e3), poisson(120), 1).attainment for ms in (0, 3, 6, 12)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] - shares[-1] > 0.3


def test_a_client_waits_for_a_loop_that_is_behind_too() -> None:
    run = simulate(replace(BOX, noise=0.0, request_seconds=0.02, max_batch=1, objective=OFF), [0.0, 0.0, 0.0], 1)
    read, forward, answer = (0.01, 0.02, 0.03), 0.007 + CALL_SECONDS, 0.01
    first, *_ = run.answered
    assert first.latency == pytest.approx(read[2] + forward + answer)  # the loop reads the others during its forward


def test_no_arrivals_make_an_empty_run() -> None:
    run = simulate(BOX, [], 1)
    assert (run.seconds(), run.percentile(0.5)) == ([], None)
    assert math.isnan(run.attainment)
