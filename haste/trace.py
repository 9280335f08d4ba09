"""A model as a list of operations over buffers: traced, BatchNorm folded, ReLU and residual additions fused."""

import operator
import threading
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from haste.conv import HasteConv2d

TRACING = threading.Lock()
"""Held while a model is traced: torch.fx patches nn.Module for the whole process, so no other module may run then."""

CONVOLUTION, MAX_POOL, AVERAGE_POOL, LINEAR = range(4)


class NotTraceable(ValueError):
    """A model that no program can be made of; the message names what stands in the way."""


@dataclass
class Buffer:
    """One activation (C, H, W) of an image and the border of zeros that its readers need."""

    channels: int
    height: int
    width: int
    border: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.height, self.width, self.channels, self.border


@dataclass
class Operation:
    """One step; buffers by number. `module` is the convolution or linear layer that it stands for."""

    name: str
    kind: int
    input: int
    output: int
    residual: int = -1
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    relu: bool = False
    weight: Tensor | None = None
    bias: Tensor | None = None
    module: nn.Conv2d | nn.Linear | None = None


@dataclass
class Trace:
    operations: list[Operation] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, HasteConv2d) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module, shape: tuple[int, int, int]) -> Trace:
    """The operations of `model` for images (C, H, W), in evaluation mode. NotTraceable names what does not fit."""
    try:
        with TRACING:
            graph = fx.GraphModule(model, _Tracer().trace(model))
        with torch.no_grad():
            ShapeProp(graph).propagate(torch.zeros(1, *shape))
    except Exception as error:
        raise NotTraceable(f"{type(model).__name__} cannot be traced: {str(error).splitlines()[0]}") from error
    return _Builder(graph).build()


