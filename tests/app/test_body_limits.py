"""JSON and multipart bodies: bounded in depth, in values and in headers, before they cost memory."""

import json

import pytest

from app.errors import MalformedBody
from app.json_body import MAX_DEPTH, MAX_VALUES, parse_json
from app.multipart import parse_multipart
from tests.app.harness import Client, encoded

PART = b'--b\r\nContent-Disposition: form-data; name="image"'
END = b"\r\n--b--\r\n"


def nested(depth: int) -> bytes:
    return b"[" * depth + b"1" + b"]" * depth


def test_json_may_be_as_deep_as_the_bound_and_no_deeper() -> None:
    assert parse_json(nested(MAX_DEPTH)) is not None
    for text in (nested(MAX_DEPTH + 1), b'{"a":' * 33 + b"1" + b"}" * 33, nested(900), nested(9_000)):
        with pytest.raises(MalformedBody, match="nested 32 levels"):
            parse_json(text)


def test_json_may_hold_as_many_values_as_the_bound_and_no_more() -> None:
    assert parse_json(json.dumps([0] * (MAX_VALUES - 1)).encode()) is not None
    for text in (b"[" + b"0," * MAX_VALUES + b"0]", b"[" + b"[]," * MAX_VALUES, b"[" * 30_000_000):
        with pytest.raises(MalformedBody, match="10000 values"):
            parse_json(text)
    assert parse_json(json.dumps([0] * MAX_VALUES).encode(), max_values=2 * MAX_VALUES) is not None


def test_a_long_number_stays_text() -> None:
    assert parse_json(b"1" * 19) == "1" * 19
    assert parse_json(b"0." + b"1" * 100) == "0." + "1" * 100


def test_a_part_s_headers_are_bounded() -> None:
    for headers in (b"\r\nX: " + b"a" * 5_000, b"\r\nX: a" * 9, b"\r\n" + b"X" * 5_000 + b": a"):
        with pytest.raises(MalformedBody, match="not multipart"):
            parse_multipart(PART + headers + b"\r\n\r\nabc" + END, "multipart/form-data; boundary=b")


def test_bodies_over_a_bound_answer_400(client: Client) -> None:
    for body in (nested(40), b"[" + b"0," * MAX_VALUES + b"0]"):
        assert client.classify(body, headers={"Content-Type": "application/json"}).status_code == 400
        assert client.request("PATCH", "/config", content=body).status_code == 400
    many = (PART + b"\r\n\r\na\r\n") * 1025 + b"--b--\r\n"
    assert client.classify(many, headers={"Content-Type": "multipart/form-data; boundary=b"}).status_code == 400
    assert client.classify(encoded()).status_code == 200


def test_many_parameters_answer_422(client: Client) -> None:
    query = "?" + "&".join(f"a{number}=1" for number in range(1000))
    assert client.classify(encoded(), query).status_code == 422
    assert client.classify(encoded(), "?" + "L=8&" * 1000).status_code == 422
