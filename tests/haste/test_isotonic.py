"""Isotonic regression by pooling."""

import pytest

from haste.isotonic import rising


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([1.0, 2.0, 2.0], [1.0, 2.0, 2.0]),
        ([3.0, 2.0, 1.0], [2.0] * 3),
        ([1.0, 4.0, 2.0, 5.0], [1.0, 3.0, 3.0, 5.0]),
    ],
)
def test_what_falls_is_pooled_and_what_rises_stays(values: list[float], expected: list[float]) -> None:
    assert rising(values) == expected
