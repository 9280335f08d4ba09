"""Admission by predicted completion, and batches, earliest deadline first; all on a clock of our own."""

import math
from collections.abc import Sequence

import pytest

from app.batching import Batching
from app.contract import Level, Point
from app.controller import Controller
from app.job import Job
from app.objective import CALL_SECONDS
from tests.app.frontiers import OFF, ON, SLO_MS, controller, points

SLO = SLO_MS / 1e3


def job(
    arrived: float = 0.0,
    seconds: float = SLO,
    model: str = "m",
    level: Level | None = None,
    least: Level | None = None,
    name: str = "",
    *,
    firm: bool = True,
) -> Job[str]:
    return Job(model, level, least, arrived, arrived + seconds, firm, name)


def batching(steered: Controller | None = None, capacity: int = 64) -> Batching[str]:
    return Batching(controller(objective=OFF) if steered is None else steered, capacity=capacity)


def accepted(queue: Batching[str], jobs: Sequence[Job[str]], now: float = 0.0) -> int:
    """How many were accepted, one request each."""
    return sum(queue.offer(now, [one]) is None for one in jobs)


def test_what_cannot_be_in_time_is_refused_at_once_with_the_time_after_which_it_could() -> None:
    queue = batching(controller(8, OFF, {"m": points({8: 10.0}, (1,))}, max_batch=1))
    assert accepted(queue, [job() for _ in range(10)]) == 2  # 3 x 10 ms, cautious, are more than 36 ms
    queue.take(0.0)
    accepted(queue, [job() for _ in range(3)])
    refusal = queue.offer(0.0, [job()])
    assert refusal is not None
    assert refusal.retry_seconds is not None
    just_before, just_after = refusal.retry_seconds - 1e-6, refusal.retry_seconds + 1e-6
    assert queue.offer(just_before, [job(just_before)]) is not None
    assert queue.offer(just_after, [job(just_after)]) is None


def test_everything_accepted_is_in_time_when_the_engine_takes_what_was_calibrated() -> None:
    queue, now, late, answered = batching(), 0.0, [], 0
    while now < 5.0:
        for _ in range(3):
            queue.offer(now, [job(now)])
        batch, _ = queue.take(now)
        assert batch is not None
        seconds = 0.007 * len(batch.jobs)
        now += seconds
        queue.finished(now, batch, seconds)
        answered += len(batch.jobs)
        late += [one for one in batch.jobs if one.deadline < now]
    assert answered > 600
    assert late == []


def test_a_request_of_several_images_is_told_the_time_after_which_its_last_is_in_time() -> None:
    queue = batching(controller(8, OFF, {"m": points({8: 10.0}, (1,))}, max_batch=1))
    accepted(queue, [job() for _ in range(2)])
    refusal = queue.offer(0.0, [job(), job()])
    assert refusal is not None
    assert refusal.retry_seconds == pytest.approx(4 * (1.2 * 0.010 + 0.0003) - 0.036)


def test_an_accepted_image_is_not_made_late_by_a_more_urgent_one() -> None:
    queue = batching(controller(8, OFF, {"m": points({8: 10.0}, (1,))}, max_batch=1))
    assert accepted(queue, [job(seconds=0.030), job(seconds=0.030)]) == 2
    urgent = queue.offer(0.0, [job(seconds=0.015)])
    assert urgent is not None
    assert "accepted before" in urgent.detail
    assert queue.depth() == 2


def test_a_request_without_a_deadline_of_its_own_is_taken_by_an_idle_box_whatever_it_takes() -> None:
    slow = controller("dense", OFF, {"m": points({"dense": 500.0})})
    queue = batching(slow)
    assert queue.offer(0.0, [job(firm=False)]) is None
    refusal = queue.offer(0.0, [job(firm=False)])
    assert refusal is not None
    assert refusal.retry_seconds is not None  # alone it would be taken


def test_a_deadline_that_no_box_of_this_kind_meets_is_refused_for_good() -> None:
    refusal = batching().offer(0.0, [job(seconds=0.003)])
    assert refusal is not None
    assert refusal.retry_seconds is None
    assert "7 ms" in refusal.detail


