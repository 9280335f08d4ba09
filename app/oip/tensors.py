"""FP32 and BYTES tensors from and to bytes and JSON values; no length that a client names is believed."""

import struct
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidParameter, named
from app.uploads import from_base64

_LENGTH = struct.Struct("<I")


def fp32_from_bytes(data: bytes | memoryview, shape: Sequence[int]) -> NDArray[np.float32]:
    """Little-endian bytes -> an array of that shape, a view of them; InvalidParameter where they do not fit."""
    expected = 4 * int(np.prod(shape))
    if len(data) != expected:
        raise InvalidParameter(f"an FP32 tensor of shape {list(shape)} has {expected} bytes, not {len(data)}")
    return _finite(np.frombuffer(data, "<f4"), shape)


def fp32_from_json(data: object, shape: Sequence[int]) -> NDArray[np.float32]:
    """A list of numbers, flat or nested, in row-major order -> an array; InvalidParameter where it does not fit."""
    if not isinstance(data, list):
        raise InvalidParameter(f"'data' of an FP32 tensor must be a list of numbers, not {named(data)}")
    try:
        numbers = array("f", _flat(data, len(shape) - 1))
    except (TypeError, OverflowError):
        raise InvalidParameter(
            "'data' of an FP32 tensor must hold numbers alone, flat or nested as its shape"
        ) from None
    if len(numbers) != np.prod(shape):
        raise InvalidParameter(
            f"an FP32 tensor of shape {list(shape)} has {np.prod(shape)} numbers in 'data', not {len(numbers)}"
        )
    return _finite(np.frombuffer(numbers, np.float32), shape)


def _flat(data: list[Any], levels: int) -> list[Any]:
    for _ in range(levels):
        if not any(isinstance(one, list) for one in data):
            break
        data = list(chain.from_iterable(data))
    return data


def _finite(values: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise InvalidParameter(f"an FP32 tensor must be finite; element {wrong[0]} is {values[wrong[0]]}")
    return values.reshape(shape)


def bytes_from_binary(data: bytes | memoryview, count: int) -> list[bytes]:
    """`count` elements, a 4-byte little-endian length before each; InvalidParameter where that is not what is there."""
    elements: list[bytes] = []
    start = 0
    for index in range(count):
        begin = start + _LENGTH.size
        if begin > len(data):
            raise InvalidParameter(f"a BYTES tensor of {count} elements ends before the length of element {index}")
        (length,) = _LENGTH.unpack_from(data, start)
        start = begin + length
        if start > len(data):
            raise InvalidParameter(
                f"BYTES element {index} has {length} bytes by its length, {len(data) - begin} are left"
            )
        elements.append(bytes(data[begin:start]))
    if start != len(data):
        raise InvalidParameter(f"{len(data) - start} bytes follow the last of {count} BYTES elements")
    return elements


def bytes_from_json(data: object, count: int) -> list[bytes]:
    """`count` base64 texts, flat or each in a list; a JSON text cannot hold the bytes of an image themselves."""
    if not isinstance(data, list):
        raise InvalidParameter(f"'data' of a BYTES tensor must be a list of base64 texts, not {named(data)}")
    texts = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in data]
    if len(texts) != count:
        raise InvalidParameter(f"a BYTES tensor of {count} elements has as many texts in 'data', not {len(texts)}")
    return [from_base64(text, index, count) for index, text in enumerate(texts)]


def bytes_to_binary(elements: Iterable[bytes]) -> bytes:
    """The elements with a 4-byte little-endian length before each."""
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)
