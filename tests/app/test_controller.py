"""The controller on a clock of its own: down at once, up slowly, never under L_min, never to what is not faster."""

import numpy as np
import pytest

from app.batching import Batching
from app.contract import Level
from app.controller import Controller
from app.job import Job
from app.objective import Change, Objective
from app.plan import Batch
from tests.app.frontiers import OFF, ON, SLO_MS, controller, points


def arrive(steered: Controller, rate: float, since: float, until: float, model: str = "m") -> list[Change]:
    """Constant arrivals with a step after each; what changed."""
    changes = []
    for number in range(int((until - since) * rate)):
        now = since + number / rate
        steered.arrived(now, model, None, 1)
        changes += steered.step(now, [])
    return changes


def level(steered: Controller, model: str = "m") -> Level:
    return steered.standing(0.0, model).level


def crowd(number: int, model: str = "m", wanted: Level | None = None) -> list[Job[None]]:
    return [Job(model, wanted, None, 0.0, SLO_MS / 1e3, False, None) for _ in range(number)]


def test_light_load_changes_nothing() -> None:
    steered = controller("exact")
    assert arrive(steered, 20, 0, 10) == []
    assert level(steered) == "exact"


def test_down_in_one_step_as_far_as_the_queue_asks_and_no_further() -> None:
    steered = controller("dense", ON, {"m": points(batches=(1,))}, max_batch=1)
    assert steered.step(0.0, crowd(2)) == []
    (change,) = steered.step(0.0, crowd(4))
    assert (change.before, change.after, change.direction, change.cause) == ("dense", "exact", "down", "queue")
    (change,) = steered.step(0.0, crowd(9))
    assert change.after == 8


def test_down_by_the_rate_before_the_queue_grows() -> None:
    steered = controller("dense")
    changes = arrive(steered, 120, 0, 2)
    assert changes[0].cause == "rate"
    assert changes[0].direction == "down"
    assert level(steered) == 8


def test_up_slowly_by_one_rung_after_a_while_of_relief() -> None:
    steered = controller("dense")
    arrive(steered, 150, 0, 5)
    assert level(steered) == 8
    ups = [(change.after, change.cause) for change in arrive(steered, 10, 5, 40) if change.direction == "up"]
    assert ups == [(12, "relief"), ("exact", "relief"), ("dense", "relief")]


def test_a_rate_that_wobbles_does_not_make_the_level_flap() -> None:
    steered = controller("exact")
    changes = []
    for second in range(40):
        changes += arrive(steered, (60, 140)[second % 2], second, second + 1)
    assert len(changes) <= 12


@pytest.mark.parametrize("least", [12, "exact", "dense"])
def test_never_under_the_least_level(least: Level) -> None:
    steered = controller("dense", Objective(True, SLO_MS, least))
    arrive(steered, 1000, 0, 2)
    steered.step(2.0, crowd(50))
    assert level(steered) == least


def test_never_to_a_level_that_is_not_faster() -> None:
    steered = controller("exact", ON, {"m": points({"exact": 7.0, 12: 7.1, 10: 6.95, 8: 6.0})})
    arrive(steered, 1000, 0, 2)
    assert steered._models["m"].rungs == ("exact", 8)


@pytest.mark.parametrize("configured", [6, 8])
def test_a_configured_level_that_is_not_above_L_min_is_told_as_the_reason(configured: Level) -> None:
    off = controller(configured).standing(0.0, "m").off
    assert off == f"the configured L, {configured}, is not above L_min, 8"


def test_with_nothing_faster_it_is_off_and_says_so() -> None:
    steered = controller(12, ON, {"m": points({12: 5.0, 8: 5.0})})
    arrive(steered, 1000, 0, 2)
    assert level(steered) == 12
    assert steered.standing(0.0, "m").off == "no level from 12 down to L_min 8 is faster"
    assert controller("exact", OFF).standing(0.0, "m").off == "it is switched off"
    steered.calibrate("m", [])
    assert steered.standing(0.0, "m").off == "there is no calibration that holds"
    assert controller("exact").standing(0.0, "m").off is None


def test_what_asks_for_its_own_level_is_not_steered_but_counts_as_load() -> None:
    steered = controller("exact", ON)
    for number in range(400):
        now = number / 100
        steered.arrived(now, "m", "dense", 1)
        steered.step(now, [])
    assert level(steered) == 8
    pinned = crowd(1, wanted="dense")[0]
    assert steered.level(pinned) == "dense"
    assert not steered.degraded(pinned, "dense")


def test_what_may_not_go_under_a_level_counts_as_what_it_takes_there_however_low_the_model_stands() -> None:
    steered, bounded = controller("exact", ON), controller("exact", ON)
    for number in range(1300):
        now = number / 130
        steered.arrived(now, "m", None, 1)
        bounded.arrived(now, "m", None, 1, "exact")
        steered.step(now, [])
        bounded.step(now, [])
    assert level(steered) == level(bounded) == 8
    ratio = bounded._models["m"].load(10.0) / steered._models["m"].load(10.0)
    assert ratio == pytest.approx(0.0073 / 0.0053, rel=0.05)
    assert bounded.standing(10.0, "m").pressure == pytest.approx(steered.standing(10.0, "m").pressure)


def test_degraded_means_lower_than_without_load() -> None:
    steered = controller("exact", ON)
    arrive(steered, 1000, 0, 2)
    free, bounded = crowd(1)[0], Job("m", None, "exact", 0.0, 1.0, False, None)
    assert steered.degraded(free, steered.level(free))
    assert steered.level(bounded) == "exact"
    assert not steered.degraded(bounded, "exact")


