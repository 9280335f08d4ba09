"""Pretrained weights: what each file is, where it comes from, what its network expects and reached."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from torch import nn

from haste.models.checkpoint import load_checkpoint
from haste.models.registry import create_model

DEFAULT = "resnet18_cifar10"
"""The name of the weights that are used where none is named."""

STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation per channel of RGB in 0..1 that networks of a data set are trained with."""

FOLDER = Path(__file__).parent / "weights"
_GOLDEN = ".golden.json"


@dataclass(frozen=True)
class WeightsRecord:
    """One set of weights; the values are checked, and ValueError names the field that is wrong.

    name, model: the weights' own name and that of their network (`create_model`).
    file, sha256: the safetensors file, beside the record where `embedded`, and its hash.
    source, licence: where the weights come from and what they may be used for (SPDX).
    input_size, mean, std: side of the input in pixels; per channel of RGB in 0..1, what to subtract and divide by.
    classes: names in the order of the logits.
    dense_top1: share of the test images classified right without HASTE, 0..1; None where nobody has measured it.
    parameters: number of trainable values.
    training: script, seed, phases, hours and measurements of the run, as its record states them.
    """

    name: str
    model: str
    file: str
    sha256: str
    source: str
    licence: str
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    classes: tuple[str, ...]
    dense_top1: float | None
    parameters: int
    embedded: bool
    training: Mapping[str, Any]

    def __post_init__(self) -> None:
        texts = (self.name, self.model, self.file, self.source, self.licence)
        problems = {
            "name, model, file, source and licence": not all(map(_is_text, texts)),
            "file": self.file != Path(str(self.file)).name,
            "sha256": not re.fullmatch(r"[0-9a-f]{64}", str(self.sha256)),
            "input_size": not _is_count(self.input_size),
            "mean": not _is_rgb(self.mean),
            "std": not _is_rgb(self.std) or min(self.std) <= 0,
            "classes": not self.classes or len(set(self.classes)) != len(self.classes),
            "dense_top1": self.dense_top1 is not None and not 0 <= self.dense_top1 <= 1,
            "parameters": not _is_count(self.parameters),
        }
        wrong = next((name for name, bad in problems.items() if bad), None)
        if wrong is not None:
            raise ValueError(f"weights record {self.name!r}: {wrong} is not valid: {getattr(self, wrong, texts)!r}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_rgb(value: object) -> bool:
    triple = isinstance(value, tuple) and len(value) == 3
    return triple and all(isinstance(v, float) and math.isfinite(v) for v in cast(tuple[object, ...], value))


def read_record(path: str | Path) -> WeightsRecord:
    """The record in a JSON file; ValueError where a field is missing, unknown or not valid."""
    values = json.loads(Path(path).read_text(encoding="utf-8"))
    expected = {field.name for field in fields(WeightsRecord)}
    if not isinstance(values, dict) or set(values) != expected:
        odd = sorted(expected ^ set(values))
        raise ValueError(f"{path}: a weights record has the fields {sorted(expected)}; missing or unknown: {odd}")
    for name in ("mean", "std", "classes"):
        values[name] = tuple(values[name])
    return WeightsRecord(**values)


def list_pretrained() -> list[WeightsRecord]:
    """The records of all weights in the package, the default first, then by name."""
    paths = [path for path in FOLDER.glob("*.json") if not path.name.endswith(_GOLDEN)]
    return sorted(map(read_record, paths), key=lambda record: (record.name != DEFAULT, record.name))


def find_record(name: str) -> WeightsRecord:
    """The record of that name; ValueError names the known ones otherwise."""
    records = {record.name: record for record in list_pretrained()}
    if name not in records:
        raise ValueError(f"no pretrained weights {name!r}; known: {', '.join(records) or 'none'}")
    return records[name]


def load_pretrained(name: str = DEFAULT) -> tuple[nn.Module, WeightsRecord]:
    """The network of that name with its weights, float32, in evaluation mode, and their record.

    The file's sha256 is verified before it is read. Raises ValueError for an unknown name and CheckpointError
    for a file that is missing or not the recorded one.
    """
    record = find_record(name)
    model = create_model(record.model, len(record.classes))
    load_checkpoint(model, FOLDER / record.file, record.sha256)
    return model.eval(), record


def golden_logits(name: str = DEFAULT) -> dict[str, list[float]]:
    """Logits of the dense network for the images of `haste/samples`, by file name; they travel with the weights."""
    golden = json.loads((FOLDER / f"{find_record(name).name}{_GOLDEN}").read_text(encoding="utf-8"))
    return {str(image): [float(v) for v in logits] for image, logits in golden["logits"].items()}
