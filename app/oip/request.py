"""An infer request's body, JSON with or without binary data behind it, or one raw image -> what it asks, in bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.contract import ModelInfo
from app.errors import InvalidParameter, TooManyBytes, named
from app.json_body import parse_object
from app.oip.tensors import bytes_from_binary, bytes_from_json, fp32_from_bytes, fp32_from_json
from app.uploads import Upload, UploadLimits

IMAGE, TENSOR, OUTPUT = "image", "input", "probabilities"
"""The names of the tensors: encoded images, normalised images, and what is answered."""

_MAX_HEADER_BYTES = 65_536
_SPARE = 10_000  # values and lists of a body beside a tensor's data


@dataclass(frozen=True)
class Output:
    """How `probabilities` are wanted: all (0) or the best classes as texts, in binary or in JSON."""

    classification: int = 0
    binary: bool = False


@dataclass(frozen=True)
class InferRequest:
    """What was asked. Either encoded images, or a tensor (N, 3, H, W) float32 of normalised ones."""

    identity: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    output: Output = Output()
    images: tuple[bytes, ...] = ()
    tensor: NDArray[np.float32] | None = None


def parse_infer(body: bytes, header_length: str | None, info: ModelInfo, limits: UploadLimits) -> InferRequest:
    """`header_length`: what the request's Inference-Header-Content-Length says, None where it has none.

    Raises InvalidParameter, MalformedBody, TooManyBytes or TooManyImages.
    """
    length = _length(header_length, len(body))
    if length == 0 and header_length is not None:
        return InferRequest(output=Output(binary=True), images=_checked([body], limits))
    if _MAX_HEADER_BYTES < length < len(body):
        raise TooManyBytes(f"the JSON before binary data may have {_MAX_HEADER_BYTES} bytes, not {length}")
    values = _parse(body[:length], info, limits)
    identity, parameters = values.get("id"), _object(values, "parameters")
    if identity is not None and not isinstance(identity, str):
        raise InvalidParameter(f"'id' must be a text, not {named(identity)}")
    output = _output(values.get("outputs"), parameters, len(info.classes))
    images, tensor = _input(values.get("inputs"), memoryview(body)[length:], info, limits)
    return InferRequest(identity, parameters, output, images, tensor)


def _length(sent: str | None, most: int) -> int:
    if sent is None:
        return most
    if not (sent.isascii() and sent.isdecimal() and len(sent) <= 18):
        raise InvalidParameter(f"Inference-Header-Content-Length must be a whole number of bytes, not {named(sent)}")
    if int(sent) > most:
        raise InvalidParameter(f"Inference-Header-Content-Length is {sent}, but the body has {most} bytes")
    return int(sent)


def _parse(text: bytes, info: ModelInfo, limits: UploadLimits) -> dict[str, object]:
    """Counts separators first: parsing takes memory by the value, and a short body may hold many."""
    rows = limits.max_images * 3 * (info.input_size + 1)
    most_lists, most_values = rows + _SPARE, rows * info.input_size + _SPARE
    if text.count(b"[") + text.count(b"{") > most_lists or text.count(b",") > most_values:
        raise TooManyBytes(f"the JSON holds more values than {limits.max_images} images can have")
    return parse_object(text, most_lists + most_values)


def _object(values: Mapping[str, object], name: str) -> dict[str, object]:
    found = values.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidParameter(f"{name!r} must be an object, not {named(found)}")
    if any(parameter.startswith("shared_memory") for parameter in found):
        raise InvalidParameter("shared memory is not served; send the data in the body")
    return found


def _output(outputs: object, parameters: Mapping[str, object], classes: int) -> Output:
    default = _flag(parameters, "binary_data_output", of=False)
    if outputs in (None, []):
        return Output(binary=default)
    wanted = _only(outputs, "outputs")
    if wanted.get("name") != OUTPUT:
        raise InvalidParameter(f"unknown output {named(wanted.get('name'))}; there is {OUTPUT!r}")
    own = _object(wanted, "parameters")
    best = own.get("classification", 0)
    if not isinstance(best, int) or isinstance(best, bool) or not 0 <= best <= classes:
        raise InvalidParameter(f"'classification' must be a whole number in 0..{classes}, not {named(best)}")
    return Output(best, _flag(own, "binary_data", of=default))


def _flag(parameters: Mapping[str, object], name: str, *, of: bool) -> bool:
    value = parameters.get(name, of)
    if not isinstance(value, bool):
        raise InvalidParameter(f"{name!r} must be true or false, not {named(value)}")
    return value


def _only(values: object, name: str) -> dict[str, Any]:
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], dict):
        raise InvalidParameter(f"{name!r} must be a list of one object, not {named(values)}")
    return values[0]


def _input(
    inputs: object, binary: memoryview, info: ModelInfo, limits: UploadLimits
) -> tuple[tuple[bytes, ...], NDArray[np.float32] | None]:
    """The images or the tensor."""
    sent = _only(inputs, "inputs")
    name, shape, datatype = sent.get("name"), sent.get("shape"), sent.get("datatype")
    datatypes = {IMAGE: "BYTES", TENSOR: "FP32"}
    if not isinstance(name, str) or name not in datatypes:
        raise InvalidParameter(f"unknown input {named(name)}; send {IMAGE!r} or {TENSOR!r}")
    if datatype != datatypes[name]:
        raise InvalidParameter(f"the datatype of {name!r} is {datatypes[name]}, not {named(datatype)}")
    data = _data(sent, binary)
    if name == IMAGE:
        count = _count(shape, ([], [1]), limits)
        decode = bytes_from_binary if isinstance(data, memoryview) else bytes_from_json
        return _checked(decode(data, count), limits), None
    row = [3, info.input_size, info.input_size]
    full = [_count(shape, (row,), limits), *row]
    return (), fp32_from_bytes(data, full) if isinstance(data, memoryview) else fp32_from_json(data, full)


def _data(sent: dict[str, Any], binary: memoryview) -> Any:
    """A tensor's data: a memoryview where it is binary, else a JSON value."""
    size = _object(sent, "parameters").get("binary_data_size")
    if (size is None) == (sent.get("data") is None):
        raise InvalidParameter("an input has either 'data' or the parameter 'binary_data_size'")
    expected = 0 if size is None else size
    if isinstance(expected, bool) or expected != len(binary):
        behind = "Inference-Header-Content-Length tells where it begins"
        raise InvalidParameter(f"{len(binary)} bytes of binary data follow the JSON, not {named(expected)}; {behind}")
    return sent["data"] if size is None else binary


def _count(shape: object, rows: tuple[list[int], ...], limits: UploadLimits) -> int:
    """N of a shape [N, *row]."""
    if (
        not isinstance(shape, list)
        or not all(isinstance(n, int) and not isinstance(n, bool) for n in shape)
        or shape[1:] not in rows
        or shape[:1] < [1]
    ):
        wanted = " or ".join(f"[N{''.join(f', {n}' for n in row)}]" for row in rows)
        raise InvalidParameter(f"the shape must be {wanted} with N of 1 or more, not {named(shape)}")
    limits.check_images(shape[0])
    return int(shape[0])


def _checked(images: list[bytes], limits: UploadLimits) -> tuple[bytes, ...]:
    return tuple(Upload(images).check(limits).images)