def test_models_are_steered_each_by_its_own_load_and_share_the_engine() -> None:
    steered = controller("exact", ON, {"m": points(), "n": points()})
    arrive(steered, 150, 0, 2)
    assert level(steered, "m") == 8
    assert level(steered, "n") == 8  # its own arrivals would find the engine busy
    alone = controller("exact", ON, {"m": points(), "n": points()})
    arrive(alone, 30, 0, 4, "n")
    assert (level(alone, "m"), level(alone, "n")) == ("exact", "exact")


def test_what_is_late_at_every_level_sends_nobody_down() -> None:
    steered = controller("exact", ON, {"m": points({"dense": 100.0, "exact": 7.0, 8: 5.0}, batches=(1,))}, max_batch=1)
    assert steered.step(0.0, crowd(1, wanted="dense")) == []
    assert level(steered) == "exact"


def test_the_pressure_is_that_of_all_models_for_they_share_the_engine() -> None:
    steered = controller("dense", ON, {"m": points(), "n": points()})
    arrive(steered, 60, 0, 30, "m")
    alone = steered.standing(30.0, "m").pressure
    arrive(steered, 60, 25, 30, "n")
    assert steered.standing(30.0, "m").pressure > 1.5 * alone
    assert steered.standing(30.0, "m").pressure == steered.standing(30.0, "n").pressure


def test_a_calibration_that_is_lost_is_a_change_that_is_told() -> None:
    steered = controller("exact", ON)
    arrive(steered, 1000, 0, 2)
    (change,) = steered.calibrate("m", [])
    assert (change.before, change.after, change.cause) == (8, "exact", "config")


def test_a_change_of_the_configuration_counts_from_the_next_step() -> None:
    now: dict[str, Level] = {"level": "exact"}
    steered = controller(lambda _: now["level"])
    now["level"] = 8
    steered.step(0.0, [])
    assert level(steered) == 8
    now["level"] = "dense"
    steered.step(0.0, [])
    assert level(steered) == "dense"


def test_a_switch_off_brings_the_configured_level_back_at_once() -> None:
    goal = [ON]
    steered = controller("exact", lambda: goal[0])
    arrive(steered, 1000, 0, 2)
    goal[0] = OFF
    (change,) = steered.reconfigure()
    assert (change.before, change.after, change.cause) == (8, "exact", "config")


def test_the_pressure_is_the_load_at_the_configured_level_however_low_the_level_is() -> None:
    steered = controller("dense")
    arrive(steered, 200, 0, 30)
    standing = steered.standing(30.0, "m")
    assert standing.level == 8
    assert standing.pressure == pytest.approx(2.0, rel=0.1)


def test_a_burst_is_answered_by_going_down_within_the_step_that_sees_it() -> None:
    steered = controller("exact", ON, {"m": points(batches=(1,))}, max_batch=1)
    queue = Batching[None](steered, capacity=64)
    accepted = [queue.offer(0.0, [one]) is None for one in crowd(20)].count(True)
    assert accepted == 5  # as many as are in time at the lowest level
    batch, changes = queue.take(0.0)
    assert batch is not None
    assert [change.after for change in changes] == [8]
    assert batch.levels == [8]


@pytest.mark.parametrize(("slo_ms", "held"), [(3, False), (6, True)])
def test_an_objective_that_no_level_can_hold_is_told_and_one_that_the_lowest_can_is_not(
    slo_ms: int, *, held: bool
) -> None:
    steered = controller("exact", Objective(True, slo_ms, 8))
    warning = steered.standing(0.0, "m").warning
    assert (warning is None) == held
    if warning is not None:
        assert warning == "one image takes 5.3 ms at L = 8, too long for 3 ms"
    alone = controller("exact", Objective(False, slo_ms, 8)).standing(0.0, "m").warning
    assert alone == f"one image takes 7.3 ms at L = exact, too long for {slo_ms} ms"
    steered.calibrate("m", [])
    assert steered.standing(0.0, "m").warning is None


def test_a_slower_engine_and_dearer_requests_are_told_apart() -> None:
    steered, random = controller(8, OFF), np.random.default_rng(0)
    job = crowd(1)[0]
    batch = Batch("m", [job], [8], "idle", 0.0)
    for _ in range(3000):
        work = float(random.integers(6))
        steered.observe(batch, 1.5 * 0.005 * float(np.exp(0.15 * random.standard_normal())) + 0.002 * work, work)
    assert steered.interference.request_seconds == pytest.approx(0.002, abs=0.0005)
    assert steered.latency("m").expected == pytest.approx(1.5, abs=0.2)


def test_before_a_lone_image_right_behind_a_step_nothing_is_asked_again_unless_many_came() -> None:
    steered = controller("dense")
    assert steered.step(0.0, crowd(1)) == []
    for _ in range(7):
        steered.arrived(0.0, "m", None, 1)
    assert steered.step(0.01, crowd(1)) == []
    for _ in range(500):
        steered.arrived(0.02, "m", None, 1)
    (change,) = steered.step(0.02, crowd(1))
    assert (change.after, change.cause) == (8, "rate")


def test_a_lone_image_that_would_be_late_goes_down_as_far_as_it_must_however_soon_behind_a_step() -> None:
    steered = controller("dense")
    assert steered.step(0.0, crowd(1)) == []
    tight: list[Job[None]] = [Job("m", None, None, 0.01, 0.01 + 0.009, True, None)]
    (change,) = steered.step(0.01, tight)
    assert (change.after, change.cause) == (12, "queue")
