"""Loading and unloading while the service runs: nobody's accepted request is lost, and nothing is loaded twice."""

import base64
from typing import Any

import pytest
from PIL import Image

from app.contract import Prepared
from tests.app.harness import Client, FakeEngine, encoded, serving
from tests.app.test_load import hold, waiting

PNG = encoded()
BOTH = pytest.mark.parametrize("prefix", ["", "/v2/repository"])


def post(client: Client, path: str, **options: Any) -> int:
    return client.request("POST", path, **options).status_code


def states(client: Client) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in client.request("POST", "/v2/repository/index").json()}


@BOTH
def test_an_unloaded_model_answers_503_until_it_is_loaded_and_the_service_stays_ready(
    client: Client, engine: FakeEngine, prefix: str
) -> None:
    assert post(client, f"{prefix}/models/small/unload") == 200
    assert engine.loaded == {"other"}
    refused = client.classify(PNG)
    assert (refused.status_code, "Retry-After" in refused.headers) == (503, False)  # nobody loads it
    assert "/models/small/load" in refused.json()["detail"]
    assert client.classify(PNG, "?model=other").status_code == 200
    assert [client.get(path).status_code for path in ("/readyz", "/startupz", "/v2/health/ready")] == [200] * 3
    assert client.get("/v2/models/small/ready").status_code == 503
    assert [model["ready"] for model in client.get("/models").json()["models"]] == [False, True]
    assert client.sample("haste_model_ready", model="small") == 0
    assert post(client, f"{prefix}/models/small/load") == 200
    assert client.classify(PNG).status_code == 200
    assert client.sample("haste_model_ready", model="small") == 1


@pytest.mark.parametrize("path", ["/classify", "/explain"])
def test_a_model_that_the_body_names_answers_while_the_default_is_unloaded(client: Client, path: str) -> None:
    assert post(client, "/models/small/unload") == 200
    text = base64.b64encode(PNG).decode()
    asked = {"json": {"image": text, "model": "other"}}, {"files": [("image", PNG)], "data": {"model": "other"}}
    assert [post(client, path, **own) for own in asked] == [200, 200]
    assert post(client, path, json={"image": text}) == 503
    assert post(client, "/models/other/unload") == 200
    assert [post(client, path, **own) for own in asked] == [503, 503]


def test_a_default_model_is_unloaded_while_another_works_that_a_body_named(client: Client, engine: FakeEngine) -> None:
    engine.gate.clear()
    asked = client.background("POST", "/classify", files=[("image", PNG)], data={"model": "other"})
    assert engine.running.wait(10)
    assert client.service.repository.entries["small"].users == 0
    engine.gate.set()
    assert asked.result(10).status_code == 200


def test_a_load_is_given_the_merge_rule_of_now(client: Client, engine: FakeEngine) -> None:
    client.patch({"merge": "mean"})
    engine.configured.clear()
    engine.methods.clear()
    assert [post(client, f"/models/small/{verb}") for verb in ("unload", "load")] == [200, 200]
    assert (engine.methods, engine.configured) == ({"small": ("mean", 0.03)}, [])


@BOTH
def test_what_is_so_already_is_a_success_without_effect(client: Client, engine: FakeEngine, prefix: str) -> None:
    assert [post(client, f"{prefix}/models/small/{verb}") for verb in ("load", "unload", "unload")] == [200] * 3
    assert (engine.loads, engine.unloads) == (["small", "other"], ["small"])


@BOTH
def test_an_unknown_model_answers_404(client: Client, prefix: str) -> None:
    assert [post(client, f"{prefix}/models/nope/{verb}") for verb in ("load", "unload")] == [404, 404]


@BOTH
@pytest.mark.parametrize("verb", ["load", "unload"])
def test_both_verbs_need_the_admin_key(engine: FakeEngine, prefix: str, verb: str) -> None:
    with serving(engine, admin_key="secret") as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert post(client, f"{prefix}/models/small/{verb}", headers=headers) == 401
        assert post(client, f"{prefix}/models/small/{verb}", headers={"Authorization": "Bearer secret"}) == 200
    with serving(engine, host="0.0.0.0") as client:
        assert post(client, f"{prefix}/models/small/{verb}") == 403
        assert post(client, "/v2/repository/index") == 200
    assert engine.unloads == (["small"] if verb == "unload" else [])


