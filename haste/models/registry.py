"""The networks by name."""

from collections.abc import Callable
from functools import partial

from torch import nn

from haste.models.resnet import resnet18, resnet18_cifar10, resnet34, resnet34_cifar10
from haste.models.vgg import CONVOLUTIONS, vgg13_bn_half_cifar10, vgg_bn, vgg_bn_cifar10

_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "resnet18": resnet18,
    "resnet18_cifar10": resnet18_cifar10,
    "resnet34": resnet34,
    "resnet34_cifar10": resnet34_cifar10,
    "vgg13_bn_half_cifar10": vgg13_bn_half_cifar10,
    **{f"vgg{depth}_bn": partial(vgg_bn, depth) for depth in CONVOLUTIONS},
    **{f"vgg{depth}_bn_cifar10": partial(vgg_bn_cifar10, depth) for depth in CONVOLUTIONS},
}


def list_models() -> list[str]:
    """The names that `create_model` knows, sorted."""
    return sorted(_BUILDERS)


def create_model(name: str, num_classes: int | None = None) -> nn.Module:
    """A freshly initialised network of that name, in training mode.

    It maps images (N, 3, H, W) float32 to logits (N, num_classes). Without `num_classes` it has the number its data
    set has. Raises ValueError, which names the known networks, where the name is not one of them.
    """
    if name not in _BUILDERS:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(list_models())}")
    return _BUILDERS[name]() if num_classes is None else _BUILDERS[name](num_classes)
