"""Laws of hyperplanes and codes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from haste.config import HasteConfig
from haste.hashing import codes, dct_planes, hash_flops, hyperplanes

CONFIGS = {"dct": HasteConfig(), "random": HasteConfig.preset("paper")}
windows = st.tuples(st.integers(1, 9), st.integers(1, 9))


@pytest.mark.parametrize("planes", CONFIGS)
@given(window=windows, level=st.integers(1, 31))
def test_codes_at_L_are_prefixes_of_codes_at_L_plus_1(planes: str, window: tuple[int, int], level: int) -> None:
    config = CONFIGS[planes]
    x = torch.randn(3, 7, window[0] * window[1], generator=torch.Generator().manual_seed(level))
    all_planes = hyperplanes(config, "layer", window, window)
    fewer, more = (codes(x, all_planes[:n], centre=config.centre) for n in (level, level + 1))
    assert torch.equal(fewer, more & ((1 << level) - 1))


@given(windows.filter(lambda window: window != (1, 1)))
def test_cosine_planes_sum_to_zero(window: tuple[int, int]) -> None:
    assert dct_planes(*window).sum(1).abs().max() < 1e-4


@given(st.integers(2, 7), st.floats(0.1, 10), st.floats(-5, 5))
def test_cosine_codes_ignore_a_channels_length_and_constant_part(side: int, length: float, constant: float) -> None:
    x = torch.randint(-8, 9, (2, 6, side * side), generator=torch.Generator().manual_seed(side)).float()
    planes = dct_planes(side, side)[: side * side - 1]
    p = x @ planes.T
    clear = (p.abs() > 1e-2 * x.abs().sum(-1, keepdim=True)) | (x == 0).all(-1, keepdim=True)  # no bit near its edge
    moved = length * x + constant
    differ = codes(x, planes, centre=False) ^ codes(moved, planes, centre=False)
    bits = (differ[..., None] >> torch.arange(len(planes))) & 1
    assert not (bits.bool() & clear).any()


def test_a_window_of_one_position_is_hashed_by_its_sign() -> None:
    x = torch.tensor([[[-2.0], [-0.1], [0.0], [3.0]]])
    assert codes(x, dct_planes(1, 1)[:1], centre=False).tolist() == [[0, 0, 0, 1]]


def test_random_planes_are_ternary_of_the_asked_sparsity() -> None:
    planes = hyperplanes(CONFIGS["random"], "layer", (5, 5), (5, 5))
    assert set(planes.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert (planes == 0).float().mean().item() == pytest.approx(2 / 3, abs=0.05)


def test_random_planes_depend_on_layer_and_seed_and_on_nothing_else() -> None:
    config = CONFIGS["random"]
    first = hyperplanes(config, "a", (5, 5), (5, 5))
    assert torch.equal(first, hyperplanes(config, "a", (5, 5), (5, 5)))
    assert not torch.equal(first, hyperplanes(config, "b", (5, 5), (5, 5)))
    other = HasteConfig.preset("paper", seed=1)
    assert not torch.equal(first, hyperplanes(other, "a", (5, 5), (5, 5)))


def test_planes_made_in_inference_mode_serve_outside_it() -> None:
    with torch.inference_mode():
        planes = [hyperplanes(config, "fresh", (8, 9), (8, 9)) for config in CONFIGS.values()]
    assert not any(p.is_inference() for p in planes)


def test_a_smaller_window_takes_the_crop_of_its_layers_random_planes() -> None:
    full = hyperplanes(CONFIGS["random"], "a", (5, 5), (5, 5)).unflatten(1, (5, 5))
    crop = hyperplanes(CONFIGS["random"], "a", (5, 5), (4, 3)).unflatten(1, (4, 3))
    assert torch.equal(crop, full[:, :4, :3])


def test_flat_channels_share_one_code_whatever_the_rounding() -> None:
    x = torch.rand(1, 1000, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 25) * 7
    assert codes(x, dct_planes(5, 5)[:24], centre=False).unique().numel() == 1


def test_hash_flops_of_ternary_planes_are_their_entries_and_the_fixed_part() -> None:
    config = CONFIGS["random"]
    planes = hyperplanes(config, "layer", (5, 5), (5, 5))
    flops = hash_flops(config, planes, (5, 5))
    mean, subtraction, length = 25, 25, 25  # additions of one channel of a 5x5 window
    assert flops[14] == mean + subtraction + length + int(planes[:14].count_nonzero())


def test_hash_flops_of_cosine_planes_are_separable() -> None:
    # the first two planes of a 5x5 window are (0, 1) and (1, 0): two column frequencies transform 25 positions each
    flops = hash_flops(CONFIGS["dct"], dct_planes(5, 5), (5, 5))
    assert flops[2] == 25 + 2 * (25 + 5) + 2 * (25 + 5)
