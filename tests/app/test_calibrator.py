"""Where the service's calibration comes from, and what is said of one that does not fit."""

import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import haste
from app.calibrator import Calibrator
from app.contract import Calibration, Point
from app.engine import TorchEngine
from haste import kernel
from haste.calibrate import calibrate, identity_of
from haste.models import WeightsRecord, load_pretrained
from haste.program import CompiledModel
from tests.app.harness import FakeEngine, serving

native = pytest.mark.skipif(kernel.implementations() == [kernel.REFERENCE], reason="built without a kernel")


@pytest.fixture(scope="module")
def loaded() -> tuple[CompiledModel, WeightsRecord]:
    model, record = load_pretrained()
    haste.convert_(model)
    compiled = haste.compile(model, threads=1)
    assert isinstance(compiled, CompiledModel)
    return compiled, record


@native
def test_a_file_that_fits_is_used_and_a_stale_one_refused_with_words(
    loaded: tuple[CompiledModel, WeightsRecord], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, record = loaded
    found = calibrate(model, torch.zeros(1, 3, 32, 32), levels=("exact", 12), batches=(1,), seconds=0)
    model.forms = None
    found.save(tmp_path / "own.json")
    described = Calibrator(tmp_path / "own.json").apply(model, record)
    assert described is not None
    assert (described.source, described.threads, described.made) == ("file", 1, found.made)
    assert all(point.median_ms > 0 for point in described.points)
    assert model.forms is not None
    model.forms = None
    replace(found, identity=replace(identity_of(model), threads=64)).save(tmp_path / "stale.json")
    with caplog.at_level(logging.WARNING):
        assert Calibrator(tmp_path / "stale.json").apply(model, record) is None
    assert "threads 64, now 1" in caplog.text
    assert "haste calibrate" in caplog.text
    assert model.forms is None


@native
def test_without_a_file_a_short_one_is_made(loaded: tuple[CompiledModel, WeightsRecord]) -> None:
    model, record = loaded
    described = Calibrator(seconds=0.1, most_images=2).apply(model, record)
    assert described is not None
    assert described.source == "start"
    assert {point.batch for point in described.points} == {1, 2}
    model.forms = None


@native
def test_other_settings_do_without_the_calibration_until_they_are_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    engine = TorchEngine((), "default", None, 1, Calibrator(seconds=0.1, most_images=1))
    name = engine.models[0].name
    engine.load(name, "projection", 0.05)
    engine.configure(name, "projection", 0.05)
    assert engine.calibration(name) is not None
    with caplog.at_level(logging.WARNING):
        engine.configure(name, "mean", 0.05)
    assert engine.calibration(name) is None
    assert "other settings" in caplog.text
    engine.configure(name, "projection", 0.05)
    assert engine.calibration(name) is not None


@native
def test_a_load_measures_the_rule_that_is_configured_and_keeps_what_it_measured() -> None:
    engine = TorchEngine((), "default", None, 1, Calibrator(seconds=0.1, most_images=1))
    name = engine.models[0].name
    engine.load(name, "mean", None)
    assert engine.calibration(name) is not None
    engine.configure(name, "mean", None)
    assert engine.calibration(name) is not None


@native
def test_a_file_holds_for_the_rule_that_it_was_made_with_whichever_the_model_was_loaded_with(tmp_path: Path) -> None:
    model, _ = load_pretrained()
    haste.convert_(model, haste.HasteConfig.preset("default", merge="mean"))
    compiled = haste.compile(model, threads=1)
    found = calibrate(compiled, torch.zeros(1, 3, 32, 32), levels=("exact", 12), batches=(1,), seconds=0)
    found.save(tmp_path / "mean.json")
    engine = TorchEngine((), "default", None, 1, Calibrator(tmp_path / "mean.json"))
    name, tolerance = engine.models[0].name, engine.method.tolerance
    engine.load(name, "projection", tolerance)
    assert (engine.calibration(name), set(engine.refused)) == (None, {name})
    engine.configure(name, "mean", tolerance)
    assert engine.calibration(name) is not None
    engine.load(name, "mean", tolerance)
    assert (engine.calibration(name) is not None, set(engine.refused)) == (True, set())


def test_a_file_that_is_no_calibration_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ValueError, match=r"c\.json"):
        Calibrator(tmp_path / "c.json")


def test_models_show_their_frontier() -> None:
    engine = FakeEngine("small", "other")
    point = Point("exact", 1, 7.5, 0.58, 1.0, 0.0)
    engine.calibrations["small"] = Calibration("start", "2026-11-24T12:00:00+00:00", 2, (point,))
    with serving(engine) as client:
        small, other = client.get("/models").json()["models"]
    assert small["calibration"]["source"] == "start"
    assert small["calibration"]["frontier"] == [
        {"level": "exact", "batch": 1, "median_ms": 7.5, "reduction": 0.58, "agreement": 1.0, "kl": 0.0}
    ]
    assert other["calibration"] is None


@native
@pytest.mark.parametrize("seconds", [0.001, 60.0])
def test_a_calibration_that_nobody_waits_for_is_given_up(
    loaded: tuple[CompiledModel, WeightsRecord], caplog: pytest.LogCaptureFixture, seconds: float
) -> None:
    model, record = loaded
    calibrator = Calibrator(seconds=seconds)
    calibrator.hurry()
    with caplog.at_level(logging.INFO):
        assert calibrator.apply(model, record) is None
    assert "is given up, since the service ends" in caplog.text


@native
def test_a_calibration_that_is_given_up_leaves_no_form_behind(loaded: tuple[CompiledModel, WeightsRecord]) -> None:
    model, record = loaded
    calibrator, model.forms = Calibrator(seconds=60.0), None
    timer = threading.Timer(0.3, calibrator.hurry)
    timer.start()
    assert calibrator.apply(model, record) is None
    timer.join()
    assert model.forms is None
