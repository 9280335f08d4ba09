"""Figures: the paper's, from rows of `haste eval --json`, and what a calibration found; needs the extra `figures`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from haste.calibration import Calibration

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


def draw_calibration(found: Calibration, path: Path) -> None:
    """Latency against L, one line a batch size, and the form chosen for every layer at every level. Writes a PNG."""
    batch = min(found.forms)
    levels = list(found.forms[batch])
    layers = [name for name in found.times[batch][levels[-1]] if len(found.times[batch][levels[-1]][name]) > 1]
    figure = Figure(figsize=(11, 1.6 + 0.22 * max(8, len(layers))), layout="constrained")
    speed, chosen = figure.subplots(1, 2)
    for size in found.forms:
        points = {str(point.level): point for point in found.points if point.batch == size}
        heights = [points[level].median_ms / size for level in levels]
        low = [(points[level].median_ms - points[level].p10_ms) / size for level in levels]
        high = [(points[level].p90_ms - points[level].median_ms) / size for level in levels]
        speed.errorbar(levels, heights, yerr=(low, high), marker="o", capsize=2, label=f"batch {size}")
    speed.set(xlabel="level L", ylabel="ms an image (median, p10-p90)", ylim=(0, None))
    speed.grid(alpha=0.3)
    speed.legend()
    chosen.set(xlabel="level L", title=f"fastest form of each layer, batch {batch}")
    if layers:
        _forms(chosen, [[found.forms[batch][level][layer] for level in levels] for layer in layers], levels, layers)
    figure.suptitle(f"{found.identity.cpu}, {found.identity.threads} threads")
    figure.savefig(path, dpi=130)


def _forms(chosen: Axes, rows: list[list[str]], levels: list[str], layers: list[str]) -> None:
    forms = ("dense", "zeros", "merge")
    colours = ("0.75", "tab:blue", "tab:orange")
    cells = [[forms.index(form) for form in row] for row in rows]
    chosen.imshow(cells, aspect="auto", cmap=ListedColormap(colours), vmin=0, vmax=2)
    chosen.set_xticks(range(len(levels)), levels)
    chosen.set_yticks(range(len(layers)), layers, fontsize=7)
    marks = [Patch(color=colour, label=form) for colour, form in zip(colours, forms, strict=True)]
    chosen.legend(handles=marks, loc="upper left", bbox_to_anchor=(1, 1))
