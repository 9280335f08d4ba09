"""Image files -> classes with probabilities and the FLOPs of each image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from haste.config import Level
from haste.flops import FlopReport, Flops
from haste.images import open_image, preprocess
from haste.models import WeightsRecord
from haste.steering import num_hyperplanes, recording

_BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """One class of an image; `probability` is the softmax over all classes."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Classification:
    """One image: its file, the level it ran at, the likeliest classes first, what it executed."""

    path: Path
    level: Level
    predictions: tuple[Prediction, ...]
    flops: Flops


def classify(
    model: nn.Module, record: WeightsRecord, paths: Sequence[Path], level: Level, top_k: int
) -> Iterator[Classification]:
    """Classify image files with a converted model, in order, a batch at a time.

    ValueError for a file that is no image, and for a `top_k` outside 1..number of classes.
    """
    if not 1 <= top_k <= len(record.classes):
        raise ValueError(f"top-k must be 1..{len(record.classes)}, not {top_k}")
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        yield from _classify_batch(model, record, batch, level, top_k)


@torch.inference_mode()
def _classify_batch(
    model: nn.Module, record: WeightsRecord, paths: Sequence[Path], level: Level, top_k: int
) -> list[Classification]:
    images = torch.stack([preprocess(open_image(path), record) for path in paths])
    with num_hyperplanes(level), recording() as recorded:
        best = model(images).double().softmax(1).topk(top_k, dim=1)
    report = FlopReport.from_record(recorded)
    return [
        Classification(
            path,
            level,
            tuple(Prediction(record.classes[i], i, p) for i, p in zip(indices, values, strict=True)),
            flops,
        )
        for path, indices, values, flops in zip(
            paths, best.indices.tolist(), best.values.tolist(), report.images, strict=True
        )
    ]
