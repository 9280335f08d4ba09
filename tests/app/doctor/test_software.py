"""Versions and the clock, in each state."""

import pytest

from app.doctor.software import check_clock, check_versions


@pytest.mark.parametrize(
    ("torch", "state"), [("2.13.0+cpu", "ok"), ("2.13.0", "ok"), ("2.13.0+cu130", "note"), ("2.13.0+rocm7.2", "note")]
)
def test_a_torch_for_graphics_cards_is_noted(torch: str, state: str) -> None:
    check = check_versions({"version": "0.1.0", "torch": torch, "python": "3.11.2"})
    assert (check.state, check.found) == (state, f"haste 0.1.0, torch {torch}, Python 3.11.2")


@pytest.mark.parametrize(
    ("now", "source", "state"),
    [(2e9, "tsc", "ok"), (2e9, None, "ok"), (2e9, "hpet", "note"), (0.0, "tsc", "problem")],
)
def test_a_clock_before_the_installation_is_a_problem_and_a_slow_one_is_noted(
    now: float, source: str | None, state: str
) -> None:
    assert check_clock(now, 1.7e9, source).state == state
