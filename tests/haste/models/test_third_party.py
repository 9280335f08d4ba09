"""A checkpoint and a definition that are not ours keep their published accuracy, dense and converted."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import haste
from haste.evaluate import evaluate
from haste.models import load_checkpoint
from tests.haste.models.resnet20 import ResNet20

PUBLISHED_TOP1 = 0.9173
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def test_a_third_partys_resnet20_keeps_its_published_accuracy_dense_and_exact(shared_data: Path) -> None:
    with np.load(shared_data / "cifar10-lossless-500.npz") as file:
        images, labels = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"])
    x = ((images.float() / 255 - MEAN) / STD).permute(0, 3, 1, 2)
    model = ResNet20()
    load_checkpoint(model, shared_data / "resnet20-cifar10.pt")
    report = haste.convert_(model.eval())
    assert report.left.keys() == {"conv1"}
    (exact,) = evaluate(model, [(x, labels)], ["exact"])
    error = math.sqrt(PUBLISHED_TOP1 * (1 - PUBLISHED_TOP1) / len(labels))
    assert exact.dense_top1 == pytest.approx(PUBLISHED_TOP1, abs=2 * error)
    assert exact.top1 == exact.dense_top1
    assert exact.agreement == 1
    assert exact.kl < 1e-9
    assert exact.flop_reduction == pytest.approx(exact.skipped)
    assert exact.skipped > 0
    assert exact.merged == exact.overhead == 0
