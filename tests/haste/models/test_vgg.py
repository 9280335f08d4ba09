"""VGG networks have torchvision's keys, shapes and numbers of parameters, and compile to what torch computes."""

import pytest
import torch
from torch import nn

import haste
from haste.models import create_model
from haste.program import CompiledModel
from tests.tolerances import SAME_NETWORK_ANOTHER_BATCH

PARAMETERS = {11: 132_868_840, 13: 133_053_736, 16: 138_365_992, 19: 143_678_248}
"""Of torchvision's vgg*_bn, by its model pages."""


@pytest.mark.parametrize("depth", PARAMETERS)
def test_parameters_are_as_many_as_torchvisions(depth: int) -> None:
    with torch.device("meta"):
        model = create_model(f"vgg{depth}_bn")
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[depth]


def test_keys_and_shapes_are_torchvisions() -> None:
    with torch.device("meta"):
        state = {key: tuple(value.shape) for key, value in create_model("vgg11_bn").state_dict().items()}
    convolutions = {int(key.split(".")[1]): shape for key, shape in state.items() if len(shape) == 4}
    assert convolutions == {
        0: (64, 3, 3, 3), 4: (128, 64, 3, 3), 8: (256, 128, 3, 3), 11: (256, 256, 3, 3),
        15: (512, 256, 3, 3), 18: (512, 512, 3, 3), 22: (512, 512, 3, 3), 25: (512, 512, 3, 3),
    }  # fmt: skip
    assert all(state[f"features.{place}.bias"] == shape[:1] for place, shape in convolutions.items())
    assert all(state[f"features.{place + 1}.running_var"] == shape[:1] for place, shape in convolutions.items())
    linear = {key: shape for key, shape in state.items() if key.startswith("classifier") and len(shape) == 2}
    assert linear == {
        "classifier.0.weight": (4096, 25088), "classifier.3.weight": (4096, 4096), "classifier.6.weight": (1000, 4096),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "widest"), [("vgg19_bn_cifar10", 512), ("vgg13_bn_half_cifar10", 256)])
def test_the_form_for_small_images_ends_in_one_linear_layer(name: str, widest: int) -> None:
    model = create_model(name)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(widest, 10)]
    assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("level", ["dense", "exact"])
def test_a_compiled_network_computes_what_torch_computes(level: haste.Level, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    model, images = create_model("vgg13_bn_half_cifar10").eval(), torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected = model(images)
        haste.convert_(model)
        fast = haste.compile(model)
        assert isinstance(fast, CompiledModel)
        with haste.num_hyperplanes(level):
            error = (fast(images) - expected).abs().max() / expected.abs().max()
    assert error <= SAME_NETWORK_ANOTHER_BATCH
    assert "no native program" not in caplog.text
