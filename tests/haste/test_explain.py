"""Laws of the picture of merging: it is what the reference counted and what the method's text says, patch by patch."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import haste
from haste.config import HasteConfig, LayerConfig, Level
from haste.conv import HasteConv2d
from haste.explain import NoSuchPatch, _copied, explain
from haste.explanation import Explanation, Patch
from haste.geometry import PatchGrid
from haste.trace import TRACING, trace
from tests.haste.test_oracle import members_of, near_zero

NAMES = ("strided", "pointwise", "wide")
CONFIGS = {
    "default": HasteConfig(merge_channels=1, threshold=2),
    "paper": HasteConfig.preset("paper"),
    "unverified": HasteConfig(merge_channels=1, tolerance=None, threshold=0),
    "kept": HasteConfig(merge_channels=1, drop_zero=False, merge="mean", threshold=0),
    "skips": HasteConfig(threshold=2),
}


def network(config: HasteConfig, *, conv: str = "") -> nn.Sequential:
    """A stem, and convolutions with a stride, of one tap, and of five; the one that `conv` names is called "conv".

    No T divides their maps for `smooth()`.
    """
    torch.manual_seed(4)
    convolutions = (
        nn.Conv2d(3, 16, 3, padding=1),
        nn.Conv2d(16, 24, 3, 2, padding=1),
        nn.Conv2d(24, 20, 1, 2),
        nn.Conv2d(20, 18, 5, padding=2),
    )
    model = nn.Sequential()
    for name, module in zip(("stem", *NAMES), convolutions, strict=True):
        assert module.bias is not None
        module.bias.data -= 0.1  # so that some channels are zero
        model.add_module("conv" if name == conv else name, module)
        model.add_module(f"{name}_relu", nn.ReLU())
    for name, last in (("pool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten()), ("fc", nn.Linear(18, 4))):
        model.add_module(name, last)
    haste.convert_(model.eval(), config)
    return model


def smooth(height: int = 17, width: int = 13) -> Tensor:
    """An image whose neighbours are alike, as those of a photo are."""
    small = torch.rand(1, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    return F.interpolate(small, size=(height, width), mode="bilinear")[0]


def at(level: Level, model: nn.Module, layer: str, row: int = 0, column: int = 0) -> Explanation:
    with haste.num_hyperplanes(level):
        return explain(model, smooth(), layer=layer, row=row, column=column)


def patches(model: nn.Module, level: Level, layer: str) -> list[Patch]:
    grid = at(level, model, layer).layer.grid
    return [at(level, model, layer, row, column).patch for row in range(grid.rows) for column in range(grid.columns)]


def report(model: nn.Module, level: Level) -> haste.FlopReport:
    with torch.inference_mode(), haste.num_hyperplanes(level), haste.recording() as record:
        model(smooth()[None])
    return haste.FlopReport.from_record(record)


@pytest.mark.parametrize("level", [3, 12, "exact", "dense"])
@pytest.mark.parametrize("name", CONFIGS)
def test_layers_and_maps_are_what_the_reference_counted(name: str, level: Level) -> None:
    model = network(CONFIGS[name])
    counted = report(model, level).layers
    for layer in NAMES:
        found = at(level, model, layer)
        assert [own.name for own in found.layers] == list(counted)
        for own in found.layers:
            flops = counted[own.name]
            assert (own.dense_flops, own.executed_flops, own.reduction) == (
                flops.dense,
                flops.executed,
                flops.reduction,
            )
            assert own.form != "merge" or own.compression_ratio == flops.compression_ratio
        shown, ratios = found.layers[found.layer.index], torch.tensor(found.map.compression_ratio).double()
        assert shown.name == layer
        assert ratios.shape == (found.layer.grid.rows, found.layer.grid.columns)
        assert float(ratios.mean()) == pytest.approx(shown.compression_ratio, abs=1e-6)


@pytest.mark.parametrize("layer", NAMES)
@pytest.mark.parametrize("name", ["default", "paper", "kept"])
def test_buckets_are_those_of_the_methods_text(name: str, layer: str) -> None:
    """The oracle's loops, patch by patch, on the layer's own input."""
    config, level = CONFIGS[name], 3
    model = network(config, conv=layer)
    conv = model.get_submodule("conv")
    assert isinstance(conv, HasteConv2d)
    seen: list[Tensor] = []
    hook = conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    report(model, level)
    hook.remove()
    x, stride, (pad, _), t = seen[0], conv.stride[0], conv.border, config.patch_outputs
    norms = conv.weight.detach().pow(2).sum((0, 2, 3)).sqrt()
    if layer == "pointwise":
        x, stride = x[..., ::stride, ::stride], 1
    if config.threshold:
        mean = (x * norms[:, None, None]).double().square().sum() / x.numel()
        x = near_zero(x, norms, float(config.threshold / level * mean.sqrt()))
    x = F.pad(x, (pad,) * 4)
    grid = PatchGrid(x.shape[-2], x.shape[-1], conv.kernel_size[0], stride, t)
    for patch in patches(model, level, "conv"):
        (top, high), (left, wide) = (
            (index * t * stride, grid.window(min(t, outputs - index * t)))
            for index, outputs in ((patch.row, grid.out_height), (patch.column, grid.out_width))
        )
        window = x[0, :, top : top + high, left : left + wide]
        expected = members_of(window, level, config, grid.window(t), norms)
        assert sorted(list(own.channels) for own in patch.buckets) == sorted(expected)


@pytest.mark.parametrize("level", [3, "exact"])
@pytest.mark.parametrize("name", ["default", "kept", "skips"])
def test_states_say_in_which_bucket_a_channel_is(name: str, level: Level) -> None:
    for patch in patches(network(CONFIGS[name]), level, "strided"):
        assert [own.id for own in patch.buckets] == list(range(len(patch.buckets)))
        assert [own.index for own in patch.channels] == list(range(16))
        members = [(own.id, channel) for own in patch.buckets for channel in own.channels]
        assert sorted(members) == sorted((own.bucket, own.index) for own in patch.channels if own.bucket is not None)
        for channel in patch.channels:
            size = 0 if channel.bucket is None else patch.buckets[channel.bucket].size
            assert channel.state == ("dropped" if not size else "kept" if size == 1 else "merged")
        assert (patch.channels_before, patch.channels_after) == (16, len(patch.buckets))
        assert patch.compression_ratio == 1 - len(patch.buckets) / 16


def test_members_of_a_bucket_have_one_code_and_codes_are_prefixes_of_those_at_more_hyperplanes() -> None:
    model = network(CONFIGS["unverified"])
    few, many = at(5, model, "strided").patch, at(9, model, "strided").patch
    assert any(bucket.size > 1 for bucket in few.buckets)
    for bucket in few.buckets:
        assert len({few.channels[index].code for index in bucket.channels}) == 1
    for own, longer in zip(few.channels, many.channels, strict=True):
        assert (own.code is None) == (longer.code is None) == (own.state == "dropped")
        assert own.code is None or (len(own.code), str(longer.code)[:5]) == (5, own.code)


def test_a_merge_that_verification_refuses_is_shown_as_refused() -> None:
    patch = at(2, network(replace(CONFIGS["unverified"], tolerance=0.0)), "strided").patch
    codes = [channel.code for channel in patch.channels if channel.code is not None]
    assert len(set(codes)) < len(codes)
    assert {channel.state for channel in patch.channels if channel.code is not None} == {"kept"}


def test_where_nothing_is_hashed_a_channel_is_dropped_if_its_window_is_zero() -> None:
    model = network(CONFIGS["skips"])
    channels = [channel for patch in patches(model, "exact", "wide") for channel in patch.channels]
    assert {channel.state for channel in channels} == {"dropped", "kept"}
    assert all((channel.state == "dropped") == (channel.rms == 0) for channel in channels)
    assert {channel.code for channel in (*channels, *at(12, model, "wide").patch.channels)} == {None}
    assert {patch.compression_ratio for patch in patches(model, "dense", "wide")} == {0.0}


def test_rms_is_the_root_mean_square_of_the_window_before_near_zeros_are_zero() -> None:
    model = network(CONFIGS["skips"])
    with torch.no_grad():
        x = F.pad(F.relu(model[0](smooth()[None])), (1, 1, 1, 1))[0]
    for row, column, window in ((0, 0, x[:, :9, :9]), (1, 1, x[:, 8:17, 8:15]), (2, 0, x[:, 16:19, :9])):
        found = [channel.rms for channel in at(2, model, "strided", row, column).patch.channels]
        assert torch.allclose(torch.tensor(found), window.square().mean((1, 2)).sqrt(), rtol=1e-5)


def test_a_box_is_the_window_in_the_image_and_boxes_cover_it() -> None:
    model = network(CONFIGS["skips"])
    found = at(12, model, "strided", 1, 1)
    assert (found.layer.feature_map.height, found.layer.feature_map.width) == (17, 13)
    assert (found.layer.grid.rows, found.layer.grid.columns) == (3, 2)
    box = (
        found.patch.box
    )  # outputs 4..7 down read the inputs 7..15, outputs 4..6 to the right 7..13, of which 12 is last
    assert (box.top * 17, (box.top + box.height) * 17) == pytest.approx((7, 16))
    assert (box.left * 13, (box.left + box.width) * 13) == pytest.approx((7, 13))
    boxes = [patch.box for patch in patches(model, 12, "wide")]
    assert (min(own.left for own in boxes), min(own.top for own in boxes)) == (0, 0)
    assert max(own.left + own.width for own in boxes) == pytest.approx(1)
    assert max(own.top + own.height for own in boxes) == pytest.approx(1)


def test_a_layer_that_stays_exact_or_runs_at_another_level_is_shown_so() -> None:
    layers = {
        "strided": LayerConfig(offset=2),
        "pointwise": LayerConfig(mode="exact"),
        "wide": LayerConfig(mode="dense"),
    }
    found = at(6, network(replace(CONFIGS["unverified"], layers=layers)), "strided")
    assert [own.form for own in found.layers] == ["dense", "merge", "zeros", "dense", "dense"]
    assert [own.converted for own in found.layers] == [False, True, True, True, False]
    assert {len(own.code) for own in found.patch.channels if own.code is not None} == {8}


def test_the_default_is_the_middle_patch_of_a_layer_that_merges_near_the_middle() -> None:
    model = network(CONFIGS["default"])
    found = explain(model, smooth(64, 48))
    assert (found.level, found.layer.name, found.patch.row, found.patch.column) == (12, "pointwise", 2, 1)
    assert (found.layer.grid.rows, found.layer.grid.columns) == (4, 3)
    last = replace(CONFIGS["default"], layers={name: LayerConfig(mode="exact") for name in NAMES[:2]})
    assert explain(model, smooth(), config=last).layer.name == "wide"
    assert explain(model, smooth(), config=CONFIGS["skips"]).layer.name == "pointwise"


def test_what_is_not_there_is_named_with_what_is() -> None:
    model = network(CONFIGS["default"])
    with pytest.raises(NoSuchPatch, match="unknown layer 'stem'; layers: strided, pointwise, wide"):
        explain(model, smooth(), layer="stem")
    with pytest.raises(NoSuchPatch, match=r"row must be in 0\.\.2, not 3: layer strided has 3 x 2 patches"):
        explain(model, smooth(), layer="strided", row=3)
    with pytest.raises(NoSuchPatch, match=r"column must be in 0\.\.1, not -1"):
        explain(model, smooth(), layer="strided", column=-1)
    haste.revert_(model)
    with pytest.raises(ValueError, match="not converted"):
        explain(model, smooth())


def test_the_model_and_the_callers_recording_are_not_touched() -> None:
    model = network(CONFIGS["default"]).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    hooks = [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules()]
    with haste.recording() as record:
        explain(model, smooth(), config=CONFIGS["paper"])
    assert record.layers == {}
    assert hooks == [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules()]
    assert all(module.training for module in model.modules())
    assert {own.network_config for own in model.modules() if isinstance(own, HasteConv2d)} == {CONFIGS["default"]}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_copy_shares_every_weight(merging_network: nn.Module) -> None:
    pointers = [{own.data_ptr() for own in model.parameters()} for model in (merging_network, _copied(merging_network))]
    assert pointers[0] == pointers[1]


def test_a_compiled_model_is_shown_as_the_network_it_was_made_of() -> None:
    model = network(CONFIGS["default"])
    assert explain(haste.compile(model), smooth()) == explain(model, smooth())


def test_no_model_is_traced_while_one_is_explained() -> None:
    """torch.fx patches every module while it traces: one that runs meanwhile fails, or becomes part of the trace."""
    held: list[bool] = []

    class Noting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            held.append(TRACING.locked())
            return x

    model = nn.Sequential(Noting(), network(CONFIGS["default"])).eval()
    explain(model, smooth())
    trace(model, (3, 16, 16))
    model(smooth()[None])
    assert held == [True, True, False]
