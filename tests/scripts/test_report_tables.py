"""Laws of the tables of reports."""

import pytest
from report_tables import litserve


def report(tried: list[tuple[float, bool]]) -> dict[str, object]:
    held = [rate for rate, holds in tried if holds]
    return {
        "command": {"rate": "whatever was asked", "p99_ms": "100.0"},
        "peer": {"litserve": "1", "onnxruntime": "2"},
        "held": {"haste": [max(held, default=0.0)]},
        "right": {"haste": 0.9 if held else None},
        "rows": [{"rate": rate} for rate, _ in tried],
    }


@pytest.mark.parametrize(
    ("tried", "cell"),
    [
        ([(30.0, False)], "under 30"),
        ([(30.0, True)], "30 or more"),
        ([(60.0, True), (155.0, False)], "60"),
        ([(60.0, True), (140.0, True)], "140 or more"),
    ],
)
def test_a_climb_that_nothing_ended_is_told_as_a_lower_bound(tried: list[tuple[float, bool]], cell: str) -> None:
    assert f"| haste | {cell} | {'90.0%' if tried[0][1] else '-'} |" in litserve(report(tried))
