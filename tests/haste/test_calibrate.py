"""Laws of the calibration: what it chooses, what it means for the network, and when it no longer holds."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from haste import kernel
from haste.calibrate import calibrate, identity_of, smooth
from haste.calibration import Calibration, Identity, Point, on_frontier
from haste.config import HasteConfig, LayerConfig, Level
from haste.conv import HasteConv2d
from haste.convert import convert_, reconfigure_
from haste.flops import FlopReport
from haste.layer import Form
from haste.models import create_model
from haste.program import CompiledModel
from haste.program import compile as compiled_of
from haste.steering import num_hyperplanes, recording
from tests.tolerances import SAME_NETWORK_ANOTHER_BATCH

pytestmark = pytest.mark.skipif(kernel.implementations() == [kernel.REFERENCE], reason="built without a kernel")
IMAGES = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(1))
PAPER: dict[str, Any] = dict(merge="mean", skip_pixels=None, threshold=0.0, merge_channels=1, tolerance=None)
LEVELS: tuple[Level, ...] = ("dense", "exact", 12, 6)


def network(**settings: Any) -> CompiledModel:
    torch.manual_seed(0)
    model = create_model("resnet18_cifar10").eval()
    convert_(model, HasteConfig(**settings))
    compiled = compiled_of(model, threads=1)
    assert isinstance(compiled, CompiledModel)
    return compiled


@pytest.fixture(scope="module")
def found() -> Calibration:
    return calibrate(network(), IMAGES, levels=LEVELS, batches=(1, 2), seconds=0)


def test_every_layer_has_its_fastest_form_at_every_level_and_batch(found: Calibration) -> None:
    assert set(found.forms) == {1, 2}
    for batch, by_level in found.times.items():
        assert tuple(by_level) == tuple(map(str, LEVELS))
        for level, layers in by_level.items():
            for layer, milliseconds in layers.items():
                chosen = found.forms[batch][level][layer]
                assert milliseconds[chosen] == min(milliseconds.values())
    assert set(found.times[1]["12"]["layer4.1.conv2"]) == {"dense", "zeros", "merge"}
    assert set(found.times[1]["12"]["layer1.0.conv1"]) == {"dense", "zeros"}  # too few channels to merge
    assert set(found.times[1]["exact"]["layer4.1.conv2"]) == {"dense", "zeros"}
    assert set(found.times[1]["12"]["conv1"]) == {"dense"}


def test_every_level_and_batch_is_measured_and_predicted(found: Calibration) -> None:
    assert {(p.level, p.batch) for p in found.points} == {(level, batch) for level in LEVELS for batch in (1, 2)}
    for point in found.points:
        assert 0 < point.p10_ms <= point.median_ms <= point.p90_ms
        assert point.predicted_ms > 0
    dense = next(p for p in found.points if p.level == "dense")
    assert (dense.reduction, dense.agreement, dense.kl) == (0, 1, 0)


@pytest.mark.parametrize("form", ["dense", "zeros", "merge"])
@pytest.mark.parametrize("level", ["exact", 8])
def test_a_layers_form_is_the_layer_of_that_mode(form: Form, level: Level) -> None:
    layer = "layer3.1.conv1"
    names = [m.layer for m in network().modules() if isinstance(m, HasteConv2d)]
    others = {name: LayerConfig(mode="exact") for name in names if name != layer}  # so that no rounding flips a bucket
    model = network(layers=others)
    model.forms = lambda name, *_: form if name == layer else "merge"
    modes: dict[str, Any] = {"dense": "dense", "zeros": "zeros", "merge": None}
    own = network(layers=others | {layer: LayerConfig(mode=modes[form])})
    with torch.no_grad(), num_hyperplanes(level):
        with recording() as taken:
            y = model(IMAGES)
        with recording() as expected:
            z = own.network(IMAGES)
    assert (y - z).abs().max() <= SAME_NETWORK_ANOTHER_BATCH * z.abs().max()
    if not (form == "zeros" and level == "exact"):
        assert taken.layers[layer].convolution.tolist() == expected.layers[layer].convolution.tolist()
    assert FlopReport.from_record(taken).total.dense == FlopReport.from_record(expected).total.dense


def test_the_nearest_level_and_batch_that_were_measured_speak_for_the_others(found: Calibration) -> None:
    forms: dict[int, dict[str, dict[str, Form]]] = {
        1: {"exact": {"a": "dense"}, "12": {"a": "zeros"}, "6": {"a": "merge"}},
        4: {"12": {"a": "dense"}},
    }
    own = replace(found, forms=forms)
    assert [own.form("a", level, 1) for level in (1, 8, 10, 32, "exact", "dense")] == [
        "merge", "merge", "zeros", "zeros", "dense", "merge",
    ]  # fmt: skip
    assert [own.form("a", 12, images) for images in (1, 3, 4, 9)] == ["zeros", "zeros", "dense", "dense"]
    assert own.form("another", 12, 1) == "merge"


def test_it_is_saved_and_loaded_whole(found: Calibration, tmp_path: Path) -> None:
    found.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == found
    odd = replace(found, points=tuple(replace(point, reduction=0.1 + n / 1000) for n, point in enumerate(found.points)))
    odd.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == odd
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


Broken = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: data.pop("forms"),
        lambda data: data.update(format=2),
        lambda data: data["forms"]["1"]["12"].update(conv1="fastest"),
        lambda data: data["forms"]["1"].update({"99": {}}),
        lambda data: data.update(forms={}),
        lambda data: data["identity"].update(colour="red"),
        lambda data: data.update(points=[{"L": 1}]),
        lambda data: data["points"][0].update(median_ms="fast"),
        lambda data: data["points"][0].update(kl=float("nan")),
        lambda data: data["calls"].pop("2"),
        lambda data: data["forms"].update({"0": {}}),
        lambda data: data["times"]["1"]["12"]["conv1"].update(dense=float("nan")),
        lambda data: data["times"]["1"]["12"].pop("conv1"),
    ],
    ids=[
        "no forms",
        "another format",
        "no form",
        "no level",
        "empty",
        "another identity",
        "no point",
        "a word",
        "nan",
        "no call",
        "batch 0",
        "nan ms",
        "a layer",
    ],
)
def test_what_is_no_calibration_is_refused_with_the_files_name(
    found: Calibration, tmp_path: Path, broken: Broken
) -> None:
    path = tmp_path / "c.json"
    found.save(path)
    data = json.loads(path.read_text())
    broken(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"c\.json"):
        Calibration.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ValueError, match=r"c\.json"):
        Calibration.load(tmp_path / "c.json")
    with pytest.raises(ValueError, match=r"absent\.json"):
        Calibration.load(tmp_path / "absent.json")


def test_it_is_stale_for_other_weights_settings_threads_or_machines(found: Calibration) -> None:
    model = network()
    assert found.stale(identity_of(model)) is None
    reconfigure_(model.network, HasteConfig(num_hyperplanes=5))
    assert found.stale(identity_of(model)) is None  # the default level is no part of it
    reconfigure_(model.network, HasteConfig(tolerance=0.5))
    assert "configuration" in str(found.stale(identity_of(model)))
    other = network()
    with torch.no_grad():
        other.network.get_parameter("conv1.weight")[0, 0, 0, 0] += 1
    assert "weights" in str(found.stale(identity_of(other)))
    for name in ("cpu", "threads", "kernel"):
        other_machine: dict[str, Any] = {name: 7 if name == "threads" else "another"}
        changed = replace(found.identity, **other_machine)
        assert name in str(found.stale(changed))


def test_a_layers_offset_does_not_change_where_its_form_is_found() -> None:
    layer = "layer3.1.conv1"
    model = network(layers={layer: LayerConfig(offset=-4)})
    asked: list[Level] = []

    def forms(name: str, level: Level, images: int) -> Form:
        if name == layer:
            asked.append(level)
        return "zeros"

    model.forms = forms
    with torch.no_grad(), num_hyperplanes([12, "exact", "dense"]):
        model(IMAGES)
    assert asked == [12, "exact", "dense"]


def test_where_L_steers_nothing_but_merging_no_merge_is_left_out() -> None:
    found = calibrate(network(**PAPER), IMAGES, levels=(8,), batches=(1,), seconds=0)
    converted = {layer: form for layer, form in found.forms[1]["8"].items() if layer.startswith("layer")}
    assert set(converted.values()) == {"merge"}


def test_the_frontier_holds_what_nothing_beats() -> None:
    def point(level: Level, ms: float, kl: float, batch: int = 1) -> Point:
        return Point(level, batch, ms, ms, ms, ms, 0, 1, kl)

    points = [point("dense", 9, 0), point("exact", 5, 0), point(12, 4, 0.1), point(8, 4.5, 0.2), point(6, 3, 0.3)]
    marked = {p.level: p.frontier for p in on_frontier([*points, point(9, 9, 0.5, batch=2)])}
    assert marked == {"dense": False, "exact": True, 12: True, 8: False, 6: True, 9: True}


def test_what_cannot_be_measured_is_refused(found: Calibration) -> None:
    with pytest.raises(ValueError, match="native program"):
        calibrate(nn.Identity(), IMAGES)
    with pytest.raises(ValueError, match="batches"):
        calibrate(network(), IMAGES, batches=(0,))
    with pytest.raises(ValueError, match="99"):
        calibrate(network(), IMAGES, levels=(99,))
    assert isinstance(found.identity, Identity)


def test_a_layer_that_skips_takes_no_longer_at_a_lower_level_and_noise_is_shared_out() -> None:
    def row(zeros: float, merge: float) -> dict[str, dict[Form, float]]:
        return {"conv1": {"dense": 5.0, "zeros": zeros, "merge": merge}, "fc": {"dense": 1.0}}

    times = {"dense": row(9.0, 9.0), "20": row(4.0, 2.0), "8": row(5.0, 3.0), "12": row(4.5, 1.0)}
    smooth(times)
    assert [times[level]["conv1"]["zeros"] for level in ("8", "12", "20", "dense")] == [4.5, 4.5, 4.5, 9.0]
    assert [times[level]["conv1"]["merge"] for level in ("8", "12", "20")] == [3.0, 1.0, 2.0]