class _Builder:
    """Walks the graph once; `made` holds the operation that a value comes out of, `place` its buffer."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph, self.modules = graph, dict(graph.named_modules())
        self.result = Trace()
        self.place: dict[fx.Node, int] = {}
        self.made: dict[fx.Node, Operation] = {}
        self.alias_of: dict[fx.Node, fx.Node] = {}

    def build(self) -> Trace:
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                if self.place:
                    raise NotTraceable("the model takes more than one input")
                self._new_buffer(node)
            elif node.op == "call_module":
                self._module(node, self.modules[node.target])
            elif node.op == "output":
                if self.result.operations[-1].kind != LINEAR or self.place.get(node.args[0]) is None:
                    raise NotTraceable("the model does not end with a linear layer")
            else:
                self._function(node)
        return self.result

    def _new_buffer(self, node: fx.Node) -> int:
        shape = node.meta["tensor_meta"].shape
        self.result.buffers.append(Buffer(*shape[1:]) if len(shape) == 4 else Buffer(shape[1], 1, 1))
        self.place[node] = len(self.result.buffers) - 1
        return self.place[node]

    def _source(self, node: fx.Node) -> fx.Node:
        source = cast(fx.Node, node.args[0])
        if source not in self.place:
            raise NotTraceable(f"{node.name} reads something that is no activation")
        return source

    def _alias(self, node: fx.Node, source: fx.Node) -> None:
        self.place[node], self.alias_of[node] = self.place[source], source
        if source in self.made:
            self.made[node] = self.made[source]

    def _add(self, node: fx.Node, source: fx.Node, kind: int, **values: Any) -> None:
        made = Operation(str(node.target), kind, self.place[source], self._new_buffer(node), **values)
        self.result.operations.append(made)
        self.made[node] = made

    def _module(self, node: fx.Node, module: nn.Module) -> None:
        source = self._source(node)
        if isinstance(module, nn.Identity | nn.Dropout | nn.Flatten):
            self._alias(node, source)
        elif isinstance(module, nn.ReLU):
            self._relu(node, source)
        elif isinstance(module, nn.Conv2d):
            self._convolution(node, source, module)
        elif isinstance(module, nn.BatchNorm2d):
            self._fold(node, source, module)
        elif isinstance(module, nn.Linear):
            self._add(node, source, LINEAR, weight=module.weight, bias=module.bias, module=module)
        elif isinstance(module, nn.MaxPool2d):
            self._max_pool(node, source, module)
        elif isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            self._average(node, source)
        else:
            raise NotTraceable(f"{node.target}: {type(module).__name__} has no native form")

    def _function(self, node: fx.Node) -> None:
        if node.target in (operator.add, operator.iadd, torch.add):
            self._residual(node)
        elif node.target is torch.flatten or node.target == "flatten":
            self._alias(node, self._source(node))
        elif node.target in (torch.relu, nn.functional.relu) or node.target == "relu":
            self._relu(node, self._source(node))
        else:
            raise NotTraceable(f"{node.name}: {node.target} has no native form")

    def _fusable(self, node: fx.Node, source: fx.Node) -> Operation:
        made = self.made.get(source)
        names: list[fx.Node] = [source]
        while names[-1] in self.alias_of:
            names.append(self.alias_of[names[-1]])
        alone = all(len(name.users) == 1 for name in names)  # nobody else reads the value before it is changed
        if made is None or made.kind != CONVOLUTION or made.relu or not alone:
            raise NotTraceable(f"{node.name} does not follow a convolution of its own")
        return made

    def _relu(self, node: fx.Node, source: fx.Node) -> None:
        self._fusable(node, source).relu = True
        self._alias(node, source)

    def _fold(self, node: fx.Node, source: fx.Node, norm: nn.BatchNorm2d) -> None:
        made = self._fusable(node, source)
        if norm.training or norm.running_var is None or norm.running_mean is None or made.residual >= 0:
            raise NotTraceable(f"{node.target}: BatchNorm in training mode, or not behind its convolution")
        assert made.weight is not None
        assert made.bias is not None
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.affine:
            scale = scale * norm.weight.double()
        made.weight = made.weight * scale[:, None, None, None]
        made.bias = (made.bias - norm.running_mean.double()) * scale
        if norm.affine:
            made.bias = made.bias + norm.bias.double()
        self._alias(node, source)

    def _convolution(self, node: fx.Node, source: fx.Node, conv: nn.Conv2d) -> None:
        kernel, stride, padding = (
            set(v) for v in (conv.kernel_size, conv.stride, conv._reversed_padding_repeated_twice)
        )
        if conv.groups != 1 or conv.dilation != (1, 1) or conv.padding_mode != "zeros":
            raise NotTraceable(f"{node.target}: grouped, dilated or not padded with zeros")
        if len(kernel) != 1 or len(stride) != 1 or len(padding) != 1 or max(kernel) > 7:
            raise NotTraceable(f"{node.target}: kernel, stride and padding must be square, the kernel 7 at most")
        weight = conv.weight.detach().double()
        bias = torch.zeros(len(weight), dtype=torch.float64) if conv.bias is None else conv.bias.detach().double()
        shape = {"kernel": kernel.pop(), "stride": stride.pop(), "padding": padding.pop()}
        self._border(source, shape["padding"])
        self._add(node, source, CONVOLUTION, **shape, weight=weight, bias=bias, module=conv)

    def _max_pool(self, node: fx.Node, source: fx.Node, pool: nn.MaxPool2d) -> None:
        values = (pool.kernel_size, pool.stride, pool.padding)
        if pool.ceil_mode or pool.dilation != 1 or pool.return_indices or not all(isinstance(v, int) for v in values):
            raise NotTraceable(f"{node.target}: this MaxPool2d has no native form")
        kernel, stride, padding = cast(tuple[int, int, int], values)
        self._border(source, padding)
        self._add(node, source, MAX_POOL, kernel=kernel, stride=stride, padding=padding)

    def _average(self, node: fx.Node, source: fx.Node) -> None:
        buffer = self.result.buffers[self.place[source]]
        if buffer.height != buffer.width:
            raise NotTraceable(f"{node.target}: a map that is not square has no native average")
        self._add(node, source, AVERAGE_POOL, kernel=buffer.height)

    def _border(self, source: fx.Node, padding: int) -> None:
        buffer = self.result.buffers[self.place[source]]
        buffer.border = max(buffer.border, padding)

    def _residual(self, node: fx.Node) -> None:
        if node.kwargs.get("alpha", 1) != 1:
            raise NotTraceable(f"{node.name} adds with a factor")
        both = [n for n in node.args if isinstance(n, fx.Node) and n in self.place]

        def order(n: fx.Node) -> int:
            return self.result.operations.index(self.made[n]) if n in self.made else -1

        if len(both) != 2 or both[0] is both[1]:
            raise NotTraceable(f"{node.name} does not add two activations")
        first, second = sorted(both, key=order)
        made = self._fusable(node, second)
        if made.residual >= 0 or order(first) == order(second):
            raise NotTraceable(f"{node.name} adds more than one activation to a convolution")
        made.residual = self.place[first]
        self._alias(node, second)
