"""The Open Inference Protocol's infer requests over HTTP: what is asked, answered, counted and refused."""

import asyncio
import base64
import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest

from app.contract import BatchResult, ImageResult, Prediction
from app.oip.tensors import bytes_from_binary, bytes_to_binary
from app.routes.examples import INFER_EXAMPLES
from tests.app.harness import CLASSES, Client, FakeEngine, encoded, fake_flops, serving
from tests.app.test_load import hold, leave, outcome, waiting

PNG = encoded(color=(3, 0, 0))
INFER = "/v2/models/small/infer"
HEADER = "Inference-Header-Content-Length"


def text(image: bytes) -> str:
    return base64.b64encode(image).decode()


def images(*encoded: bytes, **more: Any) -> dict[str, Any]:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(encoded)], "data": [text(one) for one in encoded]}
    return {"inputs": [tensor]} | more


def infer(client: Client, path: str = INFER, **options: Any) -> httpx.Response:
    return client.request("POST", path, **options)


def asked_for(**parameters: Any) -> list[dict[str, Any]]:
    return [{"name": "probabilities", "parameters": parameters}]


def split(answer: httpx.Response) -> tuple[Any, bytes]:
    """The JSON of an answer, and the binary data behind it."""
    length = int(answer.headers[HEADER])
    return json.loads(answer.content[:length]), answer.content[length:]


def test_images_in_json_are_answered_in_json_with_the_level_and_the_id(client: Client) -> None:
    answer = infer(client, json=images(PNG, encoded(), id="a-1", parameters={"haste_l": 10})).json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("a-1", "small", "1")
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("probabilities", "FP32", [2, 10])
    assert output["data"] == pytest.approx([0.1] * 20)
    flops = fake_flops(10)
    assert answer["parameters"] == {"haste_l": 10, "haste_reduction": flops.reduction, "haste_degraded": False}
    assert "id" not in infer(client, json=images(PNG)).json()


@pytest.mark.parametrize("level", [1, 32, "exact", "dense", None])
def test_haste_l_is_the_level_of_every_image(client: Client, engine: FakeEngine, level: Any) -> None:
    answer = infer(client, json=images(PNG, PNG, parameters={"haste_l": level}))
    used = 12 if level is None else level
    assert answer.json()["parameters"]["haste_l"] == used
    assert engine.batches == [("small", (used, used))]


@pytest.mark.parametrize("level", [0, 33, 10.0, "10", "fast", True, [8]])
def test_a_level_out_of_bounds_answers_400(client: Client, engine: FakeEngine, level: Any) -> None:
    answer = infer(client, json=images(PNG, parameters={"haste_l": level}))
    assert (answer.status_code, "must be a whole number in 1..32" in answer.json()["error"]) == (400, True)
    assert engine.batches == []


def test_parameters_of_other_servers_change_nothing_and_a_misspelt_one_is_refused(client: Client) -> None:
    others: dict[str, Any] = {
        "priority": 1,
        "timeout": 5,
        "sequence_id": 7,
        "sequence_start": True,
        "sequence_end": False,
    }
    others |= {"binary_data_output": False, "triton_enable_empty_final_response": True, "content_type": "x"}
    assert infer(client, json=images(PNG, parameters=others)).status_code == 200
    for misspelt in ("haste_L", "L", "hastel"):
        answer = infer(client, json=images(PNG, parameters={misspelt: 8}))
        assert (answer.status_code, "known: haste_l" in answer.json()["error"]) == (400, True)


def test_a_binary_request_is_answered_as_it_asks(client: Client) -> None:
    data = bytes_to_binary([PNG, PNG])
    tensor = {"name": "image", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": len(data)}}
    for more, binary in (
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"outputs": asked_for(binary_data=True)}, True),
    ):
        values = json.dumps({"inputs": [tensor]} | more).encode()
        answer = infer(client, content=values + data, headers={HEADER: str(len(values))})
        assert (answer.status_code, HEADER in answer.headers) == (200, binary)
        if binary:
            told, behind = split(answer)
            assert told["outputs"][0]["parameters"]["binary_data_size"] == len(behind) == 80
            np.testing.assert_allclose(np.frombuffer(behind, "<f4"), 0.1)


def test_a_raw_image_is_answered_in_binary(client: Client, engine: FakeEngine) -> None:
    told, behind = split(infer(client, content=PNG, headers={HEADER: "0"}))
    assert (told["outputs"][0]["shape"], len(behind)) == ([1, 10], 40)
    assert len(engine.seen) == 1


