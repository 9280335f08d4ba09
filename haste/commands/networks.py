"""The network a command names: embedded weights, or a checkpoint of the user's in one of our networks."""

import argparse
from pathlib import Path
from typing import Literal

from torch import nn

from haste.models import DEFAULT, WeightsRecord, list_pretrained, load_pretrained, model_from_checkpoint
from haste.models.weights import STATISTICS


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
    model, sha256 = model_from_checkpoint(args.model, args.checkpoint)
    return model, _record_of(args.model, model, args.checkpoint, sha256)


def _record_of(name: str, model: nn.Module, checkpoint: Path, sha256: str) -> WeightsRecord:
    """What can be said of a checkpoint: input and statistics of the network's data set, class names where known."""
    dataset = dataset_of(name)
    mean, std = STATISTICS[dataset]
    count = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1].out_features
    known = [record.classes for record in list_pretrained() if record.model == name and len(record.classes) == count]
    return WeightsRecord(
        name=name,
        model=name,
        file=checkpoint.name,
        sha256=sha256,
        source="a checkpoint of the user's",
        licence="unknown",
        input_size=32 if dataset == "cifar10" else 224,
        mean=mean,
        std=std,
        classes=known[0] if known else tuple(map(str, range(count))),
        dense_top1=None,
        parameters=sum(p.numel() for p in model.parameters()),
        embedded=False,
        training={},
    )