def test_an_unload_refuses_what_is_new_and_waits_for_what_was_accepted(client: Client, engine: FakeEngine) -> None:
    accepted = [hold(client, engine), client.background("POST", "/classify", content=PNG)]
    waiting(client, 1)
    unloading = client.background("POST", "/models/small/unload")
    client.wait_until(lambda: not client.service.repository.ready("small"))
    assert states(client) == {"small": "UNLOADING", "other": "READY"}
    assert client.classify(PNG).status_code == 503
    assert engine.unloads == []
    engine.gate.set()
    assert [future.result(10).status_code for future in accepted] == [200, 200]
    assert unloading.result(10).json() == {"model": "small", "state": "UNAVAILABLE"}
    assert engine.unloads == ["small"]


def test_an_image_that_is_still_being_decoded_counts_as_accepted(
    client: Client, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = engine.prepare

    def held(model: str, image: Image.Image) -> Prepared:
        engine.running.set()
        engine.gate.wait(10)
        return prepare(model, image)

    monkeypatch.setattr(engine, "prepare", held)
    engine.gate.clear()
    accepted = client.background("POST", "/classify", content=PNG)
    assert engine.running.wait(10)
    unloading = client.background("POST", "/models/small/unload")
    client.wait_until(lambda: not client.service.repository.ready("small"))
    engine.gate.set()
    assert (accepted.result(10).status_code, unloading.result(10).status_code) == (200, 200)


def test_loads_at_once_load_once_and_an_unload_behind_them_comes_last(client: Client, engine: FakeEngine) -> None:
    assert post(client, "/models/small/unload") == 200
    engine.gate.clear()
    asked = [client.background("POST", f"{prefix}/models/small/load") for prefix in ("", "/v2/repository", "")]
    client.wait_until(lambda: client.service.repository.entries["small"].state == "LOADING")
    assert states(client)["small"] == "LOADING"
    assert client.classify(PNG).status_code == 503
    asked.append(client.background("POST", "/models/small/unload"))
    engine.gate.set()
    assert [future.result(10).status_code for future in asked] == [200] * 4
    assert (engine.loads, engine.unloads) == (["small", "other", "small"], ["small", "small"])
    assert states(client)["small"] == "UNAVAILABLE"


def test_a_load_that_fails_says_why_and_may_be_tried_again(client: Client, engine: FakeEngine) -> None:
    assert post(client, "/models/small/unload") == 200
    engine.unloadable = ValueError("wrong hash")
    answer = client.request("POST", "/v2/repository/models/small/load")
    assert (answer.status_code, "wrong hash" in answer.json()["error"]) == (500, True)
    entry = client.request("POST", "/v2/repository/index").json()[0]
    assert (entry["state"], "wrong hash" in entry["reason"]) == ("UNAVAILABLE", True)
    assert (client.classify(PNG).status_code, client.get("/readyz").status_code) == (503, 200)
    engine.unloadable = None
    assert post(client, "/models/small/load") == 200
    assert client.classify(PNG).status_code == 200


def test_an_unload_that_fails_leaves_the_model_ready(
    client: Client, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model: str) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(engine, "unload", fail)
    assert post(client, "/models/small/unload") == 500
    assert client.classify(PNG).status_code == 200


def test_before_the_start_is_over_nothing_is_loaded_or_unloaded_by_hand(engine: FakeEngine) -> None:
    engine.gate.clear()
    with serving(engine, ready=False) as client:
        assert [post(client, f"/models/other/{verb}") for verb in ("load", "unload")] == [503, 503]
        assert set(states(client).values()) == {"LOADING"}
        engine.gate.set()
        client.wait_until(lambda: client.service.loaded)


def test_the_index_lists_what_is_asked(client: Client) -> None:
    assert post(client, "/models/other/unload") == 200
    index = "/v2/repository/index"
    names = [
        [entry["name"] for entry in client.request("POST", index, content=body).json()]
        for body in (b"", b"{}", b'{"ready": false}', b'{"ready": true}')
    ]
    assert names == [["small", "other"]] * 3 + [["small"]]
    for wrong in (b"[]", b"no", b'{"ready": 1}'):
        assert post(client, index, content=wrong) == 400


@pytest.mark.parametrize("parameters", [{"config": "{}"}, {"file:1/model.pt": "YQ=="}, ["x"], "x"])
def test_a_load_takes_no_other_configuration_or_weights(client: Client, engine: FakeEngine, parameters: Any) -> None:
    refused = client.request("POST", "/v2/repository/models/small/load", json={"parameters": parameters})
    assert (refused.status_code, "parameter" in refused.json()["error"]) == (400, True)
    body = {"parameters": {"unload_dependents": False}}
    assert post(client, "/v2/repository/models/small/unload", json=body) == 200
    assert engine.loads == ["small", "other"]
