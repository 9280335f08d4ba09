"""convert_ swaps the convolutions of a model in place, revert_ gives the originals back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from haste.config import HasteConfig
from haste.conv import HasteConv2d
from haste.counts import LayerCounts
from haste.steering import current_record

FilterFn = Callable[[nn.Conv2d, str], bool]
_KERNELS, _STRIDES = (1, 3, 5, 7), (1, 2)


@dataclass(frozen=True)
class ConversionReport:
    """Names of the converted convolutions, and of those left dense with the reason."""

    converted: tuple[str, ...]
    left: dict[str, str]

    def __str__(self) -> str:
        lines = [f"converted {len(self.converted)} convolutions, left {len(self.left)} dense"]
        return "\n".join(lines + [f"  {name}: {reason}" for name, reason in self.left.items()])


class _DenseCounter:
    """Forward hook: a record holds the layers left dense as well."""

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def __call__(self, module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        record = current_record()
        if record is None:
            return
        assert isinstance(module, nn.Conv2d | nn.Linear)
        if isinstance(module, nn.Conv2d) and output.ndim == 3:
            output = output[None]
        images = len(output) if output.ndim > 1 else 1
        macs = output.numel() // images * module.weight[0].numel()
        record.add(self.layer, LayerCounts.of_dense(images, 2 * macs))


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """Every Conv2d and Linear once, by its first name."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield name, module


def _uncounted(model: nn.Module) -> dict[str, str]:
    """Convolutions of other kinds: they run as they are, and no report holds them."""
    return {
        name: f"{type(module).__name__} is not counted"
        for name, module in model.named_modules()
        if isinstance(module, _ConvNd) and not isinstance(module, nn.Conv2d)
    }


def _reason_to_leave(conv: nn.Conv2d, config: HasteConfig) -> str | None:
    """Why a convolution cannot be or is not worth being converted; None if it is."""
    height, width = conv.kernel_size
    if type(conv) is not nn.Conv2d:
        return f"{type(conv).__name__} computes in its own way"
    hooks = (conv._forward_hooks, conv._forward_pre_hooks, conv._backward_hooks, conv._backward_pre_hooks)
    if any(hooks) or not isinstance(conv.weight, nn.Parameter):
        return "has hooks or a computed weight, which would be lost"
    if conv.groups != 1:
        return "depthwise" if conv.groups == conv.in_channels else f"grouped ({conv.groups} groups)"
    if conv.dilation != (1, 1):
        return f"dilated {conv.dilation[0]}x{conv.dilation[1]}"
    if height != width or height not in _KERNELS:
        return f"kernel {height}x{width} is not one of 1x1, 3x3, 5x5, 7x7"
    if conv.stride[0] != conv.stride[1] or conv.stride[0] not in _STRIDES:
        return f"stride {conv.stride[0]}x{conv.stride[1]} is not 1 or 2"
    if conv.in_channels <= 4:
        return f"stem ({conv.in_channels} input channels)"
    if conv.in_channels < config.min_channels:
        return f"too few channels ({conv.in_channels} < {config.min_channels})"
    return None


def convert_(
    model: nn.Module, config: HasteConfig | None = None, filter_fn: FilterFn | None = None
) -> ConversionReport:
    """Swap every Conv2d that HASTE can run for a HasteConv2d, in place; the state dict keeps its keys.

    `filter_fn(conv, name)` false leaves a convolution dense. Raises ValueError when the model is converted already,
    when it is a single Conv2d (nothing to swap it in), or when `config.layers` names a layer that is not converted.
    """
    config = HasteConfig.preset("default") if config is None else config
    if any(isinstance(m, HasteConv2d) for m in model.modules()):
        raise ValueError("the model is converted already; revert_ it first, or reconfigure_ it")
    if isinstance(model, nn.Conv2d):
        raise ValueError("a bare Conv2d cannot be swapped in place; wrap it, as in nn.Sequential(conv)")
    left: dict[str, str] = {}
    chosen: dict[str, nn.Conv2d] = {}
    for name, module in _layers(model):
        if isinstance(module, nn.Conv2d):
            filtered = filter_fn is not None and not filter_fn(module, name)
            reason = "filtered out" if filtered else _reason_to_leave(module, config)
            if reason is None:
                chosen[name] = module
                continue
            left[name] = reason
    if unknown := sorted(set(config.layers) - set(chosen)):
        raise ValueError(f"config.layers names {unknown[0]!r}, which is not converted")
    swaps = [(conv, HasteConv2d(conv, name, config)) for name, conv in chosen.items()]
    for name, module in _layers(model):
        if name not in chosen:
            module.register_forward_hook(_DenseCounter(name))
    for conv, haste_conv in swaps:
        _replace(model, conv, haste_conv)
    return ConversionReport(tuple(chosen), left | _uncounted(model))


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` wherever `old` stands, shared places included."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is old:
                parent._modules[name] = new


def reconfigure_(model: nn.Module, config: HasteConfig) -> None:
    """Give a converted model new settings; which layers are converted stays as it is. ValueError if none is."""
    converted = [m for m in model.modules() if isinstance(m, HasteConv2d)]
    if not converted:
        raise ValueError("the model is not converted; convert_ it first")
    if unknown := sorted(set(config.layers) - {m.layer for m in converted}):
        raise ValueError(f"config.layers names {unknown[0]!r}, which is not converted")
    for module in converted:
        module.configure(config)


def revert_(model: nn.Module) -> None:
    """Put the original convolutions back and stop counting; outputs are those of before, bit for bit."""
    for module in list(model.modules()):
        if isinstance(module, HasteConv2d):
            _replace(model, module, module.original[0])
        for key, hook in list(module._forward_hooks.items()):
            if isinstance(hook, _DenseCounter):
                del module._forward_hooks[key]
