"""POST /classify: its three forms, what it asks for and what it answers."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from app.routes.examples import CLASSIFY_EXAMPLES, TINY_PNG
from tests.app.harness import CLASSES, Client, FakeEngine, encoded, fake_flops, serving

PNG = encoded()
TEXT = base64.b64encode(PNG).decode()


def test_one_image_is_answered_by_one_object_of_the_documented_shape(client: Client) -> None:
    answer = client.classify(PNG, "?L=10&top_k=2").json()
    flops, timing = answer.pop("flops"), answer.pop("timing_ms")
    assert answer == {
        "model": "small",
        "L": {"requested": 10, "used": 10},
        "predictions": [
            {"label": "a", "index": 0, "probability": 0.1},
            {"label": "b", "index": 1, "probability": 0.1},
        ],
        "degraded": False,
        "request_id": answer["request_id"],
    }
    assert list(flops) == ["dense", "executed", "skipped", "merged", "overhead", "reduction"]
    assert flops["dense"] - flops["skipped"] - flops["merged"] + flops["overhead"] == flops["executed"]
    assert flops["reduction"] == pytest.approx(1 - flops["executed"] / flops["dense"])
    assert list(timing) == ["decode", "queue", "forward", "total"]
    assert all(value >= 0 for value in timing.values())


@pytest.mark.parametrize(
    "kind", ["image/png", "application/octet-stream", "application/x-www-form-urlencoded", "a/b", ""]
)
def test_any_other_content_type_is_decoded_by_its_bytes(client: Client, kind: str) -> None:
    answer = client.classify(PNG, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == "a"


def test_json_and_multipart_answer_like_raw_bytes(client: Client) -> None:
    raw = client.classify(PNG, "?L=7").json()
    form = client.classify(files=[("image", ("x", PNG))], data={"L": "7"}).json()
    text = client.classify(json={"image": TEXT, "L": 7}).json()
    for other in (form, text):
        assert {k: other[k] for k in ("model", "L", "predictions", "flops")} == {
            k: raw[k] for k in ("model", "L", "predictions", "flops")
        }


@pytest.mark.parametrize("form", ["multipart", "json"])
def test_several_images_are_answered_in_order(client: Client, form: str) -> None:
    pictures = [encoded(color=(red, 0, 0)) for red in (3, 5, 4)]
    options: dict[str, Any] = {"files": list(zip(("file", "images", "image"), pictures, strict=True))}
    if form == "json":
        options = {"json": {"images": [base64.b64encode(p).decode() for p in pictures]}}
    results = client.classify(None, "?top_k=1", **options).json()["results"]
    assert [r["predictions"][0]["index"] for r in results] == [3, 5, 4]


def test_a_request_that_names_no_level_gets_the_state_s_and_says_so(client: Client) -> None:
    assert client.classify(PNG).json()["L"] == {"requested": None, "used": 12}
    client.patch({"L": 9, "models": {"other": {"L": "exact"}}})
    assert client.classify(PNG).json()["L"] == {"requested": None, "used": 9}
    assert client.classify(PNG, "?model=other").json()["L"] == {"requested": None, "used": "exact"}
    assert client.classify(PNG, "?model=other&L=dense").json()["L"] == {"requested": "dense", "used": "dense"}


def test_top_k_is_five_or_all_classes_unless_named(client: Client) -> None:
    assert len(client.classify(PNG).json()["predictions"]) == 5
    assert len(client.classify(PNG, "?top_k=10").json()["predictions"]) == 10


def test_top_k_is_bounded_by_the_classes_of_the_model_that_the_body_names() -> None:
    engine = FakeEngine()
    few = replace(engine.models[0], classes=CLASSES[:2])
    engine.models = (few, engine.models[1])
    with serving(engine) as client:
        body = {"image": TEXT, "model": "other"}
        assert len(client.classify(None, "?top_k=9", json=body).json()["predictions"]) == 9
        assert client.classify(None, "?top_k=9", json={"image": TEXT}).status_code == 422


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("L=0", "0"),
        ("L=33", "33"),
        ("L=-1", "'-1'"),
        ("L=ten", "'ten'"),
        ("L=1e1", "'1e1'"),
        ("L=", "''"),
        ("L=10&L=11", "given twice: 10 and 11"),
        ("L=%D9%A3", "'\u0663'"),
        ("L=" + "9" * 5000, "'999"),
        ("top_k=0", "0"),
        ("top_k=11", "1..10"),
        ("top_k=1000000000", "1000000000"),
        ("top_k=two", "'two'"),
        ("model=nope", "'nope'"),
        ("model=", "''"),
        ("deadline_ms=0", "1..600000, not 0"),
        ("deadline_ms=600001", "600001"),
        ("deadline_ms=1.5", "'1.5'"),
        ("min_L=33", "min_L must be a whole number in 1..32, 'exact' or 'dense', not 33"),
        ("L=8&min_L=exact", "L 8 is under min_L 'exact'"),
        ("max_error=5", "'max_error'"),
    ],
)
def test_a_bad_parameter_answers_422_and_is_named(client: Client, query: str, named: str) -> None:
    answer = client.classify(PNG, f"?{query}")
    assert answer.status_code == 422
    assert named in answer.json()["detail"]
    assert client.get("/config").json()["version"] == 1


@pytest.mark.parametrize(
    "fields",
    ['"L": NaN', '"L": Infinity', '"L": 1e999', '"L": true', '"L": 10.0', '"L": "10"', '"L": [1]', '"L": {}',
     '"L": ' + "9" * 100, '"L": ' + "9" * 9999, '"L": -' + "9" * 30, '"top_k": false', '"top_k": 0', '"model": 3',
     '"model": "\\ud800"', '"\\ud800": 1', '"deadline_ms": true', '"L": 1, "L": 1', '"images": []'],
)  # fmt: skip
def test_a_bad_json_field_answers_422(client: Client, fields: str) -> None:
    body = f'{{"image": "{TEXT}", {fields}}}'
    answer = client.classify(body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["title"] == "Invalid parameter"


def test_a_parameter_in_the_query_and_in_the_body_is_given_twice(client: Client) -> None:
    assert client.classify(None, "?L=8", json={"image": TEXT, "L": 8}).status_code == 422
    assert client.classify(None, "?L=8", files=[("image", PNG)], data={"L": "8"}).status_code == 422


def test_a_json_null_counts_as_absent(client: Client) -> None:
    answer = client.classify(json={"image": TEXT, "L": None, "top_k": None, "model": None})
    assert answer.json()["L"] == {"requested": None, "used": 12}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe\x00", b"[" * 20_000, b'{"a":' * 20_000, b"{'image': 1}", b'{"image": "a\nb"}'],
)
def test_json_that_does_not_parse_answers_400(client: Client, body: bytes) -> None:
    answer = client.classify(body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_bad_base64_answers_400_and_names_the_index(client: Client) -> None:
    answer = client.classify(json={"images": [TEXT, "!!"]})
    assert (answer.status_code, answer.json()["detail"][:8]) == (400, "image 1:")


@pytest.mark.parametrize(
    "body", [{}, {"image": 5}, {"images": "x"}, {"images": [5]}, {"image": TEXT, "images": [TEXT]}, []]
)
def test_json_without_images_as_texts_answers_422(client: Client, body: object) -> None:
    assert client.classify(json=body).status_code == 422


def test_one_bad_image_refuses_the_request_and_is_named(client: Client, engine: FakeEngine) -> None:
    answer = client.classify(files=[("image", PNG), ("image", b"no image"), ("image", PNG)])
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("image 1: ")
    assert engine.batches == []


def test_multipart_without_an_image_or_with_another_file_is_refused(client: Client) -> None:
    assert client.classify(files=[("photo", PNG)]).status_code == 422
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="L"\r\n\r\n3\r\n--b--\r\n'
    assert client.classify(part, headers=multipart).status_code == 400


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=b"]
)
@pytest.mark.parametrize("body", [b"", b"hello", b"--b\r\n", b"--b\r\n\r\n", b"--b\r\nContent-Disposition: form-data"])
def test_broken_multipart_answers_400(client: Client, kind: str, body: bytes) -> None:
    assert client.classify(body, headers={"Content-Type": kind}).status_code == 400


def test_truncated_multipart_answers_400_and_no_part_of_it_is_classified(client: Client, engine: FakeEngine) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n' + PNG
    answer = client.classify(part + b"\r\n" + part, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400
    assert engine.batches == []


def test_every_documented_example_is_answered(client: Client) -> None:
    documented = client.get("/openapi.json").json()["paths"]["/classify"]["post"]["requestBody"]["content"]
    assert documented["application/json"]["examples"] == json.loads(json.dumps(CLASSIFY_EXAMPLES))
    for example in CLASSIFY_EXAMPLES.values():
        assert client.classify(json=example["value"]).status_code == 200
    assert client.classify(base64.b64decode(TINY_PNG)).status_code == 200


def test_the_sum_of_the_answers_flops_is_the_difference_of_the_counters(client: Client) -> None:
    names = ("dense", "executed", "overhead", "skipped", "merged")
    before = {name: client.sample(f"haste_{name}_flops_total", model="small") for name in names}
    answers: list[dict[str, Any]] = []
    for level in (8, 10, "exact", "dense", 32, None):
        query = "" if level is None else f"?L={level}"
        answers.append(client.classify(PNG, query).json())
        answers += client.classify(None, query, files=[("image", PNG)] * 3).json()["results"]
        assert client.classify(None, query, files=[("image", PNG), ("image", b"bad")]).status_code == 400
    for name in names:
        counted = client.sample(f"haste_{name}_flops_total", model="small") - before[name]
        assert int(counted) == sum(answer["flops"][name] for answer in answers)
    assert answers[0]["flops"]["executed"] == fake_flops(8).executed
