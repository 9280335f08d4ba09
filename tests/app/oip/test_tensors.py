"""Tensors on the wire: what fits is read bit for bit, what does not is refused with what is wrong."""

import base64
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidParameter, MalformedBody
from app.oip.tensors import bytes_from_binary, bytes_from_json, bytes_to_binary, fp32_from_bytes, fp32_from_json

SHAPE = [2, 3, 2, 2]
VALUES = np.linspace(-3, 3, 24, dtype=np.float32).reshape(SHAPE)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_bytes_elements_come_back_as_they_were(elements: list[bytes]) -> None:
    assert bytes_from_binary(bytes_to_binary(elements), len(elements)) == elements
    texts = [base64.b64encode(element).decode() for element in elements]
    assert bytes_from_json(texts, len(texts)) == bytes_from_json([[text] for text in texts], len(texts)) == elements


@given(st.binary(max_size=64), st.integers(0, 5))
def test_any_bytes_are_read_whole_or_refused(data: bytes, count: int) -> None:
    try:
        elements = bytes_from_binary(data, count)
    except InvalidParameter:
        return
    assert bytes_to_binary(elements) == data


@pytest.mark.parametrize(
    ("data", "count", "what"),
    [
        (b"", 1, "ends before the length of element 0"),
        (b"\1\0\0", 1, "ends before the length of element 0"),
        (struct.pack("<I", 5) + b"abcd", 1, "element 0 has 5 bytes by its length, 4 are left"),
        (b"\xff\xff\xff\xffabcd", 1, "element 0 has 4294967295 bytes"),
        (struct.pack("<I", 1) + b"a", 2, "ends before the length of element 1"),
        (struct.pack("<I", 1) + b"abc", 1, "2 bytes follow the last of 1"),
    ],
)
def test_no_length_of_an_element_is_believed(data: bytes, count: int, what: str) -> None:
    with pytest.raises(InvalidParameter, match=what):
        bytes_from_binary(data, count)


@pytest.mark.parametrize(
    "data", ["YQ==", {"0": "YQ=="}, [1], ["YQ"], ["Y!=="], ["YQ==", "YQ=="], [["YQ==", "YQ=="]], []]
)
def test_a_json_element_is_a_base64_text(data: Any) -> None:
    with pytest.raises((InvalidParameter, MalformedBody), match=r"base64|as many"):
        bytes_from_json(data, 1)


def test_floats_are_read_from_bytes_flat_and_nested_lists_alike() -> None:
    unaligned = memoryview(b"x" + VALUES.astype("<f4").tobytes())[1:]
    for read in (
        fp32_from_bytes(unaligned, SHAPE),
        fp32_from_json(VALUES.tolist(), SHAPE),
        fp32_from_json(VALUES.ravel().tolist(), SHAPE),
        fp32_from_json(VALUES.reshape(2, 12).tolist(), SHAPE),
    ):
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, VALUES)


@pytest.mark.parametrize(
    "data",
    [
        None,
        1.0,
        "a text",
        {"0": 1.0},
        [],
        [1.0] * 23,
        [1.0] * 25,
        ["1.0"] * 24,
        [None] * 24,
        [[1.0] * 12, 1.0],
        [[1.0] * 12, "abcdefghijkl"],
        [[[[[1.0] * 24]]]],
        [{"a": 1.0}] * 24,
        [10**400] * 24,
    ],
)
def test_other_json_is_no_tensor(data: Any) -> None:
    with pytest.raises(InvalidParameter, match="'data'"):
        fp32_from_json(data, SHAPE)


@pytest.mark.parametrize("size", [0, 95, 97, 192])
def test_other_sizes_are_no_tensor(size: int) -> None:
    with pytest.raises(InvalidParameter, match=f"has 96 bytes, not {size}"):
        fp32_from_bytes(bytes(size), SHAPE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39])
def test_what_is_not_finite_is_refused_and_named(value: float) -> None:
    values = VALUES.astype(np.float64).ravel()
    values[7] = value
    with pytest.raises(InvalidParameter, match="element 7"):
        fp32_from_json(values.tolist(), SHAPE)
    if abs(value) != 1e39:
        with pytest.raises(InvalidParameter, match="element 7"):
            fp32_from_bytes(values.astype("<f4").tobytes(), SHAPE)
