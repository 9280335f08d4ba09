"""What a level costs and saves: top-1, agreement with the dense network, KL to it, and the FLOPs that were not run."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from haste.config import Level, check_level
from haste.flops import FlopReport
from haste.steering import num_hyperplanes, recording


@dataclass(frozen=True)
class Evaluation:
    """One level over all images; every value but `kl` is a fraction.

    top1, dense_top1: share classified right at this level and by the dense network.
    agreement: share given the dense network's class. kl: mean KL(dense || level) of the probabilities, in nats.
    flop_reduction = 1 - executed / dense; skipped, merged, overhead: shares of the dense FLOPs (ALGORITHM section 2).
    """

    level: Level
    images: int
    dense_top1: float
    top1: float
    agreement: float
    kl: float
    flop_reduction: float
    skipped: float
    merged: float
    overhead: float


@dataclass
class _Sums:
    """Running sums of one level: counts of images, nats, FLOPs."""

    right: int = 0
    agreeing: int = 0
    kl: float = 0.0
    dense: int = 0
    executed: int = 0
    skipped: int = 0
    merged: int = 0
    overhead: int = 0

    def add(self, logits: Tensor, dense: Tensor, labels: Tensor, report: FlopReport) -> None:
        self.right += int((logits.argmax(1) == labels).sum())
        self.agreeing += int((logits.argmax(1) == dense.argmax(1)).sum())
        self.kl += float(kl_divergence(dense, logits).sum())
        for part in ("dense", "executed", "skipped", "merged", "overhead"):
            setattr(self, part, getattr(self, part) + getattr(report.total, part))

    def result(self, level: Level, images: int, dense_right: int) -> Evaluation:
        return Evaluation(
            level=level,
            images=images,
            dense_top1=dense_right / images,
            top1=self.right / images,
            agreement=self.agreeing / images,
            kl=self.kl / images,
            flop_reduction=1 - self.executed / self.dense,
            skipped=self.skipped / self.dense,
            merged=self.merged / self.dense,
            overhead=self.overhead / self.dense,
        )


def kl_divergence(dense: Tensor, logits: Tensor) -> Tensor:
    """KL(softmax(dense) || softmax(logits)) of each row in nats: (N, classes) twice -> (N,) float64, at least 0."""
    p, q = dense.double().log_softmax(1), logits.double().log_softmax(1)
    return (p.exp() * (p - q)).sum(1).clamp_min(0)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    levels: Sequence[Level],
    progress: Callable[[int], None] | None = None,
) -> list[Evaluation]:
    """Run a converted model over the batches at every level; one `Evaluation` a level, in their order.

    batches: images (B, 3, S, S) float32, normalised, and labels (B,) int64, seen once each.
    progress: called with the number of images that one more level has seen.
    The model is run in the mode it is in. ValueError without levels or images, or for a model that is not converted.
    """
    if not levels:
        raise ValueError("no levels to evaluate")
    sums = [(check_level(level), _Sums()) for level in levels]
    images = dense_right = 0
    for x, labels in batches:
        dense, dense_report = _run(model, x, "dense")
        images += len(labels)
        dense_right += int((dense.argmax(1) == labels).sum())
        for level, total in sums:
            logits, report = (dense, dense_report) if level == "dense" else _run(model, x, level)
            total.add(logits, dense, labels, report)
            if progress is not None:
                progress(len(labels))
    if not images:
        raise ValueError("no images to evaluate")
    return [total.result(level, images, dense_right) for level, total in sums]


def _run(model: nn.Module, x: Tensor, level: Level) -> tuple[Tensor, FlopReport]:
    with num_hyperplanes(level), recording() as record:
        logits: Tensor = model(x)
    return logits, FlopReport.from_record(record)
