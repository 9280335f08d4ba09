"""Laws of merge plans."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from haste.config import HasteConfig, Merge
from haste.hashing import codes as hash_codes
from haste.hashing import hyperplanes
from haste.merging import MergePlan, leaders, plan_merges

MERGES: tuple[Merge, ...] = ("mean", "projection")


def draw(seed: int, patches: int = 5, channels: int = 24, positions: int = 9, codes: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(patches, channels, positions, generator=generator).relu()
    x[:, ::5] = 0
    return x, torch.randint(0, codes, (patches, channels), generator=generator)


def plan(x: Tensor, codes: Tensor, merge: Merge, tolerance: float | None = None, drop_zero: bool = False) -> MergePlan:
    norms = torch.linspace(0.5, 2, x.shape[1])
    return plan_merges(x, codes, norms, merge=merge, tolerance=tolerance, drop_zero=drop_zero)


@given(st.integers(0, 50), st.integers(1, 30))
def test_a_leader_is_the_first_channel_of_its_code(seed: int, codes: int) -> None:
    _, drawn = draw(seed, codes=codes)
    rows = drawn.tolist()
    assert leaders(drawn).tolist() == [[row.index(code) for code in row] for row in rows]


@given(st.integers(0, 50), st.integers(1, 31), st.sampled_from([HasteConfig(), HasteConfig.preset("paper")]))
def test_buckets_at_L_plus_1_refine_buckets_at_L(seed: int, level: int, config: HasteConfig) -> None:
    x, _ = draw(seed, channels=40, positions=25)
    code = hash_codes(x, hyperplanes(config, "layer", (5, 5), (5, 5)), centre=config.centre)
    coarse, fine = (leaders(code & ((1 << bits) - 1)) for bits in (level, level + 1))
    assert torch.equal(coarse.gather(1, fine), coarse)  # a fine bucket lies within one coarse bucket


@pytest.mark.parametrize("merge", MERGES)
@given(seed=st.integers(0, 50))
def test_members_count_every_channel_once(merge: Merge, seed: int) -> None:
    x, codes = draw(seed)
    assert plan(x, codes, merge).members.sum(1).tolist() == [x.shape[1]] * len(x)


@pytest.mark.parametrize("merge", MERGES)
def test_distinct_codes_leave_every_channel_untouched(merge: Merge) -> None:
    x, _ = draw(0)
    made = plan(x, torch.arange(x.shape[1]).expand(len(x), -1), merge)
    assert torch.equal(made.reconstruct(), x)
    assert made.input_flops.sum() == 0


@pytest.mark.parametrize("merge", MERGES)
def test_mean_and_projection_of_equal_channels_are_those_channels(merge: Merge) -> None:
    x = torch.randn(4, 1, 9, generator=torch.Generator().manual_seed(1)).expand(-1, 8, -1).contiguous()
    torch.testing.assert_close(plan(x, torch.zeros(4, 8, dtype=torch.int64), merge).reconstruct(), x)


def test_projection_of_parallel_channels_is_exact() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(4, 1, 9, generator=generator) * (torch.rand(4, 8, 1, generator=generator) + 0.1)
    torch.testing.assert_close(plan(x, torch.zeros(4, 8, dtype=torch.int64), "projection").reconstruct(), x)


def test_mean_merging_gives_every_member_the_mean() -> None:
    x, codes = draw(3)
    rebuilt = plan(x, codes, "mean").reconstruct()
    for patch in range(len(x)):
        for code in codes[patch].unique():
            same = codes[patch] == code
            torch.testing.assert_close(rebuilt[patch, same], x[patch, same].mean(0).expand(int(same.sum()), -1))


@pytest.mark.parametrize("merge", MERGES)
@given(seed=st.integers(0, 80), tolerance=st.sampled_from([0.01, 0.03, 0.1, 0.3]), codes=st.integers(1, 12))
def test_every_merged_channel_obeys_the_verification_law(merge: Merge, seed: int, tolerance: float, codes: int) -> None:
    x, drawn = draw(seed, codes=codes)
    norms = torch.linspace(0.5, 2, x.shape[1])
    made = plan(x, drawn, merge, tolerance)
    cost = (x - made.reconstruct()).norm(dim=-1) * norms
    bound = tolerance * (x.square().sum(-1) * norms.square()).sum(1).sqrt()
    assert (cost <= bound[:, None] * (1 + 1e-5)).all()


@pytest.mark.parametrize("merge", MERGES)
def test_a_tight_tolerance_merges_nothing_and_a_loose_one_everything(merge: Merge) -> None:
    x, codes = draw(4)
    x = x + 0.1  # no two channels parallel, none zero
    assert len(plan(x, codes, merge, tolerance=0.0).merged) == 0
    assert torch.equal(plan(x, codes, merge, tolerance=1e6).members, plan(x, codes, merge).members)


@pytest.mark.parametrize("merge", MERGES)
def test_dropped_channels_are_the_zero_ones_and_belong_to_no_bucket(merge: Merge) -> None:
    x, codes = draw(5)
    made = plan(x, codes, merge, drop_zero=True)
    zero = (x == 0).all(-1)
    assert zero.any()
    assert torch.equal(made.dropped, zero)
    assert made.members.sum(1).tolist() == (~zero).sum(1).tolist()
    assert (made.reconstruct()[zero] == 0).all()


def test_the_cost_of_one_bucket_is_counted_by_hand() -> None:
    x, _ = draw(6, patches=1, channels=4, positions=9)
    codes = torch.tensor([[0, 0, 0, 1]])
    x = x + 1
    assert plan(x, codes, "mean").input_flops.item() == 2 * 9 + 9  # two additions of windows, one scaling
    assert plan(x, codes, "projection").input_flops.item() == 2 * 9 + 2 * 9 * (3 + 1) + 9  # and four dot products
    # verified: squares of every channel; nothing fails at a loose bound
    assert plan(x, codes, "mean", tolerance=1e6).input_flops.item() == 2 * 9 + 2 * 9 * 4 + 2 * 9 * 4 + 9