def test_what_is_refused_for_good_is_no_load() -> None:
    steered = controller()
    queue = batching(steered)
    for number in range(200):
        refusal = queue.offer(number / 100, [job(number / 100, 0.003)])
        assert refusal is not None
        assert queue.check(number / 100, [Job("m", None, None, number / 100, number / 100 + 0.003, True, None)])
    assert steered.standing(2.0, "m").pressure == 0


def test_a_slow_machine_accepts_less() -> None:
    fast, slow = batching(), batching()
    for _ in range(50):
        batch, _ = (slow.offer(0.0, [job()]), slow.take(0.0))[1]
        assert batch is not None
        slow.finished(0.0, batch, 0.014)
    assert accepted(slow, [job() for _ in range(20)]) < accepted(fast, [job() for _ in range(20)])


def test_a_machine_that_was_slow_is_tried_again() -> None:
    queue = batching()
    queue.offer(0.0, [job()])
    for _ in range(50):
        queue.offer(0.0, [job(seconds=1)])
        batch, _ = queue.take(0.0)
        assert batch is not None
        queue.finished(0.0, batch, 0.200)
    assert queue.offer(0.5, [job(0.5)]) is not None
    assert queue.offer(1.5, [job(1.5)]) is None
    assert queue.offer(1.5, [job(1.5)]) is not None


def test_images_of_a_request_are_accepted_together_or_not_at_all() -> None:
    queue = batching(capacity=4)
    assert queue.offer(0.0, [job(seconds=1) for _ in range(3)]) is None
    refusal = queue.offer(0.0, [job(seconds=1) for _ in range(2)])
    assert refusal is not None
    assert "3 images wait, 4 may" in refusal.detail
    assert queue.depth() == 3


def test_the_most_urgent_goes_first_with_those_of_its_model() -> None:
    queue = batching(controller(objective=OFF, models={"m": points(), "n": points()}))
    for name, model, seconds in (("a", "m", 3.0), ("b", "n", 1.0), ("c", "m", 2.0), ("d", "n", 4.0)):
        queue.offer(0.0, [job(model=model, seconds=seconds, name=name)])
    batches = []
    while queue.depth():
        batch, _ = queue.take(0.0)
        assert batch is not None
        batches.append("".join(one.payload for one in batch.jobs))
        queue.finished(0.0, batch, 0.01)
    assert batches == ["bd", "ca"]


@pytest.mark.parametrize(
    ("images", "seconds", "reason", "size"), [(3, 1.0, "idle", 3), (9, 1.0, "full", 8), (4, 0.036, "deadline", 3)]
)
def test_a_batch_is_released_full_for_its_deadline_or_as_all_that_waits(
    images: int, seconds: float, reason: str, size: int
) -> None:
    queue = batching()
    queue.offer(0.0, [job(seconds=1, firm=False)])
    for _ in range(images - 1):
        assert queue.offer(0.0, [job(seconds=1)]) is None
    first = queue._queue[0]
    first.due = seconds * 0.9
    batch, _ = queue.take(0.0)
    assert batch is not None
    assert (batch.reason, len(batch.jobs)) == (reason, size)


def test_a_batch_is_no_larger_than_pays() -> None:
    queue = batching(controller(8, OFF, {"m": points({8: 5.0}, gain=-0.5)}))
    accepted(queue, [job(seconds=1) for _ in range(4)])
    batch, _ = queue.take(0.0)
    assert batch is not None
    assert len(batch.jobs) == 1


def test_who_left_is_forgotten_and_gives_its_place_back() -> None:
    queue = batching(capacity=2)
    gone, stays = job(seconds=1, name="gone"), job(seconds=1, name="stays")
    queue.offer(0.0, [gone])
    queue.offer(0.0, [stays])
    queue.withdraw([gone])
    assert queue.offer(0.0, [job(seconds=1, name="new")]) is None
    batch, _ = queue.take(0.0)
    assert batch is not None
    assert [one.payload for one in batch.jobs] == ["stays", "new"]


def test_a_level_of_its_own_is_a_contract_and_min_L_a_bound() -> None:
    queue = batching(controller(8, OFF))
    asked: list[tuple[Level | None, Level | None]] = [(None, None), ("dense", None), (None, 12), (3, None)]
    for level, least in asked:
        queue.offer(0.0, [job(seconds=1, level=level, least=least)])
    batch, _ = queue.take(0.0)
    assert batch is not None
    assert batch.levels == [8, "dense", 12, 3]


