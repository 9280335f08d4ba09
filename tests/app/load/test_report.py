"""The live line and the table."""

import sys

import numpy as np
import pytest
from rich.console import Console

from app.load.outcomes import Fate, Outcomes, Reading
from app.load.report import Row, live_line, live_text, print_rows
from app.load.summary import summarise

COLUMNS = ("rate", "offered", "200", "in-time", "p50", "p95", "p99", "right", "effective", "degraded", "L")


def two_of_four() -> Outcomes:
    outcomes = Outcomes(np.array([0, 0.5, 1.0, 9.0]))
    outcomes.reached = 3
    outcomes.code[:3] = (200, 429, Fate.UNANSWERED)
    outcomes.sent[:3], outcomes.finished[0] = outcomes.scheduled[:3], 0.04
    outcomes.answered(0, Reading("cat", 10), None)
    return outcomes


def test_the_live_line_tells_where_the_load_stands() -> None:
    assert live_text(two_of_four(), 1.2) == "1 s: 3 offered, 1 answered, 1 wait, 1 not, median 40 ms"
    assert live_text(two_of_four(), 5.0) == "5 s: 3 offered, 1 answered, 1 wait, 1 not"


def test_the_live_line_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with live_line("30/s") as watch:
        watch(two_of_four(), 1.2)
    assert capsys.readouterr() == ("", "")


def test_the_live_line_is_written_where_a_person_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with live_line("30/s") as watch:
        watch(two_of_four(), 1.2)
    out, err = capsys.readouterr()
    assert (out, "30/s  1 s: 3 offered" in err) == ("", True)


def test_the_table_fits_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row(12345.0, summarise(two_of_four(), 100))
    print_rows([row, Row(None, row.summary)], "title", Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if "offered" in line)
    assert header.replace("in time", "in-time").split() == list(COLUMNS)
    assert any(line.split()[:5] == ["12345/s", "3", "1", "33.3%", "40.0"] for line in lines)
    assert any(line.startswith("trace: 1 429, 1 200, 1 unanswered at the end; L: 1 at 10") for line in lines)
