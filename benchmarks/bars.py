"""What the rows of the overload benchmark say against its bars; pure functions of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.contract import Level, Point
from haste.bench.rows import MAX_LOSS, Quality

OVERLOADS = {
    "poisson 1.5x": (1.5, "capacity"),
    "poisson 3x": (3.0, "capacity"),
    "poisson 1.5x saturation": (1.5, "saturation"),
}
"""By name, how many times what is offered."""
WANDERING, BURSTS = "wander 0.5x-2x", "bursts 4x for 2 s"
CONTROLLER, DENSE = "controller", "dense"
_SHARE_OF_SPEED_UP, _MOST_OF_SPEED_UP = 0.9, 1.5

Rows = Sequence[Mapping[str, Any]]


def speed_up(points: Sequence[Point], qualities: Mapping[Level, Quality]) -> float:
    """s: the time of dense over that of the fastest point of the frontier, both at batch 1.

    qualities: what the levels lose by `haste eval`. A level that loses more than MAX_LOSS, or of which that is not
    known, does not count; `exact` loses nothing.
    """
    alone = [point for point in points if point.batch == 1]
    dense = next(point.median_ms for point in alone if point.level == DENSE)
    cheap = {"exact", *(level for level, quality in qualities.items() if quality.top1_loss <= MAX_LOSS)}
    return dense / min((point.median_ms for point in alone if point.frontier and point.level in cheap), default=dense)


def bars(points: Sequence[Point], rows: Rows, qualities: Mapping[Level, Quality]) -> dict[str, Any]:
    """Ratios of effective accuracy to dense with admission under overload; None where nothing was right in time.

    needed_ratio: 0.9 * min(1.5, s), for loads of 1.5x. most_ratio: what the ratio would be where everything is in time
    and as often right as dense. best_fixed: the level of most effective accuracy on the wandering load;
    controller_above_best_fixed_percent: below 0 where the controller is worse. least_kept: in time, of what was sent
    and not refused with 429. recovered: by policy, share in time of what comes between one second after a burst and
    the next.
    """
    s = speed_up(points, qualities)
    fixed = [row for row in rows if row["load"] == WANDERING and row["policy"] != CONTROLLER]
    best = max(fixed, key=_effective)
    least = min((row for row in rows if row["kept"] is not None), key=lambda row: float(row["kept"]))
    return {
        "s_fastest_of_frontier_over_dense_at_batch_1": s,
        "losses_known": {str(level): quality.top1_loss for level, quality in qualities.items()},
        "needed_ratio": _SHARE_OF_SPEED_UP * min(_MOST_OF_SPEED_UP, s),
        "ratio_to_dense": {load: _ratio(rows, load) for load in OVERLOADS},
        "most_ratio": {load: _most_ratio(rows, load) for load in OVERLOADS},
        "best_fixed": {"policy": best["policy"], "effective_accuracy": _effective(best)},
        "controller_above_best_fixed_percent": _percent(
            _effective(_row(rows, WANDERING, CONTROLLER)), _effective(best)
        ),
        "least_kept": {name: least[name] for name in ("load", "policy", "rate", "kept")},
        "recovered": {row["policy"]: row["recovered"] for row in rows if row["load"] == BURSTS},
    }


def _row(rows: Rows, load: str, policy: str) -> Mapping[str, Any]:
    return next(row for row in rows if (row["load"], row["policy"]) == (load, policy))


def _effective(row: Mapping[str, Any]) -> float:
    return float(row["effective_accuracy"] or 0.0)


def _ratio(rows: Rows, load: str) -> float | None:
    dense = _effective(_row(rows, load, DENSE))
    return _effective(_row(rows, load, CONTROLLER)) / dense if dense else None


def _most_ratio(rows: Rows, load: str) -> float | None:
    in_time = _row(rows, load, DENSE)["attainment"]
    return 1 / float(in_time) if in_time else None


def _percent(value: float, of: float) -> float | None:
    return 100 * (value / of - 1) if of else None
