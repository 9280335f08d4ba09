"""The figures of an evaluation are what one would compute image by image."""

import pytest
import torch
from torch import Tensor, nn

import haste
from haste.evaluate import evaluate, kl_divergence


@pytest.fixture
def model(merging_network: nn.Module) -> nn.Module:
    return merging_network


@pytest.fixture
def images() -> Tensor:
    return torch.randn(5, 3, 9, 9, generator=torch.Generator().manual_seed(4))


def logits_at(model: nn.Module, x: Tensor, level: haste.Level) -> Tensor:
    with torch.inference_mode(), haste.num_hyperplanes(level):
        result: Tensor = model(x)
    return result


def test_batches_make_no_difference_and_every_figure_is_the_mean_over_images(model: nn.Module, images: Tensor) -> None:
    labels = torch.tensor([0, 1, 2, 3, 0])
    whole = evaluate(model, [(images, labels)], [2])[0]
    parts = evaluate(model, [(images[:2], labels[:2]), (images[2:], labels[2:])], [2])[0]
    dense, level = logits_at(model, images, "dense"), logits_at(model, images, 2)
    expected = torch.nn.functional.kl_div(
        level.double().log_softmax(1), dense.double().log_softmax(1), log_target=True, reduction="batchmean"
    )
    for found in (whole, parts):
        assert found.images == 5
        assert found.top1 == float((level.argmax(1) == labels).double().mean())
        assert found.dense_top1 == float((dense.argmax(1) == labels).double().mean())
        assert found.agreement == float((level.argmax(1) == dense.argmax(1)).double().mean())
        assert found.kl == pytest.approx(float(expected), rel=1e-3)
        assert found.flop_reduction == pytest.approx(found.skipped + found.merged - found.overhead)
    assert whole.flop_reduction == pytest.approx(parts.flop_reduction)
    assert whole.merged > 0


def test_dense_costs_everything_and_changes_nothing(model: nn.Module, images: Tensor) -> None:
    (row,) = evaluate(model, [(images, torch.zeros(5, dtype=torch.int64))], ["dense"])
    assert (row.agreement, row.kl, row.top1) == (1, 0, row.dense_top1)
    assert row.flop_reduction == row.skipped == row.merged == row.overhead == 0


def test_rows_come_in_the_order_of_the_levels_and_progress_adds_up(model: nn.Module, images: Tensor) -> None:
    seen: list[int] = []
    levels: list[haste.Level] = [8, "exact", 3]
    batches = ((images[i : i + 2], torch.zeros(2, dtype=torch.int64)) for i in (0, 2))
    rows = evaluate(model, batches, levels, seen.append)
    assert [row.level for row in rows] == levels
    assert sum(seen) == 4 * len(levels)


def test_kl_is_zero_for_equal_logits_and_finite_for_impossible_ones() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [1e4, 0.0, 0.0]])
    assert kl_divergence(logits, logits + 7).tolist() == [0, 0]
    assert kl_divergence(logits[1:], -logits[1:]).tolist() == [pytest.approx(10_000, rel=1e-2)]


def test_what_cannot_be_evaluated_is_refused(model: nn.Module, images: Tensor) -> None:
    batch = (images, torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ValueError, match="no levels"):
        evaluate(model, [batch], [])
    with pytest.raises(ValueError, match="no images"):
        evaluate(model, [], [3])
    with pytest.raises(ValueError, match="not 99"):
        evaluate(model, [batch], [99])
    haste.revert_(model)
    with pytest.raises(ValueError, match="nothing was recorded"):
        evaluate(model, [batch], ["exact"])
