"""Whole networks drawn by hypothesis: convolutions of odd shapes, residual blocks, pools and a linear head."""

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

CHANNELS = (1, 3, 5, 16, 17, 33, 64, 65, 130, 513)
MOST_PRODUCTS = 1 << 21  # of one convolution, so that the reference takes milliseconds


class Residual(nn.Module):
    """Two convolutions, and the input added to them by way of a 1x1 convolution or as it is."""

    def __init__(self, first: nn.Module, second: nn.Module, short: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.short = first, second, short
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.second(self.first(x)) + self.short(x))
        return y


class Drawn:
    """Layers drawn one after another onto an activation of `channels` maps of `side` x `side`."""

    def __init__(self, draw: st.DrawFn, channels: int, side: int) -> None:
        self.draw, self.channels, self.side = draw, channels, side

    def channels_that_fit(self, positions: int) -> int:
        return self.draw(st.sampled_from([c for c in CHANNELS if c == 1 or c * positions <= MOST_PRODUCTS]))

    def convolution(
        self, kernel: int, stride: int, padding: int, outputs: int | None = None, relu: bool = False
    ) -> nn.Module:
        self.side = (self.side + 2 * padding - kernel) // stride + 1
        outputs = outputs or self.channels_that_fit(kernel**2 * self.channels * self.side**2)
        layers: list[nn.Module] = [
            nn.Conv2d(self.channels, outputs, kernel, stride, padding, bias=self.draw(st.booleans()))
        ]
        if self.draw(st.booleans()):
            layers.append(nn.BatchNorm2d(outputs, eps=0.0))
        if relu:
            layers.append(nn.ReLU())
        self.channels = outputs
        return nn.Sequential(*layers)

    def layer(self) -> nn.Module:
        kind = self.draw(st.sampled_from(["convolution", "convolution", "residual", "pool"]))
        stride = self.draw(st.integers(1, 2))
        if kind == "residual":
            return self.residual(stride)
        kernels = [(k, p) for k in (1, 3, 5, 7) for p in range(4) if self.side + 2 * p >= k]
        if kind == "convolution":
            return self.convolution(*self.shape(kernels, stride), relu=self.draw(st.booleans()))
        pools = [(k, p) for k in (2, 3) for p in (0, 1) if self.side + 2 * p >= k]
        kernel, _, padding = self.shape(pools, stride)
        self.side = (self.side + 2 * padding - kernel) // stride + 1
        return nn.MaxPool2d(kernel, stride, padding)

    def shape(self, kernels: list[tuple[int, int]], stride: int) -> tuple[int, int, int]:
        kernel, padding = self.draw(st.sampled_from(kernels))
        return kernel, stride, padding

    def residual(self, stride: int) -> nn.Module:
        channels, side = self.channels, self.side
        first = self.convolution(3, stride, 1, relu=True)
        outputs = channels if stride == 1 else min(self.channels, 65)
        second = self.convolution(3, 1, 1, outputs)
        short: nn.Module = nn.Identity()
        if stride != 1:
            short = Drawn(self.draw, channels, side).convolution(1, stride, 0, outputs)
        return Residual(first, second, short)


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, Tensor, bool]:
    """A network, images for it, and whether all of its numbers are whole, so that no sum rounds."""
    drawn = Drawn(draw, draw(st.sampled_from([1, 3, 5, 17])), draw(st.integers(1, 14)))
    images = draw(st.integers(1, 3)), drawn.channels, drawn.side, drawn.side
    layers = [drawn.layer() for _ in range(draw(st.integers(1, 4)))]
    outputs = draw(st.integers(1, 20))
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(drawn.channels, outputs)).eval()
    whole = draw(st.booleans())
    torch.manual_seed(draw(st.integers(0, 99)))
    fill_(model, whole)
    return model, torch.randint(-3, 4, images).float() if whole else torch.randn(images), whole


@torch.no_grad()
def fill_(model: nn.Module, whole: bool) -> None:
    """Random statistics of every BatchNorm; in whole networks a few entries of 1 and -1 a filter, and whole biases."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randint(-2, 3, (module.num_features,)).float()
            module.running_var = torch.tensor([0.25, 1.0, 4.0])[torch.randint(0, 3, (module.num_features,))]
        if isinstance(module, nn.Conv2d | nn.Linear) and whole:
            entries = module.weight[0].numel()
            module.weight.copy_(
                torch.randint(-1, 2, module.weight.shape) * (torch.rand(module.weight.shape) * entries < 6)
            )
            if module.bias is not None:
                module.bias.copy_(torch.randint(-2, 3, module.bias.shape))
