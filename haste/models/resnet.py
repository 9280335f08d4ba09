"""ResNets as plain torch modules, in ImageNet and CIFAR form, with torchvision's state-dict keys."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from haste.models.initial import initialise_


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 5 left)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        joined: Tensor = self.relu(out + shortcut)
        return joined


class ResNet(nn.Module):
    """ResNet of basic blocks; input (N, 3, H, W) float32, normalised; output (N, num_classes) logits.

    `small_images` selects the CIFAR form: a 3x3 stem of stride 1 and no pooling behind it.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        num_classes: int,
        *,
        small_images: bool,
        widths: Sequence[int] = (64, 128, 256, 512),
    ) -> None:
        super().__init__()
        kernel, stride = (3, 1) if small_images else (7, 2)
        self.conv1 = nn.Conv2d(3, widths[0], kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool: nn.Module = nn.Identity() if small_images else nn.MaxPool2d(3, 2, 1)
        channels = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            layers = []
            for block in range(count):
                stride = 2 if stage > 1 and block == 0 else 1
                layers.append(BasicBlock(channels, width, stride))
                channels = width
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        initialise_(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


def resnet18(num_classes: int = 1000) -> ResNet:
    """ResNet18 for images of about 224x224 (torchvision's layout)."""
    return ResNet((2, 2, 2, 2), num_classes, small_images=False)


def resnet34(num_classes: int = 1000) -> ResNet:
    """ResNet34 for images of about 224x224 (torchvision's layout)."""
    return ResNet((3, 4, 6, 3), num_classes, small_images=False)


def resnet18_cifar10(num_classes: int = 10) -> ResNet:
    """ResNet18 (64-512 channels) for images of 32x32."""
    return ResNet((2, 2, 2, 2), num_classes, small_images=True)


def resnet34_cifar10(num_classes: int = 10) -> ResNet:
    """ResNet34 (64-512 channels) for images of 32x32."""
    return ResNet((3, 4, 6, 3), num_classes, small_images=True)
