"""Figures are drawn from result rows and from nothing else."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from haste.figures import draw_accuracy_and_flops


def row(preset: str, level: int | str, top1: float, reduction: float) -> dict[str, Any]:
    common = {"model": "m", "images": 20, "dense_top1": 0.9}
    return common | {"preset": preset, "L": level, "top1": top1, "flop_reduction": reduction}


def test_accuracy_and_flops_become_a_picture(tmp_path: Path) -> None:
    rows = [row("default", "exact", 0.9, 0.2), row("default", 8, 0.8, 0.5), row("paper", 8, 0.7, 0.4)]
    draw_accuracy_and_flops([*rows, row("default", 14, 0.9, 0.3)], tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height


def test_no_integer_level_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="integer L"):
        draw_accuracy_and_flops([row("default", "exact", 0.9, 0.2)], tmp_path / "picture.png")
