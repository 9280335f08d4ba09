"""What the Open Inference Protocol tells of the server, its models, their health and their statistics."""

import pytest

from tests.app.harness import Client, FakeEngine, serving
from tests.app.test_v2_infer import INFER, PNG, images, infer


def test_the_server_and_its_models_describe_themselves(client: Client) -> None:
    server = client.get("/v2").json()
    assert server["name"] == "haste"
    assert {"binary_tensor_data", "classification", "model_repository", "statistics"} < set(server["extensions"])
    assert client.get("/v2/models").json() == {"models": ["small", "other"]}
    for path in ("/v2/models/other", "/v2/models/other/versions/1"):
        model = client.get(path).json()
        assert (model["name"], model["versions"]) == ("other", ["1"])
        assert [(t["name"], t["datatype"], t["shape"]) for t in model["inputs"] + model["outputs"]] == [
            ("input", "FP32", [-1, 3, 32, 32]),
            ("image", "BYTES", [-1, 1]),
            ("probabilities", "FP32", [-1, 10]),
        ]
    config = client.get("/v2/models/other/config").json()
    assert (config["max_batch_size"], config["output"][0]["dims"]) == (16, [10])
    assert config["input"][0]["dims"] == [3, 32, 32]


def test_health_is_the_probes_and_a_model_s_own(engine: FakeEngine) -> None:
    paths = ("/v2/health/live", "/v2/health/ready", "/v2/models/small/ready", "/v2/models/small/versions/1/ready")
    engine.gate.clear()
    with serving(engine, ready=False) as client:
        assert [client.get(path).status_code for path in paths] == [200, 503, 503, 503]
        loading = infer(client, json=images(PNG))
        assert (loading.status_code, "Retry-After" in loading.headers) == (503, True)
        engine.gate.set()
        client.wait_until(lambda: client.service.loaded)
        assert [client.get(path).status_code for path in paths] == [200] * 4
        client.service.draining = True
        assert [client.get(path).status_code for path in paths] == [200, 503, 503, 503]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *[("GET", f"/v2/models/{where}", 404) for where in ("nope", "nope/ready", "nope/stats", "nope/config")],
        *[("GET", f"/v2/models/small/versions/{version}", 404) for version in ("2", "01", "-1", "latest")],
        ("POST", "/v2/models/nope/infer", 404),
        ("POST", "/v2/models/small/versions/2/infer", 404),
        ("GET", INFER, 405),
        ("POST", "/v2", 405),
        ("GET", "/v2/systemsharedmemory/status", 404),
        ("POST", "/v2/cudasharedmemory/region/x/register", 404),
        ("POST", "/v2/trace/setting", 404),
    ],
)
def test_what_does_not_exist_answers_in_the_protocol_s_shape(
    client: Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"], list(answer.json())) == (
        status,
        "application/json",
        ["error"],
    )


def test_a_fault_of_ours_answers_in_the_protocol_s_shape(client: Client, engine: FakeEngine) -> None:
    engine.trouble = RuntimeError("secret detail")
    answer = infer(client, json=images(PNG))
    assert (answer.status_code, list(answer.json()), "secret" in answer.text) == (500, ["error"], False)


def test_statistics_tell_what_was_done_in_any_way(client: Client) -> None:
    infer(client, json=images(PNG, PNG))
    client.classify(PNG)
    infer(client, json=images(b"no image"))
    (small,) = client.get("/v2/models/small/stats").json()["model_stats"]
    assert client.get("/v2/models/small/versions/1/stats").json()["model_stats"] == [small]
    assert (small["name"], small["version"], small["inference_count"], small["execution_count"]) == ("small", "1", 3, 2)
    counts = {name: duration["count"] for name, duration in small["inference_stats"].items()}
    assert counts == dict.fromkeys(("success", "queue", "compute_input", "compute_infer", "compute_output"), 2) | {
        "fail": 1
    }
    assert all(duration["ns"] > 0 for duration in small["inference_stats"].values())
    assert [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in small["batch_stats"]] == [
        (1, 1),
        (2, 1),
    ]
    assert small["last_inference"] > 1_700_000_000_000
    everything = client.get("/v2/models/stats").json()["model_stats"]
    assert [stats["name"] for stats in everything] == ["small", "other"]
    assert everything[1]["inference_count"] == 0
