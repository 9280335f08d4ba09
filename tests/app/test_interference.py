"""What requests take of the engine's cores: counted as they come, its price learned from batches, bounded."""

import numpy as np
import pytest

from app.interference import Beside, Interference

PRICE, BATCH = 0.002, 0.007


def taught(price: float, batches: int = 3000, ratio: float = 1.2) -> Interference:
    """After batches beside which 0 to 5 requests came, each of which took so long, and each batch scattered."""
    interference, random = Interference(), np.random.default_rng(0)
    for _ in range(batches):
        work = float(random.integers(6))
        alone = ratio * BATCH
        seconds = alone * float(np.exp(0.15 * random.standard_normal())) + price * work
        interference.observe(seconds, alone, BATCH, work)
    return interference


@pytest.mark.parametrize("price", [0.0, 0.0005, 0.002, 0.003])
def test_the_price_of_a_request_is_learned_from_what_batches_took(price: float) -> None:
    assert taught(price).request_seconds == pytest.approx(price, abs=0.0003)


def test_batches_beside_which_nothing_came_teach_nothing_of_it() -> None:
    interference = Interference()
    before = interference.request_seconds
    interference.observe(5 * BATCH, BATCH, BATCH, 0.0)
    assert interference.request_seconds == before


def test_a_machine_that_stands_still_again_and_again_makes_no_request_much_dearer() -> None:
    interference = taught(PRICE)
    before = interference.request_seconds
    for _ in range(20):  # while it stands still, more come than beside other batches
        interference.observe(0.1, BATCH, BATCH, 4.0)
    assert interference.request_seconds < 1.5 * before


def test_the_price_stays_within_its_bounds_whatever_is_measured() -> None:
    interference = Interference()
    for _ in range(1000):
        interference.observe(1.0, BATCH, BATCH, 1.0)
    assert interference.request_seconds == 0.004
    for _ in range(1000):
        interference.observe(1e-6, BATCH, BATCH, 1.0)
    assert interference.request_seconds == 0.0
    interference.observe(0.001, 0.0, 0.0, 1.0)  # a calibration that says it takes no time
    assert 0.0 <= interference.request_seconds <= 0.004


def test_where_nothing_comes_nothing_is_stretched() -> None:
    interference = Interference()
    assert interference.beside(1.0).soon == interference.mean_stretch(1.0) == 1.0
    interference.did(1.0, 1.0)
    assert interference.beside(60.0).soon == pytest.approx(1.0)


def test_steady_requests_leave_the_engine_the_rest_of_the_time() -> None:
    interference = taught(PRICE)
    for number in range(2000):
        interference.did(number / 100, 1.0)
    share = interference.request_seconds * 100
    assert interference.mean_stretch(20.0) == pytest.approx(1 / (1 - share), rel=0.02)
    assert interference.beside(20.0).soon == pytest.approx(1 / (1 - share), rel=0.05)


def test_a_burst_shows_within_its_first_requests_and_the_mean_follows_later() -> None:
    interference = taught(PRICE)
    for number in range(400):
        interference.did(number / 40, 1.0)
    calm = interference.beside(10.0).soon
    for number in range(8):
        interference.did(10.0 + number / 160, 1.0)
    assert interference.beside(10.05).soon > 1.1 * calm
    assert interference.mean_stretch(10.05) < 1.05 * calm


def test_it_never_stretches_without_end() -> None:
    interference = taught(0.004)
    for _ in range(10_000):
        interference.did(0.0, 1.0)
    assert interference.beside(0.0).soon == pytest.approx(1 / 0.3)


def test_what_a_batch_would_have_taken_alone_is_less_but_never_nothing() -> None:
    interference = taught(PRICE)
    assert interference.without(0.010, 0.0) == 0.010
    assert interference.without(0.010, 1.0) == pytest.approx(0.010 - interference.request_seconds)
    assert interference.without(0.010, 100.0) == pytest.approx(0.003)


def test_a_burst_is_expected_to_last_a_tenth_of_a_second_and_then_the_mean() -> None:
    beside = Beside(2.0, 1.25, 0.001)
    assert beside.after(0.04) == pytest.approx(0.08)
    assert beside.after(0.05) == pytest.approx(0.1)
    assert beside.after(1.05) == pytest.approx(0.1 + 1.25)
    assert (beside.stretch(0.04), beside.stretch(0.06)) == (2.0, 1.25)
