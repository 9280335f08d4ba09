"""POST /explain: what it asks of the engine, what it refuses, and that it is bounded and in nobody's way."""

import asyncio
import base64
import json
from concurrent.futures import Future
from typing import Any, cast

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import haste
from app.calibrator import Calibrator
from app.contract import Shown
from app.engine import TorchEngine
from app.errors import Busy, InvalidParameter
from app.explaining import RateLimit
from app.routes.examples import EXPLAIN_EXAMPLES, EXPLAINED_EXAMPLE, TINY_PNG
from app.schemas import ExplainAnswer, PatchAnswer, ShownLayerAnswer
from haste.images import open_image
from haste.models import load_pretrained
from haste.program import CompiledModel
from tests.app.harness import Client, FakeEngine, encoded, serving
from tests.app.test_end_to_end import CAT, SAMPLES

PNG = encoded()
NAME = "resnet18_cifar10"
TEXT = base64.b64encode(PNG).decode()
RED = (200, 0, 0)


def explain(client: Client, query: str = "", **options: Any) -> httpx.Response:
    return client.request("POST", f"/explain{query}", **({"content": PNG} | options))


def begin(client: Client, engine: FakeEngine) -> "Future[httpx.Response]":
    """A request that the engine works on until its gate opens."""
    engine.gate.clear()
    first = client.background("POST", "/explain", content=PNG)
    assert engine.explaining.wait(10)
    return first


def test_the_engine_gets_what_is_asked_in_every_form(client: Client, engine: FakeEngine) -> None:
    names = {"model": "other", "L": 8, "layer": "5", "row": 2, "column": 3}
    query = "?" + "&".join(f"{name}={value}" for name, value in names.items())
    options: tuple[dict[str, Any], ...] = (
        {"content": None, "json": {"image": TEXT} | names},
        {"content": None, "files": [("image", PNG)], "data": {name: str(value) for name, value in names.items()}},
    )
    assert [explain(client, query).status_code, *(explain(client, **own).status_code for own in options)] == [200] * 3
    assert engine.shown == [("other", Shown(RED, 8, "5", 2, 3))] * 3


def test_without_a_level_it_is_the_configured_one_and_the_rest_is_the_engine_s_choice(
    client: Client, engine: FakeEngine
) -> None:
    client.patch({"models": {"other": {"L": "exact"}}})
    assert explain(client).json()["L"] == {"requested": None, "used": 12}
    assert explain(client, "?model=other").json()["L"] == {"requested": None, "used": "exact"}
    assert explain(client, "?L=dense").json()["L"] == {"requested": "dense", "used": "dense"}
    assert engine.shown[0] == ("small", Shown(RED, 12, None, None, None))


def test_the_answer_is_what_the_engine_found(client: Client) -> None:
    answer = explain(client, headers={"X-Request-ID": "mine"}).json()
    assert answer.keys() == EXPLAINED_EXAMPLE.keys()
    assert {name: answer[name] for name in ("layer", "patch", "map", "layers")} == {
        name: EXPLAINED_EXAMPLE[name] for name in ("layer", "patch", "map", "layers")
    }
    assert (answer["model"], answer["request_id"], answer["timing_ms"]["total"] > 0) == ("small", "mine", True)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("layer=nope", "layers: layer3.1.conv1"),
        ("row=-1", "row must be a whole number of at least 0, not '-1'"),
        ("column=1.5", "'1.5'"),
        ("row=", "''"),
        ("row=1&row=2", "given twice"),
        ("row=" + "9" * 19, "'999"),
        ("L=33", "33"),
        ("model=nope", "served: small, other"),
        ("top_k=3", "known: L, model, layer, row, column"),
    ],
)
def test_a_bad_parameter_answers_422_and_is_named(client: Client, query: str, named: str) -> None:
    answer = explain(client, f"?{query}")
    assert (answer.status_code, named in answer.json()["detail"]) == (422, True), answer.text


