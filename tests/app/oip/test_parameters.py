"""The parameters of an infer request, as they are taken and as they are documented."""

from pathlib import Path

import pytest

from app.errors import InvalidParameter
from app.oip.parameters import choice_of
from tests.app.harness import FakeEngine, info

PAGE = Path(__file__).parents[3] / "docs" / "protocol-v2.md"


def test_every_parameter_that_is_taken_is_in_the_table() -> None:
    with pytest.raises(InvalidParameter, match="known: ") as raised:
        choice_of({"L": 8}, info("small"), FakeEngine())
    taken = str(raised.value).split("known: ")[1].split(", ")
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert {"haste_l", "deadline_ms", "min_L"} <= set(taken)
    assert all(any(f"`{name}`" in row.split("|")[1] for row in rows) for name in taken)
