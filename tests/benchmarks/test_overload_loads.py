"""What the overload benchmark refuses, what it counts as kept, and how it treats itself."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.load.images import Payload
from app.load.outcomes import Outcomes
from app.load.summary import summarise
from benchmarks import overload_loads
from benchmarks.overload_loads import kept, labelled, raise_priority

SUMMARY = summarise(Outcomes(np.array([0.0, 1.0])), 50)


def test_images_without_a_label_are_refused() -> None:
    known, unknown = Payload(b"", "image/png", "cat"), Payload(b"", "image/png", None)
    assert labelled([known]) == [known]
    with pytest.raises(ValueError, match="1 of 2 images have no label"):
        labelled([known, unknown])


def test_a_process_goes_first_with_its_group_and_one_that_may_not_goes_on_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert not raise_priority()
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    monkeypatch.setattr(overload_loads, "_GROUP", group := tmp_path / "autogroup")
    assert raise_priority()
    assert group.read_text() == "-10"
    monkeypatch.setattr(overload_loads, "_GROUP", tmp_path / "no such folder" / "autogroup")
    assert raise_priority()


@pytest.mark.parametrize(
    ("codes", "share"), [({"200": 90, "429": 10}, 1.0), ({"200": 90, "timed out": 10}, 0.9), ({"429": 100}, None)]
)
def test_an_accepted_request_without_an_answer_is_not_kept(codes: dict[str, int], share: float | None) -> None:
    within = codes.get("200", 0)
    assert kept(replace(SUMMARY, offered=100, answered=within, within=within, codes=codes)) == share
