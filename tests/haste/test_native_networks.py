"""Laws of the native engine on whole networks drawn at random: it does what eager torch and the reference do."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor, nn

from haste import kernel
from haste.config import HasteConfig, Level
from haste.convert import convert_
from haste.flops import FlopReport
from haste.program import CompiledModel
from haste.program import compile as compiled_of
from haste.steering import num_hyperplanes, recording
from tests.haste.random_networks import networks
from tests.tolerances import RATE_OF_DIFFERING_PATCHES, SAME_NETWORK_ANOTHER_BATCH

NATIVE = [name for name in kernel.implementations() if name != kernel.REFERENCE]
pytestmark = pytest.mark.skipif(not NATIVE, reason="built without the native module")
LEVELS: tuple[Level, ...] = (1, 7, 12, 32)


@pytest.fixture(params=NATIVE, autouse=True)
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASTE_IMPLEMENTATION", request.param)
        yield request.param


settings = st.fixed_dictionaries(
    {
        "patch_outputs": st.sampled_from([1, 2, 3, 4, 6]),
        "merge": st.sampled_from(["mean", "projection", "projection", "none"]),
        "planes": st.sampled_from(["dct", "random"]),
        "centre": st.booleans(),
        "drop_zero": st.booleans(),
        "tolerance": st.sampled_from([None, None, 0.05, 0.5]),
        "threshold": st.sampled_from([0.0, 3.5]),
        "min_channels": st.sampled_from([1, 16]),
        "merge_channels": st.just(1),
    }
)
configs = st.one_of(st.builds(lambda values: HasteConfig(**values), settings), st.just(HasteConfig()))


def computed(model: nn.Module, x: Tensor, level: Level | list[Level]) -> tuple[Tensor, FlopReport]:
    with torch.no_grad(), num_hyperplanes(level), recording() as record:
        return model(x), FlopReport.from_record(record)


def assert_same(expected: Tensor, given: Tensor) -> None:
    largest = expected.abs().max().clamp(min=1e-6)
    assert (expected - given).abs().max() <= SAME_NETWORK_ANOTHER_BATCH * largest


@given(drawn=networks(), config=configs)
def test_dense_and_exact_are_what_eager_torch_gives(drawn: tuple[nn.Module, Tensor, bool], config: HasteConfig) -> None:
    model, x, whole = drawn
    with torch.no_grad():
        eager = model(x)
    convert_(model, config)
    compiled = native(model, x)
    for level in ("dense", "exact"):
        _, expected = computed(model, x, level)
        given_, taken = computed(compiled, x, level)
        assert_same(eager, given_)
        if whole or level == "dense":  # elsewhere rounding may tell what is zero
            assert expected.layers == taken.layers


def native(model: nn.Module, x: Tensor) -> CompiledModel:
    compiled = compiled_of(model, threads=2)
    assert isinstance(compiled, CompiledModel)
    assert compiled.program(tuple(x.shape[1:])) is not None
    return compiled


@hypothesis_settings(max_examples=40)
@given(drawn=networks(), config=configs)
def test_every_level_is_what_the_reference_gives(drawn: tuple[nn.Module, Tensor, bool], config: HasteConfig) -> None:
    model, x, _ = drawn
    convert_(model, config)
    compiled = native(model, x)
    for level in LEVELS:
        slow, expected = computed(model, x, level)
        fast, taken = computed(compiled, x, level)
        if expected.layers == taken.layers:
            assert_same(slow, fast)
        else:
            assert differing(expected, taken) <= RATE_OF_DIFFERING_PATCHES


def differing(expected: FlopReport, taken: FlopReport) -> float:
    """How far apart two plans of one network are, as a share of its FLOPs."""
    pairs = [(layer, taken.layers[name]) for name, layer in expected.layers.items()]
    return sum(abs(own.executed - other.executed) for own, other in pairs) / sum(own.dense for own, _ in pairs)


@hypothesis_settings(max_examples=20)
@given(
    drawn=networks(),
    value=st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e-42]),
    place=st.floats(0, 0.99),
)
def test_what_is_not_finite_spreads_as_in_eager_torch(
    drawn: tuple[nn.Module, Tensor, bool], value: float, place: float
) -> None:
    model, x, _ = drawn
    x.view(-1)[int(place * x.numel())] = value
    with torch.no_grad():
        eager = model(x)
    convert_(model, HasteConfig(min_channels=1))
    compiled = native(model, x)
    for level in ("dense", "exact"):
        fast, _ = computed(compiled, x, level)
        assert torch.equal(eager.isnan(), fast.isnan())
        assert torch.equal(torch.isfinite(eager), torch.isfinite(fast))


@pytest.mark.parametrize("level", ["dense", "exact", 1, 12])
@pytest.mark.parametrize("centre", [False, True])
def test_what_a_relu_made_finite_again_stays_finite(level: Level, centre: bool) -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 20, 1), nn.Conv2d(20, 24, 3, 1, 1)  # 20 channels: the engine pads them
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *pool, nn.Linear(24, 4)).eval()
    with torch.no_grad():
        first.weight.abs_().neg_()
    x = -torch.rand(2, 3, 6, 6)
    x[0, 0, 2, 2] = float("inf")
    convert_(model, HasteConfig(centre=centre, merge_channels=1, planes="random", tolerance=None))
    slow, expected = computed(model, x, level)
    fast, taken = computed(native(model, x), x, level)
    assert torch.isfinite(slow).all()
    assert_same(slow, fast)
    assert differing(expected, taken) <= RATE_OF_DIFFERING_PATCHES


class Formula(nn.Module):
    """Two 1x1 convolutions onto 8 maps, `sum_of` what they give, and a head."""

    def __init__(self, sum_of: Callable[[Any, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(5, 8, 1), nn.Conv2d(5, 8, 1), nn.Conv2d(8, 8, 1)
        self.pool, self.relu, self.identity = nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.Identity()
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
        self.sum_of = sum_of

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.sum_of(self, self.first(x), x))  # type: ignore[no-any-return]


NO_NATIVE_FORM = {
    "a sum that repeats one pixel": Formula(lambda m, y, x: m.second(m.pool(x)) + y),
    "a sum with a factor": Formula(lambda m, y, x: torch.add(m.second(x), y, alpha=3)),
    "a convolution read before and behind its ReLU": Formula(lambda m, y, x: m.third(m.relu(m.identity(y))) + y),
    "a linear layer of each pixel": nn.Sequential(nn.Conv2d(5, 4, 1), nn.Linear(4, 4)),
    "two linear layers": nn.Sequential(nn.Conv2d(5, 8, 4), nn.Flatten(), nn.Linear(8, 2), nn.Linear(2, 3)),
}


@pytest.mark.parametrize("name", NO_NATIVE_FORM)
def test_what_has_no_native_form_is_still_what_eager_torch_gives(name: str) -> None:
    torch.manual_seed(0)
    model, x = NO_NATIVE_FORM[name].eval(), torch.randn(2, 5, 4, 4)
    with torch.no_grad():
        expected, given_ = model(x), compiled_of(model, threads=1)(x)
    assert expected.shape == given_.shape
    assert_same(expected, given_)
