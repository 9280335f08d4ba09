"""The network a command names: embedded weights, or a checkpoint of the user's in one of our networks."""

import argparse
import hashlib
from pathlib import Path
from typing import Literal

from torch import nn

from haste.models import DEFAULT, WeightsRecord, list_pretrained, load_pretrained, model_from_checkpoint

_CIFAR_MEAN, _CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """`--model` and `--checkpoint`."""
    parser.add_argument("--model", default=DEFAULT, metavar="M", help=f"weights or network (default: {DEFAULT})")
    parser.add_argument("--checkpoint", type=Path, metavar="F", help="state dict for M: .safetensors, .pt or .pth")


def dataset_of(model: str) -> Literal["cifar10", "imagenet"]:
    """The data set whose published settings suit a network: "cifar10" or "imagenet"."""
    return "cifar10" if model.endswith("_cifar10") else "imagenet"


def load_network(args: argparse.Namespace) -> tuple[nn.Module, WeightsRecord]:
    """The dense network in evaluation mode and its record; ValueError for unknown names and unfit checkpoints."""
    if args.checkpoint is None:
        return load_pretrained(args.model)
    model = model_from_checkpoint(args.model, args.checkpoint)
    return model, _record_of(args.model, model, args.checkpoint)


def _record_of(name: str, model: nn.Module, checkpoint: Path) -> WeightsRecord:
    """What can be said of a checkpoint: input and statistics of the network's data set, class names where known."""
    small = dataset_of(name) == "cifar10"
    count = int(model.get_parameter("fc.weight").shape[0])
    known = [record.classes for record in list_pretrained() if record.model == name and len(record.classes) == count]
    return WeightsRecord(
        name=name,
        model=name,
        file=checkpoint.name,
        sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        source="a checkpoint of the user's",
        licence="unknown",
        input_size=32 if small else 224,
        mean=_CIFAR_MEAN if small else _IMAGENET_MEAN,
        std=_CIFAR_STD if small else _IMAGENET_STD,
        classes=known[0] if known else tuple(map(str, range(count))),
        dense_top1=None,
        parameters=sum(p.numel() for p in model.parameters()),
        embedded=False,
        training={},
    )
