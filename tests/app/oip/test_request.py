"""An infer request's body: what the header and the JSON announce is checked against what is there."""

import base64
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidParameter, MalformedBody, TooManyBytes, TooManyImages, Undecodable
from app.oip.request import InferRequest, Output, parse_infer
from app.oip.tensors import bytes_to_binary
from app.uploads import UploadLimits
from tests.app.harness import info

LIMITS = UploadLimits(max_request_bytes=2**20, max_image_bytes=1000, max_images=4, body_timeout_ms=1000)
TENSOR = np.ones((1, 3, 32, 32), "<f4")
TEXT = base64.b64encode(b"abc").decode()
IMAGE = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [TEXT]}
WRONG_OUTPUT_PARAMETERS: list[Any] = [
    *({"classification": wrong} for wrong in (11, -1, True, "3")),
    *({"binary_data": 1}, {"shared_memory_region": "x"}, []),
]


def parse(values: Any, binary: bytes = b"", *, header: bool = False, **more: Any) -> InferRequest:
    """Values as JSON, binary data behind them; the header's length is sent where it is needed, or asked for."""
    text = json.dumps(values | more if isinstance(values, dict) else values).encode()
    return parse_infer(text + binary, str(len(text)) if binary or header else None, info("small"), LIMITS)


def binary(name: str, datatype: str, shape: list[Any], size: Any) -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    return {"inputs": [{"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}]}


def test_json_and_binary_say_the_same() -> None:
    for shape in ([2], [2, 1]):
        sent = IMAGE | {"shape": shape, "data": [TEXT, TEXT]}
        data = bytes_to_binary([b"abc", b"abc"])
        for asked in (parse({"inputs": [sent]}), parse(binary("image", "BYTES", shape, len(data)), data)):
            assert (asked.images, asked.tensor, asked.output) == ((b"abc", b"abc"), None, Output())
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 3, 32, 32]}
    data = TENSOR.tobytes()
    for asked in (
        parse({"inputs": [tensor | {"data": TENSOR.ravel().tolist()}]}, header=True),
        parse(binary("input", "FP32", [1, 3, 32, 32], len(data)), data),
    ):
        assert asked.tensor is not None
        np.testing.assert_array_equal(asked.tensor, TENSOR)
        assert asked.images == ()


@pytest.mark.parametrize(("side", "images"), [(32, 4), (32, 16), (224, 16)])
def test_a_tensor_in_json_may_hold_as_many_images_as_a_request(side: int, images: int) -> None:
    values = np.ones((images, 3, side, side), np.int8)
    model, limits = replace(info("large"), input_size=side), replace(LIMITS, max_images=images)
    for data in (values.ravel().tolist(), values.tolist()):
        sent = {"name": "input", "datatype": "FP32", "shape": list(values.shape), "data": data}
        asked = parse_infer(json.dumps({"inputs": [sent]}).encode(), None, model, limits)
        assert asked.tensor is not None
        np.testing.assert_array_equal(asked.tensor, values)


def test_a_header_of_no_length_makes_the_body_one_image_answered_in_binary() -> None:
    asked = parse_infer(b"abc", "0", info("small"), LIMITS)
    assert asked == InferRequest(output=Output(binary=True), images=(b"abc",))
    with pytest.raises(TooManyBytes, match="1000"):
        parse_infer(b"x" * 1001, "0", info("small"), LIMITS)


@pytest.mark.parametrize("length", ["-1", "+1", "1.0", "0x10", "", " ", "ten", "1 2", "²", "9" * 19, "9" * 5000, "1e3"])
def test_the_header_s_length_is_a_decimal_number(length: str) -> None:
    with pytest.raises(InvalidParameter, match="Inference-Header-Content-Length"):
        parse_infer(json.dumps({"inputs": [IMAGE]}).encode(), length, info("small"), LIMITS)


def test_the_header_s_length_lies_within_the_body() -> None:
    text = json.dumps({"inputs": [IMAGE]}).encode()
    assert parse_infer(text, str(len(text)), info("small"), LIMITS).images == (b"abc",)
    for length in (len(text) + 1, 10**17):
        with pytest.raises(InvalidParameter, match=f"the body has {len(text)} bytes"):
            parse_infer(text, str(length), info("small"), LIMITS)
    with pytest.raises(MalformedBody):
        parse_infer(text, str(len(text) - 1), info("small"), LIMITS)
    with pytest.raises(MalformedBody):
        parse_infer(b"", None, info("small"), LIMITS)


@pytest.mark.parametrize("size", [-1, 0, 6, 8, 10**17, 10**30, 7.5, True, "7", None, [7], {}])
def test_binary_data_has_the_size_that_its_input_says(size: Any) -> None:
    data = bytes_to_binary([b"abc"])
    assert len(data) == 7
    with pytest.raises(InvalidParameter, match="binary"):
        parse(binary("image", "BYTES", [1], size), data)


def test_binary_data_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="3 bytes of binary data follow the JSON, not 0"):
        parse({"inputs": [IMAGE]}, b"abc")
    with pytest.raises(InvalidParameter, match="either 'data' or"):
        parse({"inputs": [IMAGE | {"parameters": {"binary_data_size": 7}}]}, bytes_to_binary([b"abc"]))


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"name": "IMAGE"}, "unknown input 'IMAGE'"),
        ({"name": None}, "unknown input None"),
        ({"name": ["image"]}, "unknown input"),
        ({"datatype": "UINT8"}, "datatype of 'image' is BYTES, not 'UINT8'"),
        ({"datatype": None}, "datatype"),
        ({"shape": None}, "shape"),
        ({"shape": []}, "shape"),
        ({"shape": [0]}, "shape"),
        ({"shape": [-1]}, "shape"),
        ({"shape": [True]}, "shape"),
        ({"shape": [1.0]}, "shape"),
        ({"shape": ["1"]}, "shape"),
        ({"shape": [1, 2]}, "shape"),
        ({"shape": [1, 1, 1]}, "shape"),
        ({"name": "input", "datatype": "FP32", "shape": [1, 3, 33, 32]}, r"\[N, 3, 32, 32\]"),
        ({"name": "input", "datatype": "FP32", "shape": [3, 32, 32]}, r"\[N, 3, 32, 32\]"),
        ({"name": "input", "datatype": "FP64", "shape": [1, 3, 32, 32]}, "FP32, not 'FP64'"),
        ({"data": None}, "either 'data' or"),
        ({"parameters": []}, "'parameters' must be an object"),
        ({"parameters": {"shared_memory_region": "x"}}, "shared memory"),
    ],
)
def test_an_input_is_one_of_the_two_as_they_are(changed: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidParameter, match=what):
        parse({"inputs": [IMAGE | changed]})


