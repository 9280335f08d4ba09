"""Laws of zero skipping: what is left is counted as the rule says it, tap by tap."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from haste.counts import LayerCounts, live_pairs, live_taps


def by_hand(x: Tensor, kernel: int, stride: int, skip_pixels: int) -> tuple[int, int]:
    """The rule as the text states it, for one window (h, w): pairs left, taps left."""
    rows, columns = ((side - kernel) // stride + 1 for side in x.shape)
    pairs = taps = 0
    for ky in range(kernel):
        for kx in range(kernel):
            alive = False
            for row in range(rows):
                for first in range(0, columns, skip_pixels):
                    block = range(first, min(first + skip_pixels, columns))
                    if any(x[row * stride + ky, column * stride + kx] != 0 for column in block):
                        pairs += len(block)
                        alive = True
            taps += alive
    return pairs, taps


@given(
    st.sampled_from([1, 3, 5]),
    st.integers(1, 2),
    st.integers(1, 5),
    st.integers(1, 7),
    st.integers(1, 8),
    st.integers(0, 1),
    st.integers(0, 100),
)
def test_live_pairs_and_taps_follow_the_rule(
    kernel: int, stride: int, skip_pixels: int, rows: int, columns: int, unread: int, seed: int
) -> None:
    height, width = ((n - 1) * stride + kernel + unread * (stride - 1) for n in (rows, columns))
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2, 2, height, width, generator=generator) * (
        torch.rand(2, 2, height, width, generator=generator) > 0.8
    )
    expected = [by_hand(window, kernel, stride, skip_pixels) for window in x.flatten(0, 1)]
    shape = {"kernel": kernel, "stride": stride, "skip_pixels": skip_pixels}
    assert live_pairs(x, **shape).flatten().tolist() == [pairs for pairs, _ in expected]
    assert live_taps(x, **shape).flatten().tolist() == [taps for _, taps in expected]


def test_a_wide_block_with_a_shorter_last_one_is_counted_to_the_pair() -> None:
    x = torch.ones(1, 1, 7, 37)
    assert live_pairs(x, kernel=7, stride=1, skip_pixels=19).item() == 7 * 7 * 31


def test_without_skipping_every_pair_is_left() -> None:
    x = torch.zeros(2, 3, 7, 5)
    assert live_pairs(x, kernel=3, stride=1, skip_pixels=None).tolist() == [[9 * 15] * 3] * 2
    assert live_taps(x, kernel=3, stride=1, skip_pixels=None).tolist() == [[9] * 3] * 2


def test_padding_counts_as_zero() -> None:
    x = torch.nn.functional.pad(torch.ones(1, 1, 3, 3), (1, 1, 1, 1))
    # a block of three outputs reads something in every row but the border, which the upper and lower taps read once
    assert live_pairs(x, kernel=3, stride=1, skip_pixels=3).item() == 3 * (3 * 3 + 2 * 3 * 2)


def test_a_dense_layer_executes_all_and_saves_nothing() -> None:
    counts = LayerCounts.of_dense(2, 100)
    assert counts.executed.tolist() == counts.dense.tolist() == [100, 100]
    assert counts.compression_ratio.tolist() == [0.0, 0.0]
