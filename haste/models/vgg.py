"""VGGs with BatchNorm as plain torch modules, in ImageNet and CIFAR form, with torchvision's state-dict keys."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from haste.models.initial import initialise_

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Of each stage, by the number of layers with weights (Simonyan and Zisserman 2015, table 1: A, B, D, E)."""


class VGG(nn.Module):
    """Five stages of 3x3 convolutions, each ended by a halving; input (N, 3, H, W) float32, output (N, num_classes).

    `small_images` selects the CIFAR form for 32x32: what is left, one pixel, is classified by one linear layer.
    """

    def __init__(self, depth: int, num_classes: int, *, small_images: bool, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for count, width in zip(CONVOLUTIONS[depth], widths, strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool: nn.Module = nn.Identity() if small_images else nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            *([nn.Linear(channels, num_classes)] if small_images else _head(channels * 49, num_classes))
        )
        initialise_(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return logits


def _head(features: int, num_classes: int) -> list[nn.Module]:
    """The three linear layers of the ImageNet form."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((features, 4096), (4096, 4096)):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout()]
    return [*layers, nn.Linear(4096, num_classes)]


def vgg_bn(depth: int, num_classes: int = 1000) -> VGG:
    """VGG of 11, 13, 16 or 19 layers for images of about 224x224 (torchvision's layout)."""
    return VGG(depth, num_classes, small_images=False)


def vgg_bn_cifar10(depth: int, num_classes: int = 10) -> VGG:
    """VGG of 11, 13, 16 or 19 layers (64-512 channels) for images of 32x32."""
    return VGG(depth, num_classes, small_images=True)


def vgg13_bn_half_cifar10(num_classes: int = 10) -> VGG:
    """VGG13 of half width (32-256 channels) for images of 32x32."""
    return VGG(13, num_classes, small_images=True, widths=[width // 2 for width in WIDTHS])
