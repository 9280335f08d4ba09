"""Traces: the same seed, the same trace; the rates that were asked for; what a file may hold."""

from pathlib import Path

import numpy as np
import pytest

from app.arrivals import MOST_ARRIVALS, NAMES, Times, burst, by_name, constant, day, from_csv, poisson, wander


def share_between(times: Times, first: float, last: float) -> float:
    return float(((times >= first) & (times < last)).mean())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_arguments_give_the_same_trace(name: str) -> None:
    assert np.array_equal(by_name(name, 50, 20, 7), by_name(name, 50, 20, 7))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "constant"])
def test_another_seed_gives_another_trace(name: str) -> None:
    one, other = by_name(name, 50, 20, 7), by_name(name, 50, 20, 8)
    assert len(one) != len(other) or not np.array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_times_ascend_within_the_duration_and_cannot_be_changed(name: str) -> None:
    times = by_name(name, 50, 20, 7)
    assert times.dtype == np.float64
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] < 20
    with pytest.raises(ValueError, match="read-only"):
        times[0] = 0


@pytest.mark.parametrize(
    ("times", "mean"),
    [
        (constant(100, 400), 100),
        (poisson(100, 400, 1), 100),
        (burst(100, 400, 1), 100 * (0.8 + 4 * 0.2)),
        (day(100, 400, 1), 100 * (0.1 + 1.0) / 2),
    ],
)
def test_mean_rates_are_what_the_shape_says(times: Times, mean: float) -> None:
    assert len(times) / 400 == pytest.approx(mean, rel=0.03)


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert constant(4, 1).tolist() == [0, 0.25, 0.5, 0.75]


def test_poisson_gaps_are_as_long_as_they_scatter() -> None:
    gaps = np.diff(poisson(100, 400, 1))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)


def test_a_burst_has_its_factor_in_the_middle_of_its_period() -> None:
    times = burst(100, 400, 1, factor=3, length=1, every=5)
    phase = times % 5
    inside = (phase >= 2) & (phase < 3)
    assert inside.sum() / 80 == pytest.approx(300, rel=0.03)
    assert (~inside).sum() / 320 == pytest.approx(100, rel=0.03)


def test_a_day_is_busiest_at_noon_and_quiet_at_its_ends() -> None:
    times = day(100, 240, 1, low=0.2, high=0.8)
    rates = [len(times) * share_between(times, first, first + 12) / 12 for first in (0, 114, 228)]
    assert rates == pytest.approx([20, 80, 20], rel=0.25)


def test_a_wandering_rate_reaches_half_and_twice_and_no_more() -> None:
    counts = np.histogram(wander(2000, 120, 3), 240, (0, 120))[0] / 0.5
    assert counts.min() == pytest.approx(1000, rel=0.1)
    assert counts.max() == pytest.approx(4000, rel=0.1)
    assert np.abs(np.diff(counts)).max() < 1000  # smoothly


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_rate_and_duration_are_positive_and_finite(value: float) -> None:
    for name in NAMES:
        with pytest.raises(ValueError, match=f"rate must be .* not {value}"):
            by_name(name, value, 1, 0)
        with pytest.raises(ValueError, match=f"seconds must be .* not {value}"):
            by_name(name, 1, value, 0)


def test_more_than_ten_million_arrivals_are_refused_before_they_are_made() -> None:
    for name in NAMES:
        with pytest.raises(ValueError, match=f"rate 1e\\+06 for 100 s is over {MOST_ARRIVALS}"):
            by_name(name, 1e6, 100, 0)


@pytest.mark.parametrize("name", NAMES)
def test_more_than_a_week_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"1e\+06 s is over a week, 604800 s; lower --duration"):
        by_name(name, 0.001, 1e6, 0)


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"arrivals are poisson, .*, not 'uniform'"):
        by_name("uniform", 1, 1, 0)


@pytest.mark.parametrize("options", [{"factor": 0.5}, {"length": 0}, {"length": 10}])
def test_a_burst_that_cannot_be_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="bursts need"):
        burst(1, 1, 0, **options)


@pytest.mark.parametrize("bounds", [(-0.1, 1), (0.5, 0.4), (0, 0), (0, 1.5)])
def test_a_day_that_cannot_be_is_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a day needs"):
        day(1, 1, 0, low=bounds[0], high=bounds[1])


@pytest.mark.parametrize("text", ["0\n0.5\n2\n", "time,label\n0,a\n0.5,b\n\n2,c\n", "\ufeffseconds\r\n0\r\n0.5\r\n2"])
def test_a_file_of_times_is_read_with_or_without_a_header(tmp_path: Path, text: str) -> None:
    (file := tmp_path / "trace.csv").write_text(text, encoding="utf-8")
    assert from_csv(file).tolist() == [0, 0.5, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\nx\n", r"line 2: 'x' is not a time"),
        ("time\n-1\n", r"line 2: '-1' is not a time"),
        ("nan\n", r"line 1: 'nan' is not a time"),
        ("0\n3\n2\n", r"line 3: 2 comes after 3; times must ascend"),
        ("0\n1732867200\n", r"line 2: 1732867200 is over 604800 s, a week; .*: subtract the first"),
        ("time,label\n", r"no times in it"),
        ("", r"no times in it"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_by_line_and_value(tmp_path: Path, text: str, message: str) -> None:
    (file := tmp_path / "trace.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        from_csv(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.csv: No such file"):
        from_csv(tmp_path / "absent.csv")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (file := tmp_path / "trace.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a CSV of times"):
        from_csv(file)