def test_a_tensor_reaches_the_network_image_by_image(client: Client, engine: FakeEngine) -> None:
    values = np.zeros((2, 3, 32, 32), "<f4")
    values[1, 0, 0, 0] = 4
    tensor = {"name": "input", "datatype": "FP32", "shape": [2, 3, 32, 32]}
    best = {"outputs": asked_for(classification=1)}
    in_json = infer(client, json={"inputs": [tensor | {"data": values.tolist()}]} | best)
    header = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": values.nbytes}}]} | best).encode()
    in_binary = infer(client, content=header + values.tobytes(), headers={HEADER: str(len(header))})
    for answer in (in_json, in_binary):
        assert answer.json()["outputs"][0]["data"] == ["0.100000:0:a", "0.100000:4:e"]
    assert engine.seen == []
    assert client.sample("haste_inference_images_total", model="small", hyperplanes="12") == 4


def test_classification_gives_value_index_and_label_best_first(client: Client) -> None:
    answer = infer(client, json=images(PNG, encoded(color=(9, 0, 0)), outputs=asked_for(classification=2)))
    (output,) = answer.json()["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 2])
    assert output["data"] == ["0.100000:3:d", "0.100000:4:e", "0.100000:9:j", "0.100000:0:a"]
    told, behind = split(infer(client, json=images(PNG, outputs=asked_for(classification=1, binary_data=True))))
    assert bytes_from_binary(behind, 1) == [b"0.100000:3:d"]
    assert told["outputs"][0]["parameters"]["binary_data_size"] == len(behind)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"{}", {}, 400),
        (b'{"a":1,"a":2}', {}, 400),
        (b"[" * 100_000, {}, 413),
        (b"{}", {HEADER: "-1"}, 400),
        (b"{}", {HEADER: "3"}, 400),
        (b"", {HEADER: "0"}, 400),
        (b"GIF89a" + bytes(20), {HEADER: "0"}, 415),
        (struct.pack("<I", 2**31) + PNG, {HEADER: "0"}, 400),
        (json.dumps(images(PNG[:40])).encode(), {}, 400),
        (json.dumps(images(PNG)).encode(), {"Content-Encoding": "gzip"}, 415),
        (json.dumps(images(*[PNG] * 17)).encode(), {}, 413),
    ],
)  # fmt: skip
def test_what_a_client_sent_is_never_a_5xx(client: Client, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = infer(client, content=body, headers=headers)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_one_bad_image_refuses_the_request_and_is_named(client: Client, engine: FakeEngine) -> None:
    assert infer(client, json=images(PNG, b"no image")).json()["error"].startswith("image 1:")
    assert (engine.batches, outcome(client, "bad_input")) == ([], 1)


def test_a_network_that_overflows_is_the_input_s_fault(
    client: Client, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = ImageResult(tuple(Prediction(label, i, float("nan")) for i, label in enumerate(CLASSES)), fake_flops(8))
    monkeypatch.setattr(engine, "forward", lambda model, items: BatchResult((nan,), {}))
    for outputs in ([], asked_for(classification=1)):
        assert infer(client, json=images(PNG, outputs=outputs)).status_code == 400
    assert outcome(client, "bad_input") == 2


def test_bodies_over_the_cap_and_a_full_queue_are_refused_as_for_classify(engine: FakeEngine) -> None:
    with serving(engine, max_image_bytes=5000, max_request_bytes=9000, queue_images=1, max_images=1) as client:
        assert infer(client, content=b"x" * 9001).status_code == 413
        assert infer(client, content=b"x" * 5001, headers={HEADER: "0"}).status_code == 413
        held = [hold(client, engine), client.background("POST", INFER, json=images(PNG))]
        waiting(client, 1)
        refused = infer(client, json=images(PNG))
        assert (refused.status_code, int(refused.headers["Retry-After"]) >= 1) == (429, True)
        engine.gate.set()
        assert [future.result().status_code for future in held] == [200, 200]
        assert (outcome(client, "ok"), outcome(client, "rejected"), outcome(client, "bad_input")) == (2, 1, 2)


def test_an_unknown_model_counts_as_nobody_s(client: Client) -> None:
    infer(client, "/v2/models/nope/infer", json=images(PNG))
    assert client.sample("haste_inference_requests_total", model="unknown", outcome="bad_input") == 1


def test_every_documented_example_of_infer_is_accepted(client: Client) -> None:
    documented = client.get("/openapi.json").json()["paths"]["/v2/models/{model}/infer"]["post"]
    assert documented["requestBody"]["content"]["application/json"]["examples"] == INFER_EXAMPLES
    for example in INFER_EXAMPLES.values():
        assert infer(client, json=example["value"]).status_code == 200


def test_a_client_that_left_is_skipped(client: Client, engine: FakeEngine) -> None:
    first, gone = hold(client, engine), asyncio.Event()
    leaving = client.start(leave(client.app, gone, INFER, [(HEADER.lower().encode(), b"0")]))
    waiting(client, 1)
    client.call(gone.set)
    assert leaving.result(10) == 499
    engine.gate.set()
    assert first.result().status_code == 200
    assert (len(engine.batches), outcome(client, "cancelled")) == (1, 1)
