"""The paper's figures drawn from rows of `haste eval --json`; needs the extra `figures`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Row = Mapping[str, Any]


def draw_accuracy_and_flops(rows: Iterable[Row], path: Path) -> None:
    """Top-1 and the share of FLOPs saved against L, one line a preset; `exact` and dense as level lines. Writes a PNG.

    rows: as `haste eval --json` writes them, fractions in 0..1. ValueError where no row has an integer L.
    """
    rows = list(rows)
    presets = {row["preset"]: None for row in rows if isinstance(row["L"], int)}
    if not presets:
        raise ValueError("no row has an integer L: nothing to draw")
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    accuracy, saved = figure.subplots(1, 2)
    for preset in presets:
        _line(accuracy, rows, preset, "top1")
        _line(saved, rows, preset, "flop_reduction")
    accuracy.axhline(100 * rows[0]["dense_top1"], color="0.4", linestyle="--", label="dense")
    for row in rows:
        if row["L"] == "exact" and row["preset"] == "default":
            saved.axhline(100 * row["flop_reduction"], color="0.4", linestyle=":", label="exact (zeros only)")
    for axes, label in ((accuracy, "top-1, %"), (saved, "FLOPs saved, %")):
        axes.set(xlabel="hyperplanes L", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(f"{rows[0]['model']}, {rows[0]['images']:,} test images")
    figure.savefig(path, dpi=150)


def _line(axes: Axes, rows: list[Row], preset: str, value: str) -> None:
    points = sorted(
        (row["L"], 100 * row[value]) for row in rows if row["preset"] == preset and isinstance(row["L"], int)
    )
    axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=f"preset {preset}")
