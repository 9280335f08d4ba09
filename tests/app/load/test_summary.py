"""Figures of a load, from outcomes written down by hand."""

import numpy as np
import pytest

from app.arrivals import Times
from app.load.outcomes import Fate, Outcomes, Reading
from app.load.summary import summarise


def outcomes_of(*rows: tuple[float, int, float], known: bool = True) -> Outcomes:
    """Rows of (scheduled in seconds, code, latency in ms); every answer says cat, at L = 8, 10, 8, ..., all right."""
    times: Times = np.array([scheduled for scheduled, _, _ in rows])
    found = Outcomes(times)
    found.reached = len(rows)
    found.sent[:] = times + 0.001
    found.labelled[:] = known
    for index, (scheduled, code, latency_ms) in enumerate(rows):
        found.code[index] = code
        if code > 0:
            found.finished[index] = scheduled + latency_ms / 1e3
        if code == 200:
            found.answered(index, Reading("cat", 8 if index % 2 == 0 else 10), "cat" if known else None)
    return found


def test_attainment_is_over_the_offered() -> None:
    found = summarise(outcomes_of((0, 200, 50), (1, 200, 150), (2, 429, 1), (3, Fate.TIME_OUT, 0)), 100)
    assert (found.offered, found.answered, found.within) == (4, 2, 1)
    assert found.attainment == 0.25


def test_an_answer_at_the_deadline_is_in_time() -> None:
    assert summarise(outcomes_of((0, 200, 100)), 100.0001).within == 1


def test_latencies_are_of_the_answered_alone() -> None:
    rows = [(i / 100, 200, float(i + 1)) for i in range(100)]
    found = summarise(outcomes_of(*rows, (2, 429, 5000)), 100)
    assert found.p50_ms == pytest.approx(50.5)
    assert found.p99_ms == pytest.approx(99.01)
    assert found.max_ms == pytest.approx(100)


def test_every_end_has_its_name_and_they_sum_to_the_offered() -> None:
    fates = (Fate.TIME_OUT, Fate.CONNECTION, Fate.NOT_SENT, Fate.UNREADABLE, Fate.UNANSWERED)
    found = summarise(outcomes_of(*((i, code, 1) for i, code in enumerate((200, 429, 429, 503, *fates)))), 100)
    assert found.codes == {
        "503": 1,
        "429": 2,
        "200": 1,
        "unanswered at the end": 1,
        "not sent": 1,
        "client time-out": 1,
        "connection failed": 1,
        "unreadable answer": 1,
    }
    assert sum(found.codes.values()) == found.offered


def test_effective_accuracy_takes_right_answers_in_time_over_all_offered() -> None:
    found = summarise(outcomes_of((0, 200, 50), (1, 200, 150), (2, 429, 1), (3, 200, 50)), 100)
    assert found.accuracy == 1
    assert found.effective_accuracy == 0.5


def test_without_known_classes_there_is_no_accuracy() -> None:
    found = summarise(outcomes_of((0, 200, 50), known=False), 100)
    assert (found.accuracy, found.effective_accuracy) == (None, None)


def test_mean_level_is_over_the_answers_at_a_number() -> None:
    outcomes = outcomes_of((0, 200, 50), (1, 200, 50), (2, 200, 50), (3, 429, 1))
    outcomes.answered(2, Reading("cat", "dense", degraded=True), "cat")
    found = summarise(outcomes, 100)
    assert found.mean_level == 9
    assert found.levels == {"dense": 1, "8": 1, "10": 1}
    assert found.degraded == pytest.approx(1 / 3)


def test_what_lies_ahead_is_not_offered() -> None:
    outcomes = outcomes_of((0, 200, 50), (1, 200, 50), (2, 200, 50))
    outcomes.reached = 2
    assert summarise(outcomes, 100).offered == 2


def test_nothing_offered_gives_no_figures_rather_than_wrong_ones() -> None:
    found = summarise(outcomes_of(), 100)
    assert (found.offered, found.attainment, found.p50_ms, found.lateness_p99_ms, found.cpu_share) == (0, *[None] * 4)
    assert (found.series, found.warnings) == ((), [])


def test_every_second_of_the_schedule_has_its_entry_the_empty_ones_too() -> None:
    rows = ((0.1, 200, 50), (0.9, 200, 2000), (2.0, 429, 1), (2.5, 200, 60))
    zero, one, two = summarise(outcomes_of(*rows), 100).series
    assert (zero.offered, zero.answered, zero.within, zero.mean_level) == (2, 2, 1, 9)
    assert (one.offered, one.p95_ms, one.mean_level, one.degraded) == (0, None, None, None)
    assert (two.second, two.offered, two.answered, two.p95_ms, two.mean_level) == (2, 2, 1, 60, 10)


def test_lateness_is_told_and_warned_of_where_it_counts() -> None:
    punctual = summarise(outcomes_of((0, 200, 50)), 100)
    assert punctual.lateness_max_ms == pytest.approx(1)
    assert punctual.warnings == []
    late = outcomes_of((0, 200, 50))
    late.sent[0] = 0.02
    assert "left over 20.0 ms late, against a deadline of 100 ms" in summarise(late, 100).warnings[0]


def test_arrivals_that_were_not_sent_are_warned_of() -> None:
    (warning,) = summarise(outcomes_of((0, 200, 50), (1, Fate.NOT_SENT, 0)), 100).warnings
    assert warning.startswith("1 arrivals were not sent")


def test_a_service_that_went_away_is_warned_of() -> None:
    (warning,) = summarise(outcomes_of((0, 200, 50), (1, Fate.CONNECTION, 0)), 100).warnings
    assert warning.startswith("1 requests found no service")


def test_cpu_is_a_share_of_one_core() -> None:
    outcomes = outcomes_of((0, 200, 50))
    outcomes.cpu_seconds, outcomes.wall_seconds = 0.5, 2
    assert summarise(outcomes, 100).cpu_share == 0.25
