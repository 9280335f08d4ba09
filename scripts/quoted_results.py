"""What pages quote of the committed results: a summary for the README, and what each level costs and brings."""

from collections.abc import Mapping, Sequence
from typing import Any

from result_tables import read, table

from haste.bench.contenders import HASTE
from haste.bench.rows import fastest_peer, quotable
from haste.config import HasteConfig

RACE, EVALUATION, CALIBRATION = "race-x86_64.json", "test-no-merge.json", "calibration-{}-threads-x86_64.json"
LEVELS = ("dense", "exact", HasteConfig().num_hyperplanes)

Rows = Sequence[Mapping[str, Any]]


def summary() -> str:
    """The race at one image a call: the fastest peer, dense, exact and the default L; and what is true of batches."""
    race, evaluation = read(RACE), read(EVALUATION)
    top1 = evaluation[0]["dense_top1"]
    rows = [
        row
        for threads in _values(race, "threads")
        for row in _summary_rows([r for r in race if (r["threads"], r["batch"]) == (threads, 1)], top1)
    ]
    head = ("runtime", "threads", "L", "top-1", "FLOPs saved", "ms an image", "against the fastest other")
    where = f"`resnet18_cifar10`, {evaluation[0]['images']:,} test images, one at a time, on {race[0]['machine']}"
    return f"{table(head, rows)}\n\n{where} ([`{RACE}`](docs/results.md)). {_batches(race)}"


def _summary_rows(rows: Rows, dense_top1: float) -> list[tuple[str, ...]]:
    peer = fastest_peer(rows)
    assert peer is not None, "a race without rivals"
    ours = {row["L"]: row for row in rows if row["runtime"] == HASTE}
    return [
        (
            f"{row['runtime']} {row['version']}" if row is peer else HASTE,
            str(row["threads"]),
            str(row["L"]),
            f"{dense_top1 - row['top1_loss']:.2%}",
            f"{row['flop_reduction']:.1%}",
            f"{row['median_ms']:.2f}",
            f"{peer['median_ms'] / row['median_ms']:.2f}x",
        )
        for row in (peer, *(ours[level] for level in LEVELS))
    ]


def _batches(race: Rows) -> str:
    """How the best level that may be quoted stands in the largest batches, on each number of threads."""
    most = max(_values(race, "batch"))
    texts = []
    for threads in _values(race, "threads"):
        rows = [row for row in race if (row["threads"], row["batch"]) == (threads, most)]
        peer = fastest_peer(rows)
        assert peer is not None, "a race without rivals"
        best = min((r for r in rows if r["runtime"] == HASTE and quotable(r)), key=lambda r: float(r["median_ms"]))
        ratio = f"{peer['median_ms'] / best['median_ms']:.2f}x"
        texts.append(f"{ratio} of {peer['runtime']} on {_count(threads, 'thread')} (L = {best['L']})")
    return f"In batches of {most} the best level is at {' and '.join(texts)}."


def tuning() -> str:
    """Every level that was both evaluated without merges and timed: quality, FLOPs and milliseconds."""
    points = {n: {p["L"]: p for p in read(CALIBRATION.format(n))["points"] if p["batch"] == 1} for n in (1, 2)}
    rows = [
        (
            str(row["L"]),
            f"{row['top1']:.2%}",
            f"{row['agreement']:.2%}",
            f"{row['kl']:.4f}",
            f"{row['flop_reduction']:.1%}",
            *(f"{points[n][row['L']]['median_ms']:.2f}" for n in points),
        )
        for row in sorted(read(EVALUATION), key=lambda row: float(row["flop_reduction"]))
        if all(row["L"] in timed for timed in points.values())
    ]
    head = ("L", "top-1", "agreement", "KL", "FLOPs saved", *(f"ms, {_count(n, 'thread')}" for n in points))
    return table(head, rows)


def _values(rows: Rows, name: str) -> list[int]:
    return sorted({row[name] for row in rows})


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