@pytest.mark.parametrize("inputs", [None, [], {}, "image", [IMAGE, IMAGE], [IMAGE] * 1000, [[IMAGE]], [None]])
def test_there_is_one_input(inputs: Any) -> None:
    with pytest.raises(InvalidParameter, match="'inputs'"):
        parse({"inputs": inputs})


def test_images_are_counted_and_measured_before_they_are_read() -> None:
    for shape in ([5], [10**18]):
        with pytest.raises((TooManyImages, InvalidParameter)):
            parse({"inputs": [IMAGE | {"shape": shape}]})
    with pytest.raises(TooManyImages, match="4 images, this one holds 5"):
        parse({"inputs": [IMAGE | {"name": "input", "datatype": "FP32", "shape": [5, 3, 32, 32]}]})
    data = bytes_to_binary([b"abc", b"x" * 1001])
    with pytest.raises(TooManyBytes, match="image 1"):
        parse(binary("image", "BYTES", [2], len(data)), data)


@pytest.mark.parametrize(
    ("outputs", "parameters", "expected"),
    [
        (None, {}, Output()),
        ([], {"binary_data_output": True}, Output(0, True)),
        ([{"name": "probabilities"}], {"binary_data_output": True}, Output(0, True)),
        ([{"name": "probabilities", "parameters": {"binary_data": False}}], {"binary_data_output": True}, Output()),
        ([{"name": "probabilities", "parameters": {"classification": 3, "binary_data": True}}], {}, Output(3, True)),
    ],
)
def test_an_output_is_answered_in_the_form_that_is_asked(outputs: Any, parameters: Any, expected: Output) -> None:
    assert parse({"inputs": [IMAGE], "outputs": outputs, "parameters": parameters}).output == expected


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        "probabilities",
        [{"name": "probabilities"}] * 2,
        [{"name": "logits"}],
        [{}],
        *([{"name": "probabilities", "parameters": wrong}] for wrong in WRONG_OUTPUT_PARAMETERS),
    ],
)
def test_other_outputs_are_refused(outputs: Any) -> None:
    with pytest.raises(InvalidParameter):
        parse({"inputs": [IMAGE], "outputs": outputs})


@pytest.mark.parametrize(
    "more", [{"id": 1}, {"id": ["a"]}, {"parameters": [1]}, {"parameters": {"binary_data_output": 1}}]
)
def test_ids_are_texts_and_parameters_objects(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        parse({"inputs": [IMAGE]}, **more)


def test_json_is_bounded_in_depth_in_values_and_before_binary_data() -> None:
    with pytest.raises(MalformedBody, match="nested"):
        parse_infer(b"[" * 5000, None, info("small"), LIMITS)
    for part in (b"[],", b"{},", b"0,"):
        with pytest.raises(TooManyBytes, match="more values"):
            parse_infer(b'{"inputs":[' + part * 60_000, None, info("small"), LIMITS)
    padded = json.dumps({"inputs": [IMAGE], "x": "x" * 65_536}).encode()
    with pytest.raises(TooManyBytes, match="65536"):
        parse_infer(padded + b"x", str(len(padded)), info("small"), LIMITS)


@given(st.binary(max_size=80), st.one_of(st.none(), st.integers(-2, 90).map(str)))
def test_any_body_is_parsed_or_refused_as_the_client_s_fault(body: bytes, length: str | None) -> None:
    with suppress(InvalidParameter, MalformedBody, TooManyBytes, TooManyImages, Undecodable):
        assert parse_infer(body, length, info("small"), LIMITS).images
