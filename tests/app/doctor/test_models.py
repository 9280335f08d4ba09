"""Weights, calibration and controller of a model, in each state; and a real load that changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from app.contract import Calibration
from app.controller import SWITCHED_OFF, UNCALIBRATED, Standing
from app.doctor import models
from app.doctor.check import Check
from app.doctor.models import Loaded, check_models
from app.settings import Settings
from tests.app.frontiers import points
from tests.app.harness import info

MADE = Calibration("file", "2026-11-24T12:00:00+00:00", 2, tuple(points()))
FILE = Settings(calibration=Path("box.json"), threads=2)


def standing(off: str | None, warning: str | None = None) -> Standing:
    return Standing(12, 12, 8, off, warning, 0.0)


def checks(settings: Settings, **values: Any) -> list[Check]:
    model = Loaded(info("small"), **({"seconds": 0.5} | values))
    return list(check_models(settings, [model], compiled=True))


def test_weights_that_do_not_load_are_a_problem_and_nothing_else_is_said() -> None:
    (check,) = checks(Settings(), error="sha256 is 1, not 0")
    assert (check.state, check.found) == ("problem", "sha256 is 1, not 0")
    assert checks(Settings())[0].state == "ok"


@pytest.mark.parametrize(
    ("settings", "values", "state", "said"),
    [
        (FILE, {"calibration": MADE}, "ok", "box.json of 2026-11-24T12:00:00+00:00: L="),
        (FILE, {"refused": "made with threads 1, now 2"}, "problem", "made with threads 1, now 2"),
        (Settings(), {}, "note", "every start takes 5 s more"),
        (Settings(calibration_ms=0), {}, "note", "makes none"),
    ],
)
def test_a_calibration_that_fits_is_asked_for(
    settings: Settings, values: dict[str, Any], state: str, said: str
) -> None:
    check = checks(settings, **values)[1]
    assert check.state == state
    assert said in check.found
    assert ("haste calibrate --model small" in check.remedy) == (state != "ok")


@pytest.mark.parametrize(
    ("settings", "off", "state", "said"),
    [
        (FILE, None, "ok", "on: from L = 12 down to 8"),
        (FILE, SWITCHED_OFF, "ok", "off, as the settings"),
        (FILE, UNCALIBRATED, "note", "calibrate it"),
        (FILE, "no level from 12 down to L_min 8 is faster", "note", "HASTE_L=exact"),
        (Settings(), UNCALIBRATED, "ok", "at the start"),
        (Settings(calibration_ms=0), UNCALIBRATED, "note", "calibrate it"),
    ],
)
def test_a_controller_that_can_do_nothing_is_noted_with_the_way_out(
    settings: Settings, off: str | None, state: str, said: str
) -> None:
    check = checks(settings, standing=standing(off))[2]
    assert check.state == state
    assert said in check.found + check.remedy


def test_an_objective_that_no_level_can_hold_is_noted_with_the_way_out() -> None:
    check = checks(FILE, standing=standing(None, "one image takes 5.3 ms at L = 8, too long for 3 ms"))[2]
    assert (check.state, check.remedy) == ("note", "raise HASTE_SLO_MS")
    assert "too long for 3 ms" in check.found
    both = checks(FILE, standing=standing(SWITCHED_OFF, "too long"))[2]
    assert SWITCHED_OFF in both.found
    assert "HASTE_CONTROLLER" in both.remedy


def test_a_calibration_is_asked_for_with_the_rule_that_the_state_file_names(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"version": 2, "merge": "mean", "tolerance": null}')
    _, loaded = models.load(Settings(state_file=state, threads=1))
    remedies = [check.remedy for check in check_models(Settings(), loaded, compiled=True)]
    assert any("--preset default --merge mean --tolerance none --out" in remedy for remedy in remedies)


def test_without_a_native_implementation_there_is_nothing_to_calibrate() -> None:
    assert len(list(check_models(Settings(), [Loaded(info("small"), 0.5)], compiled=False))) == 1


@pytest.mark.parametrize(
    ("values", "named"),
    [({"models": ("nope",)}, "'nope'"), ({"L": 99}, "99"), ({"state_file": "{folder}/state"}, "state file")],
)
def test_what_stops_the_start_is_raised(tmp_path: Path, values: dict[str, Any], named: str) -> None:
    (tmp_path / "state").write_text("no JSON")
    values = {name: value.format(folder=tmp_path) if name == "state_file" else value for name, value in values.items()}
    with pytest.raises(ValueError, match=named):
        models.load(Settings(**values))
