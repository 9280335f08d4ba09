"""Metrics, probes, ids, errors and logs: what an operator sees."""

import io
import json
import logging
import re
import shutil
import subprocess
import sys

import pytest

from app import log
from app.errors import TABLE, ServiceError
from tests.app.harness import Client, FakeEngine, encoded

PNG = encoded()


def test_every_error_is_in_the_table_and_none_of_a_client_s_doing_is_5xx() -> None:
    assert set(ServiceError.__subclasses__()) == set(TABLE)
    for problem in TABLE.values():
        assert (problem.status >= 500) == (problem.name in ("engine-failure", "unavailable"))


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("GET", "/classify", 405), ("BREW", "/config", 405)]
)
def test_unknown_paths_and_methods_answer_in_the_one_shape(client: Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert list(answer.json()) == ["type", "title", "detail", "request_id"]
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/nope", "/classify", "/docs"])
def test_a_host_that_is_no_host_makes_no_5xx(client: Client, path: str) -> None:
    assert client.get(path, headers={"Host": "["}).status_code < 500


def test_a_request_id_that_is_sent_comes_back_and_a_misleading_one_is_replaced(client: Client) -> None:
    assert client.classify(PNG, headers={"X-Request-ID": "abc-1.2_3"}).json()["request_id"] == "abc-1.2_3"
    for bad in ("", "a b", "x" * 65, "a\tb", '{"level":"info"}'):
        fresh = client.get("/livez", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", fresh)


def test_request_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(10**18, 10**18 + 10**9, 10**7))
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    ids = [log.new_request_id() for _ in range(100)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 100


def test_an_unforeseen_fault_answers_500_without_its_text(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bytes:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(client.service.metrics, "text", fail)
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert client.sample("haste_http_requests_total", route="/metrics", method="GET", code="500") == 1


def test_routes_are_labelled_by_their_template_and_unknown_ones_share_a_label(client: Client) -> None:
    client.classify(PNG, "?L=8")
    for path in ("/a", "/b", "/classify/x"):
        client.get(path)
    client.request("BREW", "/config")
    assert client.sample("haste_http_requests_total", route="/classify", method="POST", code="200") == 1
    assert client.sample("haste_http_requests_total", route="unmatched", method="GET", code="404") == 3
    assert client.sample("haste_http_requests_total", route="/config", method="other", code="405") == 1


def test_metrics_tell_what_happened(client: Client) -> None:
    client.classify(PNG, "?L=8")
    client.classify(b"no image")
    client.classify(PNG, "?model=nope")
    client.patch({"L": 9, "models": {"other": {"L": "dense"}}})
    text = client.get("/metrics").text
    for line in (
        'haste_inference_requests_total{model="small",outcome="ok"} 1.0',
        'haste_inference_requests_total{model="small",outcome="bad_input"} 1.0',
        'haste_inference_requests_total{model="unknown",outcome="bad_input"} 1.0',
        'haste_inference_requests_total{model="other",outcome="error"} 0.0',
        'haste_inference_images_total{hyperplanes="8",model="small"} 1.0',
        'haste_inference_stage_duration_seconds_count{model="small",stage="postprocess"} 1.0',
        'haste_layer_compression_ratio{layer="conv1",model="small"} 0.25',
        'haste_image_rejections_total{reason="undecodable"} 1.0',
        'haste_config_changes_total{result="applied"} 1.0',
        'haste_model_hyperplanes{model="small"} 9.0',
        'haste_model_hyperplanes{model="other"} NaN',
        'haste_model_hyperplanes_max{model="small"} 32.0',
        'haste_dense_flops_total{model="small"} 1.110845441e+09',
        'haste_build_info{arch="x",implementation="fake",python="3",torch="0",version="0"} 1.0',
        "haste_queue_capacity 64.0",
        "haste_requests_in_flight 0.0",
    ):
        assert line in text
    assert "_created" not in text
    assert "process_resident_memory_bytes" in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_metrics_pass_promtool(client: Client) -> None:
    client.classify(PNG)
    text = client.get("/metrics").content
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_models_tell_where_the_weights_come_from(client: Client) -> None:
    models = client.get("/models").json()["models"]
    assert [(m["name"], m["default"], m["ready"], m["L"]) for m in models] == [
        ("small", True, True, [1, 32]),
        ("other", False, True, [1, 32]),
    ]
    assert {"classes", "input_size", "parameters", "dense_top1", "sha256", "licence", "source"} < set(models[0])


def test_the_documentation_describes_every_path(client: Client) -> None:
    assert client.get("/docs").status_code == 200
    page = client.get("/docs").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(sources) >= 2
    assert all(source.startswith("/") and client.get(source).status_code == 200 for source in sources)  # no internet
    paths = client.get("/openapi.json").json()["paths"]
    assert {path for path in paths if not path.startswith("/v2")} == {
        *("/classify", "/explain", "/config", "/models", "/models/{model}/load", "/models/{model}/unload"),
        *("/metrics", "/livez", "/readyz", "/startupz"),
    }
    assert {path.removeprefix("/v2") for path in paths if path.startswith("/v2")} == {
        *("", "/health/live", "/health/ready", "/models", "/models/stats", "/models/{model}"),
        *(f"/models/{{model}}/{part}" for part in ("ready", "config", "stats", "infer")),
        *("/repository/index", "/repository/models/{model}/load", "/repository/models/{model}/unload"),
    }
    responses = paths["/classify"]["post"]["responses"]
    assert {"400", "413", "415", "422", "429", "503"} < set(responses)


def test_a_log_line_is_json_with_the_request_s_id_and_probes_leave_none(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log.JsonFormatter())
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    try:
        client.classify(PNG, headers={"X-Request-ID": "mine"})
        for path in ("/livez", "/readyz", "/startupz", "/metrics", "/v2/health/live", "/v2/models/small/ready"):
            client.get(path)
    finally:
        logger.removeHandler(handler)
        logger.setLevel("NOTSET")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["request_id"], line["route"], line["status"]) for line in lines] == [("mine", "/classify", 200)]


def test_an_exception_is_logged_on_one_line() -> None:
    try:
        raise ValueError("line\nbreak")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "a\nb", None, sys.exc_info())
    line = log.JsonFormatter().format(record)
    assert "\n" not in line
    assert "ValueError" in json.loads(line)["exception"]


def test_what_no_encoding_knows_is_logged_all_the_same() -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "cannot read %s", ("photo\udc80.png",), None)
    record.fields = {"value": object, "ratio": float("nan")}
    assert json.loads(log.JsonFormatter().format(record))["message"] == "cannot read photo\udc80.png"


def test_images_are_never_logged(client: Client, engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    engine.trouble = RuntimeError("no")
    marked = PNG + b"MARKED-BYTES"
    client.classify(marked)
    client.classify(b"MARKED-BYTES")
    assert caplog.records
    assert "MARKED" not in caplog.text
