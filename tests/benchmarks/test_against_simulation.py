"""What the comparison of the simulation with a box says."""

import pytest

from app.arrivals import poisson
from benchmarks.against_simulation import mean_difference, simulated_row
from tests.app.frontiers import points


def test_the_simulation_steers_where_the_controller_does_and_keeps_its_level_elsewhere() -> None:
    times = poisson(150, 5, 1)
    steered, fixed = (simulated_row(points(), 40, policy, times) for policy in ("controller", "dense"))
    assert len(steered["levels"]) > 1
    assert list(fixed["levels"]) == ["dense"]
    assert steered["attainment"] > fixed["attainment"]


def test_differences_do_not_cancel_in_their_magnitude() -> None:
    rows = [
        {"simulated": {"attainment": simulated}, "measured": {"attainment": measured}}
        for simulated, measured in ((0.9, 0.8), (0.6, 0.7))
    ]
    assert mean_difference(rows) == {
        "attainment": pytest.approx(0.0),
        "attainment_magnitude": pytest.approx(0.1),
    }
