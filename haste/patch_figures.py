"""Figures of one layer's patches: the channels of one by their buckets, and the compression ratio of each."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

Array = NDArray[np.float32]
_COLUMNS = 16


def draw_buckets(channels: Array, leader: NDArray[np.int64], title: str, path: Path) -> None:
    """The channels of a patch, those of one bucket side by side in a frame of one colour. Writes a PNG.

    channels: (C, h, w); leader: (C,), the first channel of the bucket that each is in. Each channel is drawn by its own
    range, since what a bucket shares is the direction.
    """
    counts = np.bincount(leader, minlength=len(leader))
    order = sorted(range(len(leader)), key=lambda c: (-counts[leader[c]], leader[c], c))
    shared = [bucket for bucket in dict.fromkeys(leader[order].tolist()) if counts[bucket] > 1]
    rows = -(-len(order) // _COLUMNS)
    figure = Figure(figsize=(9, 0.4 + 0.6 * rows), layout="constrained")
    for axes, channel in zip(figure.subplots(rows, _COLUMNS).flat, [*order, *[None] * _COLUMNS], strict=False):
        axes.set_axis_off()
        if channel is None:
            continue
        axes.imshow(channels[channel], cmap="gray")
        if (bucket := leader[channel]) in shared:
            colour = colormaps["tab20"](shared.index(bucket) % 20)
            frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, color=colour, linewidth=5)
            axes.add_patch(frame)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)


def draw_compression(
    picture: Array, ratios: Array, chosen: tuple[int, int], outputs: int, title: str, path: Path
) -> None:
    """A picture, and beside it the compression ratio of each patch, one of which is marked in both. Writes a PNG.

    picture: (H, W, 3) in 0..1; ratios: (rows, columns) in 0..1; chosen: row and column; outputs: pixels of the picture
    that the outputs of a patch lie over, a side.
    """
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(picture)
    left.set_axis_off()
    corner = chosen[1] * outputs - 0.5, chosen[0] * outputs - 0.5
    left.add_patch(Rectangle(corner, outputs, outputs, fill=False, color="w", linewidth=2))
    shown = right.imshow(100 * ratios, vmin=0)
    right.add_patch(Rectangle((chosen[1] - 0.5, chosen[0] - 0.5), 1, 1, fill=False, color="w", linewidth=2))
    right.set_axis_off()
    figure.colorbar(shown, label="channels removed, %")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)