def test_without_a_calibration_nothing_is_refused_before_anything_was_measured() -> None:
    no_points: list[Point] = []
    queue = batching(controller(models={"m": no_points}))
    assert accepted(queue, [job() for _ in range(5)]) == 5
    batch, _ = queue.take(0.0)
    assert batch is not None
    queue.finished(0.1, batch, 0.100)
    assert accepted(queue, [job(0.1) for _ in range(5)], 0.1) == 1


def test_without_a_calibration_one_slow_batch_refuses_no_deadline_for_good() -> None:
    no_points: list[Point] = []
    queue = batching(controller(models={"m": no_points}))
    assert accepted(queue, [job()]) == 1
    batch, _ = queue.take(0.0)
    assert batch is not None
    queue.finished(2.0, batch, 2.0)
    refusal = queue.offer(2.0, [job(2.0)])
    assert refusal is not None
    assert refusal.retry_seconds is not None
    assert queue.offer(3.5, [job(3.5)]) is None


def test_while_it_is_closed_nothing_is_accepted_and_all_that_waits_still_runs() -> None:
    queue = batching()
    queue.offer(0.0, [job(seconds=1)])
    queue.closed_for = "model n is being loaded"
    refusal = queue.offer(0.0, [job(seconds=1, firm=False)])
    assert refusal is not None
    assert (refusal.detail, refusal.closed) == ("model n is being loaded", True)
    assert queue.take(0.0)[0] is not None


def test_what_was_expected_when_it_closed_is_waited_for_and_taken() -> None:
    queue, coming = batching(), placeholders(1)
    assert queue.expect(0.0, coming) is None
    queue.closed_for = "model n is being loaded"
    assert not queue.empty
    queue.came(coming)
    assert queue.empty
    assert queue.offer(0.0, [job()], expected_since=-1.0) is None
    assert not queue.empty


def test_the_controller_goes_down_for_what_is_still_being_decoded() -> None:
    queue = batching(controller("exact", ON, {"m": points(batches=(1,))}, max_batch=1))
    assert queue.offer(0.0, [job()]) is None
    assert [queue.expect(0.0, placeholders(1)) for _ in range(4)] == [None] * 4
    batch, changes = queue.take(0.0)
    assert batch is not None
    assert ([change.after for change in changes], batch.levels) == ([8], [8])


def placeholders(number: int) -> list[Job[None]]:
    return [Job("m", None, None, 0.0, SLO, False, None) for _ in range(number)]


def test_after_late_answers_less_is_accepted_and_what_was_in_time_gives_it_back() -> None:
    queue = batching(controller(8, OFF, {"m": points({8: 5.0}, (1,))}, max_batch=1))

    def accepted_now() -> int:
        jobs = [Job("m", None, None, 0.0, SLO, True, "", queue.reserve(SLO)) for _ in range(10)]
        count = accepted(queue, jobs)
        queue.withdraw(jobs)
        return count

    before = accepted_now()
    for second in range(20):
        queue.answered(second, second - SLO, second)
    assert 0 < accepted_now() < before
    for second in range(5000):
        queue.answered(second, second - SLO / 2, second + SLO / 2)
    assert accepted_now() == before


def test_a_reserve_moves_neither_the_order_nor_what_was_accepted() -> None:
    first, second = (Job("m", None, None, 0.0, SLO, True, "", reserve) for reserve in (0.0, 0.3))
    assert first.due == second.due > second.safe


def test_a_reserve_does_not_make_a_deadline_one_that_is_never_met() -> None:
    queue = batching(controller(8, OFF, {"m": points({8: 5.0}, (1,))}, max_batch=1))
    queue.offer(0.0, [job()])
    batch, _ = queue.take(0.0)
    assert batch is not None
    queue.finished(0.005, batch, 0.005)
    refusal = queue.check(0.006, [Job("m", None, None, 0.006, 0.012, True, None, 0.3)])
    assert refusal is not None
    assert refusal.retry_seconds is not None


