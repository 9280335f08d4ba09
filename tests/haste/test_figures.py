"""Figures are drawn from result rows and from nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from haste.figures import draw_accuracy_against_flops, draw_accuracy_and_flops, draw_where_time_goes, lines
from haste.patch_figures import draw_buckets, draw_compression


def row(preset: str, level: int | str, top1: float, reduction: float, merge: str = "mean") -> dict[str, Any]:
    common = {"model": "m", "images": 20, "dense_top1": 0.9, "merge": merge}
    return common | {"preset": preset, "L": level, "top1": top1, "flop_reduction": reduction}


ROWS = [
    row("default", "exact", 0.9, 0.2),
    row("default", 14, 0.9, 0.3),
    row("default", 8, 0.8, 0.5),
    row("default", 8, 0.85, 0.4, "none"),
    row("paper", 8, 0.7, 0.4),
]


def timed(layer: str, level: int | str, form: str, merging: float = 0.0) -> dict[str, Any]:
    times = {"multiplying_ms": 1.0, "listing_ms": 0.1, "hashing_ms": 0.1, "merging_ms": merging}
    return {"layer": layer, "L": level, "form": form} | times


def check_picture(path: Path) -> None:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height


@pytest.mark.parametrize("draw", [draw_accuracy_and_flops, draw_accuracy_against_flops])
def test_accuracy_and_flops_become_a_picture(draw: Any, tmp_path: Path) -> None:
    draw(ROWS, tmp_path / "picture.png")
    check_picture(tmp_path / "picture.png")


@pytest.mark.parametrize("draw", [draw_accuracy_and_flops, draw_accuracy_against_flops])
def test_no_integer_level_is_refused(draw: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="integer L"):
        draw(ROWS[:1], tmp_path / "picture.png")


def test_runs_of_one_preset_with_merging_and_without_are_two_lines_in_order_of_L() -> None:
    found = {name: [one["L"] for one in own] for name, own in lines(ROWS).items()}
    assert found == {"preset default": [8, 14], "preset default, no merging": [8], "preset paper": [8]}


def test_the_time_of_layers_becomes_a_picture_also_where_a_layer_never_merges(tmp_path: Path) -> None:
    forms = (("dense", "dense"), ("exact", "zeros"), (12, "zeros"))
    rows = [timed(layer, *form) for layer in ("layer1.0.conv1", "layer2.0.conv1") for form in forms]
    draw_where_time_goes(
        [*rows, timed("layer2.0.conv1", 12, "merge", 0.5), timed("fc", "dense", "dense")], tmp_path / "p.png"
    )
    check_picture(tmp_path / "p.png")


def test_a_patch_and_the_map_of_its_layer_become_pictures(tmp_path: Path) -> None:
    channels = np.random.default_rng(0).random((20, 5, 5), np.float32)
    draw_buckets(channels, np.array([0, 0, 2, *range(3, 20)]), "title", tmp_path / "buckets.png")
    ratios = np.array([[0.1, 0.5], [0.2, 0.0]], np.float32)
    draw_compression(np.zeros((6, 6, 3), np.float32), ratios, (0, 1), 3, "title", tmp_path / "map.png")
    for name in ("buckets.png", "map.png"):
        check_picture(tmp_path / name)
