"""Rates over a short and a long time."""

import pytest

from app.arrival_rate import ArrivalRate


def test_steady_arrivals_give_their_rate_and_silence_none() -> None:
    rate = ArrivalRate()
    for number in range(4000):
        rate.arrived(number / 100, 1)
    now = 40.0
    assert rate.fast(now) == pytest.approx(100, rel=0.02)
    assert rate.slow(now) == pytest.approx(100, rel=0.02)
    assert rate.fast(now + 5) == pytest.approx(0, abs=0.1)
    assert rate.slow(now + 50) == pytest.approx(0, abs=0.1)


def test_a_burst_shows_at_once_in_the_fast_rate_and_slowly_in_the_slow_one() -> None:
    rate = ArrivalRate()
    for number in range(50):
        rate.arrived(number / 100, 1)
    assert rate.fast(0.5) == pytest.approx(100 * (1 - 2.718**-1), rel=0.05)
    assert rate.slow(0.5) < 15
