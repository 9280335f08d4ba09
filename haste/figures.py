"""Figures of whole networks, from rows of `haste eval` and `haste bench` and from a calibration; extra `figures`."""

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
    """Top-1 and the share of FLOPs saved against L, a line for each of `lines`; `exact` and dense level. Writes a PNG.

    rows: as `haste eval --json` writes them, fractions in 0..1. ValueError where no row has an integer L.
    """
    rows = list(rows)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    accuracy, saved = figure.subplots(1, 2)
    for name, own in lines(rows).items():
        for axes, value in ((accuracy, "top1"), (saved, "flop_reduction")):
            axes.plot([row["L"] for row in own], [100 * row[value] for row in own], marker="o", label=name)
    accuracy.axhline(100 * rows[0]["dense_top1"], color="0.4", linestyle="--", label="dense")
    saved.axhline(100 * _exact(rows), color="0.4", linestyle=":", label="exact (zeros only)")
    for axes, label in ((accuracy, "top-1, %"), (saved, "FLOPs saved, %")):
        axes.set(xlabel="hyperplanes L", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(f"{rows[0]['model']}, {rows[0]['images']:,} test images")
    figure.savefig(path, dpi=120)


def draw_accuracy_against_flops(rows: Iterable[Row], path: Path) -> None:
    """Top-1 over the share of FLOPs saved, a line for each of `lines`, whole and from `exact` on. Writes a PNG.

    rows: as above; ValueError where no row has an integer L.
    """
    rows = list(rows)
    dense, exact, found = 100 * rows[0]["dense_top1"], 100 * _exact(rows), lines(rows)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    whole, near = figure.subplots(1, 2)
    for axes in (whole, near):
        for name, own in found.items():
            axes.plot(*_points(own), marker="o", markersize=4, label=name)
        axes.plot(exact, dense, "k*", markersize=11, label="exact: no loss")
        axes.axhline(dense, color="0.4", linestyle="--", label="dense")
        axes.set(xlabel="FLOPs saved, % of the whole network", ylabel="top-1, %")
        axes.grid(alpha=0.3)
    _name_levels(whole, found.get("preset paper", ()))
    closest = [row for own in found.values() for row in own if 100 * row["flop_reduction"] > exact]
    if closest:
        saved, top1 = _points(closest)
        near.set(xlim=(exact - 2, max(saved) + 2), ylim=(min(top1) - 1, dense + 1))
        _name_levels(near, closest)
    whole.legend(loc="lower left", fontsize=8)
    figure.suptitle(f"{rows[0]['model']}, {rows[0]['images']:,} test images; L at the points")
    figure.savefig(path, dpi=120)


def lines(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of an integer L by how the network ran, in order of L. ValueError where there are none."""
    found: dict[str, list[Row]] = {}
    for row in sorted((row for row in rows if isinstance(row["L"], int)), key=lambda row: int(row["L"])):
        name = f"preset {row['preset']}" + (", no merging" if row["merge"] == "none" else "")
        found.setdefault(name, []).append(row)
    if not found:
        raise ValueError("no row has an integer L: nothing to draw")
    return found


def _exact(rows: Iterable[Row]) -> float:
    """What skipping zeros alone saves; 0 where nothing that skips was measured."""
    return max((float(row["flop_reduction"]) for row in rows if row["L"] == "exact"), default=0.0)


def _points(rows: Iterable[Row]) -> tuple[list[float], list[float]]:
    """FLOPs saved and top-1, in percent."""
    rows = list(rows)
    return [100 * row["flop_reduction"] for row in rows], [100 * row["top1"] for row in rows]


def _name_levels(axes: Axes, rows: Iterable[Row]) -> None:
    """L beside each point: above the line where it merges, below it where not."""
    for row in rows:
        at = (100 * row["flop_reduction"], 100 * row["top1"])
        shift = (-4, -11) if row["merge"] == "none" else (-2, 6)
        axes.annotate(str(row["L"]), at, shift, textcoords="offset points", fontsize=7, color="0.3")


_PARTS = (
    ("multiplying_ms", "multiply", "tab:blue"),
    ("listing_ms", "find zeros", "tab:green"),
    ("merging_ms", "merge", "tab:orange"),
    ("hashing_ms", "hash", "tab:red"),
)


def draw_where_time_goes(rows: Iterable[Row], path: Path) -> None:
    """Milliseconds of each stage of a ResNet in four ways, by what they are spent on. Writes a PNG.

    rows: as `haste bench --layers` writes them, with one integer L. A layer that was not measured in a way stands there
    as in the way before it.
    """
    rows = [row for row in rows if row["layer"].startswith("layer")]
    (level,) = {row["L"] for row in rows if isinstance(row["L"], int)}
    ways = (("dense", "dense"), ("exact", "zeros"), (level, "zeros"), (level, "merge"))
    names = ("dense", "exact", f"L={level}", f"L={level}\nmerging")
    stages = sorted({row["layer"].split(".")[0] for row in rows})
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    taken: dict[str, Row] = {}
    for place, way in enumerate(ways):
        taken |= {row["layer"]: row for row in rows if (row["L"], row["form"]) == way}
        at = [6 * stage + 1.2 * place for stage in range(len(stages))]
        bottom = [0.0] * len(stages)
        for part, label, colour in _PARTS:
            heights = [sum(row[part] for name, row in taken.items() if name.startswith(f"{s}.")) for s in stages]
            axes.bar(at, heights, bottom=bottom, width=1.0, color=colour, label=None if place else label)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    ticks = [(6 * stage + 1.2 * place, name) for stage in range(len(stages)) for place, name in enumerate(names)]
    axes.set_xticks(*zip(*ticks, strict=True), fontsize=6.5)
    for stage, name in enumerate(stages):
        axes.text(6 * stage + 1.8, -0.2, name, ha="center", transform=axes.get_xaxis_transform())
    axes.set(ylabel="ms an image, one thread")
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)


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
