"""The rows of a race: its times beside what each level saves and costs, and which of them may be quoted."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from haste.bench.contenders import HASTE
from haste.bench.race import Result
from haste.config import HasteConfig, Level
from haste.evaluate import Evaluation
from haste.kernel import cpu

MAX_LOSS = 0.0125
"""Only a row that loses at most this share of the images by its L may be quoted as a speed-up."""


@dataclass(frozen=True)
class Quality:
    """Shares: of the dense FLOPs not executed, and of the images that dense classifies right and the level does not."""

    flop_reduction: float
    top1_loss: float


DENSE = Quality(0.0, 0.0)


def measured(evaluations: Sequence[Evaluation]) -> dict[Level, Quality]:
    """Of an evaluation that was just made."""
    return {e.level: Quality(e.flop_reduction, _loss(e.dense_top1, e.top1)) for e in evaluations}


def stored(path: Path, model: str, preset: str, config: HasteConfig) -> dict[Level, Quality]:
    """Of a file that `haste eval --json` wrote: its rows of this model, preset and present settings.

    ValueError, which names the file, where it is something else.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        ours = [row for row in rows if (row["model"], row["preset"]) == (model, preset) and _fits(row, config)]
        return {row["L"]: Quality(row["flop_reduction"], _loss(row["dense_top1"], row["top1"])) for row in ours}
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the rows of haste eval ({type(error).__name__}: {error})") from None


def _loss(dense_top1: float, top1: float) -> float:
    """Rounded, or 0.8365 - 0.824 would be more than 0.0125."""
    return round(dense_top1 - top1, 6)


def _fits(row: Mapping[str, Any], config: HasteConfig) -> bool:
    """Whether the row was measured with these settings, as far as it names them."""
    names = ("merge", "planes", "patch_outputs", "tolerance", "threshold")
    return all(row[name] == getattr(config, name) for name in names if name in row)


def machine() -> str:
    """The processor, how many of it this process may use, and the system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cpu()}, {cores} cores, {platform.system()} {platform.machine()}"


def row_of(result: Result, quality: Quality | None, where: str) -> dict[str, Any]:
    """One row of the JSON file; `wrong` stands only in a row that is, which has no times."""
    job, wrong = result.job, result.verdict.wrong
    p10, median, p90 = (None, None, None) if wrong else np.percentile(result.times_ms, (10, 50, 90)).round(4).tolist()
    error = result.verdict.max_abs_error
    row = {
        "runtime": f"{HASTE}-paper" if job.runtime == HASTE and job.preset == "paper" else job.runtime,
        "version": result.version,
        "threads": job.threads,
        "batch": job.batch,
        "L": job.level,
        "median_ms": median,
        "p10_ms": p10,
        "p90_ms": p90,
        "flop_reduction": quality.flop_reduction if quality else None,
        "top1_loss": quality.top1_loss if quality else None,
        "max_abs_error": error if error < float("inf") else None,
        "machine": where,
    }
    return row | {"wrong": True} if wrong else row


def quotable(row: Mapping[str, Any]) -> bool:
    """Whether the row may be quoted as a speed-up: right, timed, and known to lose little."""
    return row["median_ms"] is not None and row["top1_loss"] is not None and row["top1_loss"] <= MAX_LOSS


def fastest_peer(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The fastest right rival among rows of one race; None without rivals."""
    rivals = [row for row in rows if row["median_ms"] is not None and not row["runtime"].startswith(HASTE)]
    return min(rivals, key=lambda row: float(row["median_ms"]), default=None)