@pytest.mark.parametrize("field", ['"row": true', '"row": 1.0', '"row": "1"', '"layer": 3', '"column": [1]'])
def test_a_bad_json_field_answers_422(client: Client, field: str) -> None:
    body = f'{{"image": "{TEXT}", {field}}}'
    answer = explain(client, content=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


def test_a_bad_image_or_more_than_one_is_refused(client: Client, engine: FakeEngine) -> None:
    two = [("image", PNG), ("image", PNG)]
    contents = (b"no image", b"GIF89a", b"x" * 11_000_000)
    assert [explain(client, content=one).status_code for one in contents] == [400, 415, 413]
    assert explain(client, content=None, files=two).status_code == 413
    assert explain(client, content=None, json={"images": [TEXT, TEXT]}).status_code == 413
    assert engine.shown == []


def test_over_the_rate_is_429_and_says_when(engine: FakeEngine) -> None:
    with serving(engine, explain_per_minute=2) as client:
        assert [explain(client).status_code for _ in range(2)] == [200, 200]
        refused = explain(client)
        assert (refused.status_code, 1 <= int(refused.headers["Retry-After"]) <= 60) == (429, True)
        assert client.classify(PNG).status_code == 200


def test_in_any_minute_there_are_no_more_than_the_rate() -> None:
    rate = RateLimit(2)
    rate.take(0.0)
    rate.take(50.0)
    for now, wait in ((50.5, 10), (59.9, 1)):
        with pytest.raises(Busy) as refused:
            rate.take(now)
        assert refused.value.retry_after_seconds == wait
    rate.take(60.0)
    with pytest.raises(Busy):
        rate.take(109.0)
    rate.take(110.0)


def test_turned_off_it_is_404_with_the_remedy(engine: FakeEngine) -> None:
    with serving(engine, explain_per_minute=0) as client:
        refused = explain(client)
    assert (refused.status_code, "HASTE_EXPLAIN_PER_MINUTE" in refused.json()["detail"]) == (404, True)


def test_one_at_a_time_a_few_wait_and_more_are_refused(client: Client, engine: FakeEngine) -> None:
    asked = [begin(client, engine), *(client.background("POST", "/explain", content=PNG) for _ in range(3))]
    client.wait_until(lambda: client.service.admission.requests == 4)
    refused = explain(client)
    assert (refused.status_code, refused.headers["Retry-After"], len(engine.shown)) == (429, "1", 1)
    engine.gate.set()
    assert [one.result(10).status_code for one in asked] == [200] * 4
    assert len(engine.shown) == 4


def test_it_is_worked_on_beside_the_engine_s_thread(engine: FakeEngine) -> None:
    with serving(engine) as client:
        engine.gate.clear()
        first = client.background("POST", "/classify", content=PNG)
        assert engine.running.wait(10)
        second = client.background("POST", "/explain", content=PNG)
        assert engine.explaining.wait(10)  # while the engine is at work
        engine.gate.set()
        assert [first.result(10).status_code, second.result(10).status_code] == [200, 200]


def test_what_a_client_that_left_was_waiting_for_is_not_begun(client: Client, engine: FakeEngine) -> None:
    first = begin(client, engine)

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.http.post("/explain", content=PNG), 0.2)

    client.run(leave)
    engine.gate.set()
    assert first.result(10).status_code == 200
    assert explain(client).status_code == 200
    assert len(engine.shown) == 2


def test_no_inference_is_counted_but_the_request_is(client: Client) -> None:
    def counted() -> dict[str, float]:
        families = client.service.metrics.registry.collect()
        return {
            f"{sample.name}{sample.labels}": sample.value
            for family in families
            if not family.name.startswith(("process", "python", "haste_http"))
            for sample in family.samples
        }

    before = counted()
    assert [explain(client).status_code, explain(client, content=b"no image").status_code] == [200, 400]
    assert counted() == before
    assert client.sample("haste_http_requests_total", route="/explain", method="POST", code="200") == 1


