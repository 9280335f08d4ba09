"""What counts as a rate that is held, and how a peer's answers are read."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.load.outcomes import Outcomes, Reading
from app.load.summary import Summary, summarise
from benchmarks.against_litserve import accuracy, held, holding
from benchmarks.servers import peer_versions, read_label


def offered(in_time: int, late: int = 0, refused: int = 0) -> Summary:
    outcomes = Outcomes(np.zeros(in_time + late + refused))
    outcomes.reached = len(outcomes.scheduled)
    outcomes.code[:] = [200] * (in_time + late) + [429] * refused
    outcomes.finished[: in_time + late] = [0.1] * in_time + [0.2] * late
    return summarise(outcomes, 100)


def test_a_rate_is_held_while_99_of_100_offered_are_answered_within_the_bound() -> None:
    assert holding(offered(99, late=1))
    assert holding(offered(99, refused=1))
    assert not holding(offered(98, late=1, refused=1))
    assert not holding(offered(0))


def test_what_a_server_held_is_its_highest_rate_in_each_round() -> None:
    def row(server: str, number: int, rate: float, holds: bool) -> dict[str, Any]:
        return {"server": server, "round": number, "rate": rate, "holds": holds}

    rows = [row("a", 0, 10, True), row("a", 0, 20, False), row("b", 0, 10, False), row("a", 1, 10, True)]
    assert held([*rows, row("a", 1, 20, True)]) == {"a": [10, 20], "b": [0]}


def test_what_was_right_is_of_the_rates_that_were_held() -> None:
    rows = [
        {"server": "a", "holds": True, "accuracy": 0.9},
        {"server": "a", "holds": True, "accuracy": 0.8},
        {"server": "a", "holds": False, "accuracy": 0.1},
        {"server": "b", "holds": False, "accuracy": 0.9},
        {"server": "c", "holds": True, "accuracy": None},
    ]
    assert [accuracy(rows, server) for server in "abc"] == [pytest.approx(0.85), None, None]


def test_the_peer_answers_with_a_label() -> None:
    assert read_label(b'{"label": "cat"}') == Reading("cat")


def test_an_environment_without_the_peer_is_told(tmp_path: Path) -> None:
    (python := tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    with pytest.raises(ValueError, match="has no litserve and onnxruntime: pip install"):
        peer_versions(python)
