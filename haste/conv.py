"""HasteConv2d: a Conv2d with the same weights and keys that merges look-alike channels at inference."""

from torch import Tensor, nn
from torch.nn import functional as F

from haste.config import HasteConfig
from haste.reference import haste_conv2d
from haste.steering import current_record, levels_of


class HasteConv2d(nn.Conv2d):
    """A converted convolution; shares the parameters of the one it stands for and keeps no per-forward state.

    `original` is that convolution, given back by `revert_`. Input (N, C, H, W) or (C, H, W) float, output as Conv2d's.
    """

    def __init__(self, conv: nn.Conv2d, layer: str, config: HasteConfig) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            bias=conv.bias is not None,
            padding_mode=conv.padding_mode,
            device="meta",
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.train(conv.training)
        self.layer = layer
        self.original = (conv,)  # in a tuple, so that it is no submodule and the state dict keeps its keys
        self.configure(config)

    def configure(self, config: HasteConfig) -> None:
        """Use these settings from the next forward on."""
        self.network_config = config
        self.config = config.of(self.layer)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim == 3:
            return self.forward(input[None])[0]
        config = self.network_config
        levels = levels_of(len(input), config.num_hyperplanes)
        padded, padding = self.padded(input)
        out, counts = haste_conv2d(
            padded,
            self.weight,
            self.bias,
            stride=self.stride[0],
            padding=padding,
            levels=[config.level_of(self.layer, level) for level in levels],
            config=self.config,
            layer=self.layer,
        )
        if record := current_record():
            record.add(self.layer, counts)
        return out

    @property
    def border(self) -> tuple[int, int]:
        """Rows and columns of padding on each side of the input; odd kernels: symmetric."""
        columns, _, rows, _ = self._reversed_padding_repeated_twice  # left, right, top, bottom
        return rows, columns

    def padded(self, input: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """The input, padded already where not with zeros; the rows and columns of zeros that are still to come."""
        rows, columns = self.border
        if self.padding_mode == "zeros":
            return input, (rows, columns)
        return F.pad(input, (columns, columns, rows, rows), mode=self.padding_mode), (0, 0)

    def extra_repr(self) -> str:
        return f"{self.original[0].extra_repr()}, haste={self.layer!r}"