def test_the_first_requests_of_a_burst_are_refused_by_what_they_cost_before_any_batch_could_tell() -> None:
    def left_in_time(apart: float) -> int:
        steered = controller(8, OFF, {"m": points({8: 10.0}, (1,))}, max_batch=1)
        queue = batching(steered)
        steered.interference.request_seconds = 0.002
        now = 0.0
        for number in range(12):  # refused or answered elsewhere, they have come
            now = number * apart
            queue.offer(now, [job(now, seconds=0.001)])
        return accepted(queue, [job(now, seconds=0.2) for _ in range(20)], now)

    assert left_in_time(0.005) < left_in_time(0.5)


def test_what_was_done_beside_a_batch_makes_it_end_later_and_is_not_taken_for_a_slower_engine() -> None:
    def after(answers: int) -> tuple[float, float]:
        steered = controller(8, OFF, {"m": points({8: 10.0}, (1,))}, max_batch=1)
        queue = batching(steered)
        steered.interference.request_seconds = 0.002
        assert queue.offer(0.0, [job()]) is None
        batch, _ = queue.take(0.0)
        assert batch is not None
        for _ in range(answers):
            queue.answered(0.005, 0.0, SLO)
        refusal = queue.offer(0.005, [job(0.005, seconds=0.020)])
        assert refusal is not None
        assert refusal.retry_seconds is not None
        queue.finished(0.0103 + 0.0008 * answers, batch, 0.0103 + 0.0008 * answers)
        return refusal.retry_seconds, steered.latency("m").expected

    calm, busy = after(0), after(5)
    assert busy[0] > calm[0] + 0.004
    assert busy[1] == pytest.approx(calm[1], rel=0.02)


def test_every_request_and_answer_is_counted_once_as_work() -> None:
    steered = controller(objective=OFF)
    queue, work = batching(steered), steered.interference
    assert queue.check(0.0, [placeholder()]) is None
    assert queue.expect(0.0, [placeholder()]) is None
    assert queue.offer(0.0, [job()], expected_since=-1.0) is None
    queue.answered(0.0, 0.0, SLO)
    before = work.work
    queue.refused(0.0, [placeholder()])
    assert before == pytest.approx(1.4)
    assert work.work - before == pytest.approx(0.7)


def placeholder() -> Job[None]:
    return Job("m", None, None, 0.0, SLO, True, None)


def test_what_was_just_accepted_is_not_looked_at_again_and_what_was_a_while_ago_is() -> None:
    queue = batching(controller(8, OFF, {"m": points({8: 10.0}, (1,))}, max_batch=1))
    assert accepted(queue, [job() for _ in range(3)]) == 2
    assert queue.offer(0.02, [job()], expected_since=0.0) is not None
    assert queue.offer(0.001, [job()], expected_since=0.0) is None


def test_a_job_is_alone_where_nothing_else_waits_runs_or_is_being_decoded() -> None:
    queue = batching(controller(8, OFF, {"m": points({8: 10.0}, (1,))}, max_batch=1))
    first = job()
    queue.offer(0.0, [first])
    assert queue.alone_seconds(first) == pytest.approx(1.2 * 0.010)
    others: list[Job[None]] = [Job("m", None, None, 0.0, SLO, True, None)]
    queue.expect(0.0, others)
    assert queue.alone_seconds(first) == math.inf
    queue.came(others)
    queue.offer(0.0, [job()])
    assert queue.alone_seconds(first) == math.inf
    queue.take(0.0)
    assert queue.alone_seconds(first) == math.inf  # another runs


def test_without_a_calibration_nobody_knows_how_long_a_lone_job_takes() -> None:
    queue = batching(controller(8, OFF, {"m": []}))
    only = job(firm=False)
    queue.offer(0.0, [only])
    assert queue.alone_seconds(only) == math.inf


def test_the_way_to_the_engines_thread_is_no_time_of_the_engine() -> None:
    ratios = []
    for handed_over in (True, False):
        steered = controller(8, OFF, {"m": points({8: 10.0}, (1,))}, max_batch=1)
        queue = batching(steered)
        for number in range(200):
            now = number * 0.05
            queue.offer(now, [job(now)])
            batch, _ = queue.take(now)
            assert batch is not None
            seconds = 0.010 + CALL_SECONDS * handed_over
            queue.finished(now + seconds, batch, seconds, handed_over=handed_over)
        ratios.append(steered.latency("m").expected)
    assert ratios == pytest.approx([1.0, 1.0], abs=0.02)