def test_before_the_model_is_loaded_and_while_stopping_it_is_503_and_costs_no_turn(engine: FakeEngine) -> None:
    engine.gate.clear()
    with serving(engine, ready=False, explain_per_minute=1) as client:
        assert explain(client).status_code == 503
        engine.gate.set()
        client.wait_until(lambda: client.service.loaded)
        client.service.draining = True
        assert explain(client).status_code == 503
        client.service.draining = False
        assert explain(client).status_code == 200


def test_every_documented_example_is_answered_and_the_answer_is_one(client: Client) -> None:
    documented = client.get("/openapi.json").json()["paths"]["/explain"]["post"]
    body = documented["requestBody"]["content"]["application/json"]
    assert body["examples"] == json.loads(json.dumps(EXPLAIN_EXAMPLES))
    for example in EXPLAIN_EXAMPLES.values():
        assert explain(client, content=None, json=example["value"]).status_code == 200
    assert explain(client, content=base64.b64decode(TINY_PNG)).status_code == 200
    answer = documented["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/ExplainAnswer"}
    assert ExplainAnswer.model_validate(answer["example"]).model_dump(mode="json") == answer["example"]


def test_the_real_engine_shows_the_method_as_configured_and_what_is_served_of_it() -> None:
    engine = TorchEngine((), "default", None, threads=2, calibrator=Calibrator())
    network, _ = load_pretrained(NAME)
    prepared = engine.prepare(NAME, open_image(SAMPLES / "cat.jpg"))
    engine.load(NAME, "projection", 0.05)
    engine.configure(NAME, "mean", None)
    threads = torch.get_num_threads()
    found = engine.explain(NAME, Shown(prepared, 8, "layer4.1.conv1", 0, 0))
    assert torch.get_num_threads() == threads
    haste.convert_(network, haste.HasteConfig.preset("default", merge="mean", tolerance=None))
    with haste.num_hyperplanes(8):
        seen = haste.explain(network, torch.from_numpy(cast(NDArray[np.float32], prepared)), layer="layer4.1.conv1")
    assert found.patch == PatchAnswer.model_validate(seen.patch)
    assert found.layer == ShownLayerAnswer.model_validate(seen.layer)
    assert [own.served_form for own in found.layers] == [own.form for own in found.layers]
    compiled = engine._loaded[NAME].network
    assert isinstance(compiled, CompiledModel)
    compiled.forms = lambda name, _level, _images: (
        "dense" if name == "layer4.1.conv2" else "zeros" if name.startswith("layer4") else "merge"
    )
    served = {own.name: own.served_form for own in engine.explain(NAME, Shown(prepared, 8, None, None, None)).layers}
    forms = {own.name: own.form for own in found.layers}
    assert (forms["layer4.1.conv2"], served["layer4.1.conv2"]) == ("merge", "dense")
    assert (forms["layer4.1.conv1"], served["layer4.1.conv1"]) == ("merge", "zeros")
    assert served["layer3.1.conv2"] == "merge"
    assert served["layer1.0.conv1"] == "zeros"  # a calibration adds nothing
    with pytest.raises(InvalidParameter, match=r"layers: layer1\.0\.conv1, "):
        engine.explain(NAME, Shown(prepared, 8, "nope", None, None))


def test_the_real_server_answers_what_it_documents(server: httpx.Client) -> None:
    answer = server.post("/explain?L=12&layer=layer3.1.conv1&row=0&column=1", content=CAT)
    found = ExplainAnswer.model_validate_json(answer.content)
    assert (found.layer.name, found.patch.row, found.patch.column) == ("layer3.1.conv1", 0, 1)
    assert found.map.compression_ratio[0][1] == found.patch.compression_ratio > 0
    assert found.layers[found.layer.index].name == "layer3.1.conv1"
    assert server.post("/explain?layer=layer3.1.conv1&row=2", content=CAT).status_code == 422
