"""Laws of conversion: what is converted, what is left with which reason, and that nothing is lost."""

import copy
from collections.abc import Callable
from typing import Literal

import pytest
import torch
import torch.nn.utils.prune
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from haste.config import HasteConfig, LayerConfig, Level
from haste.conv import HasteConv2d
from haste.convert import convert_, reconfigure_, revert_
from haste.flops import FlopReport
from haste.models import create_model
from haste.steering import num_hyperplanes, recording
from tests.tolerances import SAME_NETWORK_ANOTHER_BATCH

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False), nn.ReLU(),
        nn.Conv2d(24, 16, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5),
    ).eval()  # fmt: skip


def with_hook(conv: nn.Conv2d) -> nn.Conv2d:
    conv.register_forward_hook(lambda module, inputs, output: output + 1)
    return conv


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 11, 9, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_revert_restores_outputs_and_modules_bit_for_bit() -> None:
    model = network()
    before, modules = model(images()), list(model.modules())
    convert_(model)
    assert not torch.equal(model(images()), before)
    revert_(model)
    assert torch.equal(model(images()), before)
    assert list(model.modules()) == modules
    with recording() as record:
        model(images())
    assert not record.layers


def test_state_dict_keys_and_tensors_are_unchanged() -> None:
    model = network()
    before = {k: v.data_ptr() for k, v in model.state_dict().items()}
    convert_(model)
    assert {k: v.data_ptr() for k, v in model.state_dict().items()} == before


def test_weights_loaded_after_conversion_reach_the_original() -> None:
    model, other = network(), network()
    convert_(model)
    changed = {k: v + 1 for k, v in other.state_dict().items()}
    model.load_state_dict(changed)
    revert_(model)
    assert all(torch.equal(v, changed[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    ("conv", "reason"),
    [
        (lambda: nn.Conv2d(3, 16, 3), "stem"),
        (lambda: nn.Conv2d(16, 16, 3, groups=16), "depthwise"),
        (lambda: nn.Conv2d(16, 16, 3, groups=4), "grouped"),
        (lambda: nn.Conv2d(16, 16, 3, dilation=2), "dilated"),
        (lambda: nn.Conv2d(8, 16, 3), "too few channels"),
        (lambda: nn.Conv2d(16, 16, (1, 7)), "kernel 1x7"),
        (lambda: nn.Conv2d(16, 16, 2), "kernel 2x2"),
        (lambda: nn.Conv2d(16, 16, 3, stride=3), "stride 3x3"),
        (lambda: nn.utils.spectral_norm(nn.Conv2d(16, 16, 3)), "hooks or a computed weight"),
        (lambda: nn.utils.prune.l1_unstructured(nn.Conv2d(16, 16, 3), "weight", 0.5), "computed weight"),
        (lambda: with_hook(nn.Conv2d(16, 16, 3)), "has hooks"),
        (lambda: nn.ConvTranspose2d(16, 16, 3), "not counted"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 16, 3)), "ParametrizedConv2d"),
    ],
)
def test_what_is_left_is_listed_with_the_reason(conv: Callable[[], nn.Module], reason: str) -> None:
    report = convert_(nn.Sequential(conv()))
    assert report.converted == ()
    assert reason in report.left["0"]
    assert reason in str(report)


def test_a_filter_leaves_layers_dense() -> None:
    report = convert_(network(), filter_fn=lambda conv, name: name != "2")
    assert report.converted == ("4",)
    assert report.left["2"] == "filtered out"


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", ["same", "valid", 0, 1, (2, 1)])
@torch.no_grad()
def test_every_padding_is_kept(padding: str | int | tuple[int, int], padding_mode: PaddingMode) -> None:
    model = nn.Sequential(nn.Conv2d(16, 4, 3, padding=padding, padding_mode=padding_mode))
    x = torch.randn(2, 16, 8, 7)
    before = model(x)
    convert_(model)
    with num_hyperplanes(["dense", "exact"]):
        torch.testing.assert_close(model(x), before)


@torch.no_grad()
def test_dense_flops_are_those_of_torchs_own_counter() -> None:
    for model, x in (
        (create_model("resnet18_cifar10").eval(), torch.randn(2, 3, 32, 32)),
        (network(), images(2)),
    ):
        with FlopCounterMode(display=False) as counter:
            model(x)
        convert_(model)
        levels: tuple[Level, ...] = ("dense", "exact", 8)
        for level in levels:
            with num_hyperplanes(level), recording() as record:
                model(x)
            assert FlopReport.from_record(record).total.dense == counter.get_total_flops()


@torch.no_grad()
def test_results_do_not_depend_on_batch_mates() -> None:
    model = network()
    convert_(model)
    levels: list[Level] = [6, "exact", 12]
    with num_hyperplanes(levels), recording() as record:
        together = model(images())
    for i, level in enumerate(levels):
        with num_hyperplanes(level), recording() as own:
            alone = model(images()[i : i + 1])
        assert (alone - together[i]).abs().max() <= SAME_NETWORK_ANOTHER_BATCH * together.abs().max()
        assert FlopReport.from_record(own).images[0] == FlopReport.from_record(record).images[i]


@torch.no_grad()
def test_a_layers_own_values_are_used() -> None:
    layers = {"2": LayerConfig(offset=-30), "4": LayerConfig(mode="exact", patch_outputs=2)}
    model = network()
    convert_(model, HasteConfig(tolerance=None, threshold=0, merge_channels=1, layers=layers))
    with num_hyperplanes(12), recording() as record:
        model(images())
    assert record.layers["2"].compression_ratio.min() > 0.5  # L = 1
    assert record.layers["4"].merged.sum() == 0
    reconfigure_(model, HasteConfig(tolerance=None, threshold=0, merge_channels=1))
    with num_hyperplanes(12), recording() as record:
        model(images())
    assert record.layers["2"].compression_ratio.max() < 0.5


def test_a_layer_that_does_not_exist_is_named() -> None:
    config = HasteConfig(layers={"nowhere": LayerConfig()})
    with pytest.raises(ValueError, match="'nowhere'"):
        convert_(network(), config)
    model = network()
    convert_(model)
    with pytest.raises(ValueError, match="'nowhere'"):
        reconfigure_(model, config)


def test_converting_twice_or_a_bare_convolution_is_refused_and_changes_nothing() -> None:
    model = network()
    convert_(model)
    with pytest.raises(ValueError, match="already"):
        convert_(model)
    with pytest.raises(ValueError, match="bare"):
        convert_(nn.Conv2d(16, 16, 3))
    with pytest.raises(ValueError, match="not converted"):
        reconfigure_(network(), HasteConfig())


@torch.no_grad()
def test_a_copy_of_a_converted_model_converts_back_on_its_own() -> None:
    model = network()
    convert_(model)
    twin = copy.deepcopy(model)
    revert_(twin)
    assert isinstance(model[2], HasteConv2d)
    assert not isinstance(twin[2], HasteConv2d)
    revert_(model)
    assert torch.equal(model(images()), twin(images()))


@torch.no_grad()
def test_a_shared_convolution_is_converted_everywhere() -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1)
    model = nn.Sequential(conv, nn.ReLU(), conv)
    convert_(model)
    assert model[0] is model[2]
    with recording() as record:
        model(torch.randn(1, 16, 5, 5))
    assert record.layers["0"].dense.item() == 2 * 2 * 16 * 16 * 9 * 25
