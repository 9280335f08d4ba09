"""The gate lets a tie pass and stops another network, another level, NaN and a wrong shape."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import haste
from haste.bench.gate import Gate


@pytest.fixture
def model(merging_network: nn.Module) -> nn.Module:
    return merging_network


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 9, 9, generator=torch.Generator().manual_seed(4))


def logits_at(model: nn.Module, x: Tensor, level: haste.Level) -> list[list[float]]:
    with torch.inference_mode(), haste.num_hyperplanes(level):
        rows: list[list[float]] = model(x).tolist()
    return rows


def test_each_level_is_judged_by_its_own_reference(model: nn.Module, images: Tensor) -> None:
    gate = Gate(model, images, ["exact", 2])
    dense, merged = logits_at(model, images, "dense"), logits_at(model, images, 2)
    assert not gate.judge("dense", dense).wrong
    assert not gate.judge("exact", dense).wrong
    assert gate.judge(2, merged).max_abs_error == pytest.approx(0, abs=1e-6)
    assert not gate.judge(2, merged).wrong
    assert gate.judge("exact", merged).wrong
    assert gate.judge(2, dense).wrong  # an engine that ignores L would be dense


def test_an_integer_level_may_tip_a_tie_and_dense_may_not(model: nn.Module, images: Tensor) -> None:
    gate = Gate(model, images, [2])
    dense, merged = np.array(logits_at(model, images, "dense")), np.array(logits_at(model, images, 2))
    move = merged - dense
    assert not gate.judge(2, (merged - 0.2 * move).tolist()).wrong
    assert gate.judge(2, (merged - 0.3 * move).tolist()).wrong
    assert gate.judge("dense", (dense + 0.2 * move).tolist()).wrong


@pytest.mark.parametrize("logits", [[[float("nan")] * 4] * 3, [[0.0] * 4], [[0.0] * 5] * 3])
def test_nan_and_other_shapes_are_wrong(model: nn.Module, images: Tensor, logits: list[list[float]]) -> None:
    verdict = Gate(model, images, []).judge("dense", logits)
    assert verdict.wrong
    assert verdict.max_abs_error == float("inf")
