"""What the command line's rates and traces mean."""

from pathlib import Path

import numpy as np
import pytest

from app.arrivals import poisson
from app.load.schedule import parse_rates, traces


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("30", [30]),
        ("2.5", [2.5]),
        ("10:30:10", [10, 20, 30]),
        ("10:29:10", [10, 20]),
        ("0.1:0.3:0.1", [0.1, 0.2, 0.3]),
    ],
)
def test_a_rate_is_one_or_a_sweep_that_holds_its_ends(text: str, rates: list[float]) -> None:
    assert parse_rates(text) == pytest.approx(rates)


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "inf", "10:20", "20:10:5", "10:20:0", "1:2:3:4"])
def test_anything_else_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=f"--rate.*{text}"):
        parse_rates(text)


def test_a_sweep_has_at_most_a_thousand_rates() -> None:
    with pytest.raises(ValueError, match="1001 rates"):
        parse_rates("1:1001:1")


def test_every_rate_of_a_sweep_has_a_trace_of_its_own() -> None:
    found = traces("poisson", "10:20:10", 5, 3)
    assert [trace.rate for trace in found] == [10, 20]
    assert all(np.array_equal(trace.times, poisson(trace.rate or 0, 5, 3)) for trace in found)


def test_a_file_is_one_trace_as_long_as_it_is_or_as_asked(tmp_path: Path) -> None:
    (file := tmp_path / "trace.csv").write_text("0\n1\n2\n")
    assert [trace.times.tolist() for trace in traces(str(file), None, None, 0)] == [[0, 1, 2]]
    assert [trace.times.tolist() for trace in traces(str(file), None, 1.5, 0)] == [[0, 1]]


def test_a_file_takes_no_rate_and_must_begin_before_the_end(tmp_path: Path) -> None:
    (file := tmp_path / "trace.csv").write_text("5\n")
    with pytest.raises(ValueError, match="--rate 30"):
        traces(str(file), "30", None, 0)
    with pytest.raises(ValueError, match="its first time is 5 s"):
        traces(str(file), None, 1.0, 0)


def test_what_is_neither_a_kind_nor_a_file_is_told_with_the_kinds() -> None:
    with pytest.raises(ValueError, match=r"poisson, .* or a FILE.csv, not 'uniform'"):
        traces("uniform", None, None, 0)
