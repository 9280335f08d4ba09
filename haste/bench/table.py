"""The kernel table on screen and as rows."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from haste.bench.layers import LayerRow

_COLUMNS = ("layer", "shape", "L", "form", "ms", "list", "hash", "merge", "multiply", "kept", "of peak", "of memory")
_CAPTION = (
    "ms: medians of a batch; kept: multiply-adds executed; of peak: these against one thread's measured peak times the "
    "threads; of memory: weights, inputs and outputs moved once against the measured bandwidth of one thread"
)


def layer_rows(rows: Sequence[LayerRow], where: str) -> list[dict[str, Any]]:
    """Rows for JSON, with the machine."""
    return [asdict(row) | {"machine": where} for row in rows]


def printed(rows: Sequence[LayerRow], title: str) -> Table:
    """The table on screen."""
    table = Table(*_COLUMNS, title=title, caption=_CAPTION, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        parts = (row.total_ms, row.listing_ms, row.hashing_ms, row.merging_ms, row.multiplying_ms)
        shares = (row.kept, row.peak_share, row.bandwidth_share)
        table.add_row(
            row.layer, row.shape, str(row.L), row.form, *(f"{v:.3f}" for v in parts), *(f"{v:.0%}" for v in shares)
        )
    return table
