"""What a batch takes: as calibrated, between and beyond the sizes measured, and as the machine turns out to be."""

import pytest

from app.latency import Latency
from tests.app.frontiers import points


def test_a_measured_size_takes_what_was_measured_and_others_lie_on_the_line() -> None:
    latency = Latency(points({"exact": 10.0}, batches=(1, 4, 8)))
    assert [latency.batch("exact", n) for n in (1, 4, 8)] == pytest.approx([0.01, 0.04, 0.08])
    assert latency.batch("exact", 2) == pytest.approx(0.02)
    assert latency.batch("exact", 16) == pytest.approx(0.16)


def test_a_level_that_was_not_measured_takes_what_the_next_one_above_does() -> None:
    latency = Latency(points({"dense": 10.0, "exact": 7.0, 12: 6.0, 8: 5.0}))
    assert latency.batch(10, 1) == latency.batch(12, 1)
    assert latency.batch(20, 1) == latency.batch("exact", 1)
    assert latency.batch(3, 1) == latency.batch(8, 1)
    assert Latency(points({8: 5.0})).batch("dense", 1) == pytest.approx(0.005)


def test_images_of_a_mixed_batch_have_their_shares() -> None:
    latency = Latency(points())
    assert latency.mixed(["dense", 8]) == pytest.approx((latency.batch("dense", 2) + latency.batch(8, 2)) / 2)
    assert latency.mixed([8] * 3) == latency.batch(8, 3)


def test_the_best_batch_is_the_one_that_takes_least_an_image() -> None:
    assert Latency(points(gain=0.5)).best_batch(8, 8, 0.0) == 8
    assert Latency(points(gain=-0.5)).best_batch(8, 8, 0.0) == 1
    assert Latency(points()).best_batch(8, 8, 0.001) == 8  # equal but for the call


def test_a_machine_that_is_slower_than_calibrated_is_found_out() -> None:
    latency = Latency(points())
    assert latency.expected == 1.0
    for _ in range(200):
        latency.observe([8], 1.5 * latency.batch(8, 1))
    assert latency.expected == pytest.approx(1.5, rel=0.01)
    assert latency.cautious == pytest.approx(1.5, rel=0.01)
    assert latency.nominal == 1.0


def test_scatter_makes_it_cautious() -> None:
    latency = Latency(points())
    for turn in range(200):
        latency.observe([8], (0.8, 1.2)[turn % 2] * latency.batch(8, 1))
    assert latency.expected == pytest.approx(1.0, rel=0.05)
    assert latency.cautious == pytest.approx(1.4, rel=0.05)


def test_without_a_calibration_the_first_batch_teaches_every_level() -> None:
    latency = Latency()
    assert not latency.calibrated
    latency.observe(["exact", 8], 0.02)
    assert latency.expected * latency.batch("dense", 1) == pytest.approx(0.01)
    assert latency.nominal == latency.expected


def test_one_pause_of_the_machine_is_soon_forgotten() -> None:
    latency = Latency(points())
    latency.observe([8], 1000 * latency.batch(8, 1))
    assert latency.expected < 1.25
    for _ in range(20):
        latency.observe([8], latency.batch(8, 1))
    assert latency.cautious < 1.3


def test_a_time_of_nothing_breaks_nothing() -> None:
    latency = Latency(points({8: 0.0}))
    latency.observe([8], 0.001)
    assert latency.expected > 0
