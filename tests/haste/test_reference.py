"""Laws of the specification: when the method must equal the plain convolution, and what it counts."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from haste import reference
from haste.config import HasteConfig, Level, Merge
from haste.counts import LayerCounts
from haste.reference import haste_conv2d
from tests.tolerances import SAME_LAYER_ANOTHER_PATH, SAME_SUMS_IN_ANOTHER_ORDER

PRESETS = {
    "paper": HasteConfig.preset("paper"),
    "default": HasteConfig.preset("default"),
    "merging": HasteConfig.preset("default", merge_channels=1),
}
UNVERIFIED = replace(PRESETS["merging"], tolerance=None, threshold=0)
shapes = st.tuples(
    st.integers(1, 3),  # images
    st.integers(1, 20),  # input channels
    st.integers(1, 5),  # output channels
    st.integers(1, 13),  # height
    st.integers(1, 13),  # width
    st.sampled_from([1, 3, 5, 7]),
    st.integers(1, 2),  # stride
    st.integers(0, 3),  # padding
    st.integers(1, 7),  # outputs of a patch
)
Shape = tuple[int, int, int, int, int, int, int, int, int]


def draw(shape: Shape, seed: int = 0) -> tuple[Tensor, Tensor, int, tuple[int, int], int]:
    n, c, c_out, h, w, k, stride, padding, outputs = shape
    generator = torch.Generator().manual_seed(seed)
    h, w = (max(side, k - 2 * padding) for side in (h, w))
    x = torch.randn(n, c, h, w, generator=generator).relu()
    return x, torch.randn(c_out, c, k, k, generator=generator), stride, (padding, padding), outputs


def run(
    x: Tensor, weight: Tensor, stride: int, padding: tuple[int, int], levels: list[Level], config: HasteConfig
) -> tuple[Tensor, LayerCounts]:
    return haste_conv2d(x, weight, None, stride=stride, padding=padding, levels=levels, config=config, layer="conv")


def assert_close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1e-6)


@given(shapes)
def test_exact_and_dense_give_plain_convolution(shape: Shape) -> None:
    x, weight, stride, padding, outputs = draw(shape)
    expected = F.conv2d(x, weight, None, stride, padding)
    config = replace(PRESETS["default"], patch_outputs=outputs)
    for level in ("dense", "exact"):
        y, _ = run(x, weight, stride, padding, [level] * len(x), config)
        assert_close(y, expected, SAME_SUMS_IN_ANOTHER_ORDER)


@given(shapes, st.sampled_from(["mean", "projection"]))
def test_distinct_codes_give_plain_convolution(shape: Shape, merge: Merge) -> None:
    x, weight, stride, padding, outputs = draw(shape)
    config = replace(UNVERIFIED, patch_outputs=outputs, merge=merge, drop_zero=False)

    def distinct(x: Tensor, planes: Tensor, *, centre: bool) -> Tensor:
        return torch.arange(x.shape[1]).expand(x.shape[:2])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "codes", distinct)
        y, counts = run(x, weight, stride, padding, [8] * len(x), config)
    assert_close(y, F.conv2d(x, weight, None, stride, padding), SAME_LAYER_ANOTHER_PATH)
    assert torch.equal(counts.buckets, counts.channels)
    assert counts.merged.sum() == 0


@pytest.mark.parametrize("merge", ["mean", "projection"])
@given(shape=shapes, level=st.integers(1, 32))
def test_duplicated_channels_merge_without_error(merge: Merge, shape: Shape, level: int) -> None:
    x, weight, stride, padding, outputs = draw(shape)
    x, weight = x[:, :1].repeat(1, 6, 1, 1), weight[:, :1].repeat(1, 6, 1, 1) * torch.arange(1, 7)[:, None, None]
    config = replace(UNVERIFIED, patch_outputs=outputs, merge=merge, drop_zero=False)
    y, counts = run(x, weight, stride, padding, [level] * len(x), config)
    assert_close(y, F.conv2d(x, weight, None, stride, padding), SAME_LAYER_ANOTHER_PATH)
    assert torch.equal(counts.buckets * 6, counts.channels)


@given(shapes, st.integers(1, 32))
def test_parallel_channels_are_exact_under_projection(shape: Shape, level: int) -> None:
    x, weight, stride, padding, outputs = draw(shape)
    lengths = torch.arange(1, 7)[:, None, None]
    x, weight = x[:, :1] * lengths, weight[:, :1].repeat(1, 6, 1, 1)
    y, _ = run(x, weight, stride, padding, [level] * len(x), replace(UNVERIFIED, patch_outputs=outputs))
    assert_close(y, F.conv2d(x, weight, None, stride, padding), SAME_LAYER_ANOTHER_PATH)


@given(shapes)
def test_zero_channels_change_nothing(shape: Shape) -> None:
    x, weight, stride, padding, outputs = draw(shape)
    config = replace(UNVERIFIED, patch_outputs=outputs)
    plain, counts = run(x, weight, stride, padding, [6] * len(x), config)
    padded, more = run(
        torch.cat([x, torch.zeros_like(x)], 1), torch.cat([weight, weight], 1), stride, padding, [6] * len(x), config
    )
    assert_close(padded, plain, SAME_LAYER_ANOTHER_PATH)
    assert torch.equal(more.convolution, counts.convolution)
    assert torch.equal(more.buckets, counts.buckets)


@pytest.mark.parametrize("preset", PRESETS)
@given(shape=shapes)
def test_bucket_counts_never_fall_with_L(preset: str, shape: Shape) -> None:
    x, weight, stride, padding, outputs = draw(shape)
    config = replace(PRESETS[preset], patch_outputs=outputs, tolerance=None, threshold=0)
    _, counts = run(x[:1].expand(32, -1, -1, -1), weight, stride, padding, list(range(1, 33)), config)
    buckets = counts.buckets.tolist()
    assert all(fewer <= more for fewer, more in pairwise(buckets))


@given(shapes, st.integers(1, 32))
def test_executed_is_the_sum_over_recorded_buckets_where_nothing_is_skipped(shape: Shape, level: int) -> None:
    x, weight, stride, padding, _ = draw(shape)
    y, counts = run(x, weight, stride, padding, [level] * len(x), replace(PRESETS["paper"], patch_outputs=1))
    assert counts.channels.tolist() == [x.shape[1] * y[0, 0].numel()] * len(x)
    assert torch.equal(counts.convolution, 2 * len(weight) * weight[0, 0].numel() * counts.buckets)
    assert torch.equal(counts.executed, counts.convolution + counts.hash + counts.merge)


@pytest.mark.parametrize("preset", PRESETS)
@given(shape=shapes, level=st.one_of(st.integers(1, 32), st.sampled_from(["exact", "dense"])))
def test_dense_is_what_was_skipped_merged_and_convolved(preset: str, shape: Shape, level: Level) -> None:
    x, weight, stride, padding, outputs = draw(shape)
    y, counts = run(x, weight, stride, padding, [level] * len(x), replace(PRESETS[preset], patch_outputs=outputs))
    assert counts.dense.tolist() == [2 * weight.numel() * y[0, 0].numel()] * len(x)
    assert torch.equal(counts.dense, counts.skipped + counts.merged + counts.convolution)
    assert min(int(part.min()) for part in (counts.skipped, counts.merged, counts.convolution)) >= 0


@given(shapes)
def test_exact_and_merging_skip_alike_where_patches_are_whole_blocks(shape: Shape) -> None:
    x, weight, stride, padding, _ = draw(shape)
    config = replace(UNVERIFIED, patch_outputs=6, skip_pixels=3)
    _, exact = run(x, weight, stride, padding, ["exact"] * len(x), config)
    _, merged = run(x, weight, stride, padding, [8] * len(x), config)
    assert torch.equal(exact.skipped, merged.skipped)


@given(shapes, st.integers(1, 32))
def test_near_zero_is_what_the_text_says_entry_by_entry(shape: Shape, level: int) -> None:
    x, weight, stride, padding, _ = draw(shape)
    config = replace(UNVERIFIED, merge="none", threshold=8)
    y, counts = run(x, weight, stride, padding, [level] * len(x), config)
    kept = x.clone()
    read, entries = x, x[0].numel()
    if weight.shape[-1] == 1:  # of a 1x1 convolution: what it reads, padding included
        read = F.pad(x, (padding[0],) * 4)[..., ::stride, ::stride]
        entries = read[0].numel()
    norms = weight.double().square().sum((0, 2, 3)).sqrt()
    for image in range(len(x)):
        weighted = read[image].double() * norms[:, None, None]
        edge = 8 / level * float((weighted.square().sum() / entries).sqrt())
        for channel in range(x.shape[1]):
            kept[image, channel][x[image, channel].double().abs() * norms[channel] <= edge] = 0
    assert_close(y, F.conv2d(kept, weight, None, stride, padding), SAME_LAYER_ANOTHER_PATH)
    _, exact = run(kept, weight, stride, padding, ["exact"] * len(x), config)
    assert torch.equal(counts.skipped, exact.skipped)
    assert counts.overhead.tolist() == [3 * entries] * len(x)


@given(shapes)
def test_what_counts_as_zero_never_grows_with_L_and_knows_no_scale(shape: Shape) -> None:
    x, weight, stride, padding, _ = draw(shape)
    config = replace(PRESETS["default"], merge="none")
    _, counts = run(x[:1].expand(32, -1, -1, -1), weight, stride, padding, list(range(1, 33)), config)
    assert all(fewer <= more for fewer, more in pairwise(counts.convolution.tolist()))
    _, scaled = run(x[:1].expand(32, -1, -1, -1) * 64, weight, stride, padding, list(range(1, 33)), config)
    assert torch.equal(scaled.convolution, counts.convolution)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nothing_is_near_zero_beside_what_is_not_finite(value: float) -> None:
    x, weight, stride, padding, _ = draw((1, 3, 2, 6, 6, 3, 1, 1, 3))
    x[0, 1, 2, 2] = value
    config = replace(PRESETS["default"], merge="none")
    _, pruned = run(x, weight, stride, padding, [4], config)
    _, exact = run(x, weight, stride, padding, ["exact"], config)
    assert torch.equal(pruned.convolution, exact.convolution)


@pytest.mark.parametrize("preset", PRESETS)
@given(shape=shapes)
def test_a_mixed_L_batch_equals_its_images_one_by_one(preset: str, shape: Shape) -> None:
    x, weight, stride, padding, outputs = draw((6, *shape[1:]))
    x = (8 * x).round()  # an integer grid: no code depends on the order of a sum
    levels: list[Level] = ["dense", 4, "exact", 12, 4, 32]
    config = replace(PRESETS[preset], patch_outputs=outputs, tolerance=None)
    y, counts = run(x, weight, stride, padding, levels, config)
    for i, level in enumerate(levels):
        alone, own = run(x[i : i + 1], weight, stride, padding, [level], config)
        assert_close(y[i : i + 1], alone, SAME_LAYER_ANOTHER_PATH)
        assert [int(v[i]) for v in vars(counts).values()] == [int(v[0]) for v in vars(own).values()]


def test_bias_is_added_once_at_every_level() -> None:
    x, weight, stride, padding, _ = draw((3, 16, 4, 9, 9, 3, 1, 1, 3))
    bias = torch.tensor([1.0, -2.0, 3.0, 0.5])
    levels: list[Level] = ["dense", "exact", 8]
    shape = {"stride": stride, "padding": padding, "levels": levels, "config": UNVERIFIED, "layer": "conv"}
    with_bias, _ = haste_conv2d(x, weight, bias, **shape)  # type: ignore[arg-type]
    without, _ = haste_conv2d(x, weight, None, **shape)  # type: ignore[arg-type]
    assert_close(with_bias - without, bias[:, None, None].expand_as(without), SAME_LAYER_ANOTHER_PATH)
