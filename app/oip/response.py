"""What is answered to an infer request, as JSON with or without binary data behind it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.contract import ImageResult, Level, ModelInfo
from app.errors import InvalidParameter
from app.oip.metadata import VERSION
from app.oip.request import OUTPUT, InferRequest
from app.oip.tensors import bytes_to_binary


@dataclass(frozen=True)
class ImageAnswer:
    """One image's result with all classes, the level that it ran at, and whether the controller lowered it."""

    result: ImageResult
    level: Level
    degraded: bool


@dataclass(frozen=True)
class Encoded:
    """A body; `header_length` is the bytes of its JSON where binary data follows, else None."""

    body: bytes
    header_length: int | None


def encode(info: ModelInfo, asked: InferRequest, answers: Sequence[ImageAnswer]) -> Encoded:
    """InvalidParameter where the input was so large that the network overflowed: JSON has no NaN."""
    table = _probabilities(info, answers)
    output: dict[str, object] = {"name": OUTPUT, "datatype": "FP32", "shape": list(table.shape)}
    elements: list[float] | list[str]
    if best := asked.output.classification:
        output |= {"datatype": "BYTES", "shape": [len(answers), best]}
        elements = [f"{p.probability:f}:{p.index}:{p.label}" for a in answers for p in a.result.predictions[:best]]
        binary = bytes_to_binary(text.encode() for text in elements)
    else:
        elements, binary = table.ravel().tolist(), table.tobytes()
    output |= {"parameters": {"binary_data_size": len(binary)}} if asked.output.binary else {"data": elements}
    values: dict[str, object] = {"model_name": info.name, "model_version": VERSION, "outputs": [output]}
    values |= {"parameters": _parameters(answers)} | ({} if asked.identity is None else {"id": asked.identity})
    header = json.dumps(values, separators=(",", ":")).encode()
    return Encoded(header + binary, len(header)) if asked.output.binary else Encoded(header, None)


def _probabilities(info: ModelInfo, answers: Sequence[ImageAnswer]) -> NDArray[np.float32]:
    """(N, classes) float32, little-endian."""
    table = np.zeros((len(answers), len(info.classes)), "<f4")
    for row, answer in zip(table, answers, strict=True):
        for prediction in answer.result.predictions:
            row[prediction.index] = prediction.probability
    if not np.isfinite(table).all():
        raise InvalidParameter("the network overflowed; a normalised image lies within about -3..3")
    return table


def _parameters(answers: Sequence[ImageAnswer]) -> dict[str, object]:
    """The level that was used, or one for each image, joined by commas, where they differ."""
    levels = [answer.level for answer in answers]
    same = all(level == levels[0] for level in levels)
    dense, executed = (sum(getattr(answer.result.flops, name) for answer in answers) for name in ("dense", "executed"))
    return {
        "haste_l": levels[0] if same else ",".join(map(str, levels)),
        "haste_reduction": 1 - executed / dense if dense else 0.0,
        "haste_degraded": any(answer.degraded for answer in answers),
    }
