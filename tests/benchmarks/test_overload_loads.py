"""What the overload benchmark refuses and what it counts as kept."""

from dataclasses import replace

import numpy as np
import pytest

from app.load.images import Payload
from app.load.outcomes import Outcomes
from app.load.summary import summarise
from benchmarks.overload_loads import kept, labelled

SUMMARY = summarise(Outcomes(np.array([0.0, 1.0])), 50)


def test_images_without_a_label_are_refused() -> None:
    known, unknown = Payload(b"", "image/png", "cat"), Payload(b"", "image/png", None)
    assert labelled([known]) == [known]
    with pytest.raises(ValueError, match="1 of 2 images have no label"):
        labelled([known, unknown])


@pytest.mark.parametrize(
    ("codes", "share"), [({"200": 90, "429": 10}, 1.0), ({"200": 90, "timed out": 10}, 0.9), ({"429": 100}, None)]
)
def test_an_accepted_request_without_an_answer_is_not_kept(codes: dict[str, int], share: float | None) -> None:
    within = codes.get("200", 0)
    assert kept(replace(SUMMARY, offered=100, answered=within, within=within, codes=codes)) == share
