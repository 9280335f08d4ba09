"""GET, PATCH and POST /config: checked whole, applied at once, versioned, guarded, kept over a restart."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.calibrator import Calibrator
from app.engine import TorchEngine
from app.routes.examples import CONFIG_EXAMPLES
from tests.app.harness import Client, FakeEngine, encoded, serving

NOTHING = {"L": None, "merge": None, "tolerance": None}
UNCALIBRATED = {
    "L": 12,
    "configured": 12,
    "lowest": 12,
    "degraded": False,
    "off": "there is no calibration that holds",
    "warning": None,
    "pressure": 0.0,
}
KEY = {"Authorization": "Bearer s3cret"}


def test_the_state_at_start_is_the_engine_s_with_bounds(client: Client) -> None:
    answer = client.get("/config")
    assert answer.json() == {
        "version": 1,
        "L": 12,
        "merge": "projection",
        "tolerance": 0.03,
        "controller": {
            "enabled": True,
            "slo_ms": 600_000,
            "L_min": 8,
            "models": {"small": UNCALIBRATED, "other": UNCALIBRATED},
        },
        "bounds": {"L": [1, 32], "levels": ["exact", "dense"], "merge": ["mean", "projection"], "tolerance": [0, None]},
        "models": {"small": NOTHING, "other": NOTHING},
    }
    assert answer.headers["ETag"] == '"1"'


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_change_answers_the_new_state_and_version(client: Client, method: str) -> None:
    answer = client.request(method, "/config", json={"L": "exact", "models": {"other": {"L": 3}}})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert answer.json() == client.get("/config").json()
    assert (answer.json()["L"], answer.json()["models"]["other"]["L"]) == ("exact", 3)


def test_a_body_is_read_as_json_whatever_its_content_type(client: Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.request("PATCH", "/config", content=b'{"L": 9}', headers=form).json()["L"] == 9


def test_a_change_that_changes_nothing_keeps_the_version(client: Client) -> None:
    assert client.patch({"L": 12}).json()["version"] == 1
    assert client.patch({}).json()["version"] == 1


def test_null_clears_a_model_s_own_value_and_a_tolerance_of_null_is_none(client: Client) -> None:
    client.patch({"models": {"other": {"L": 3, "merge": "mean", "tolerance": 0}}})
    state = client.patch({"tolerance": None, "models": {"other": {"L": None}}}).json()
    assert state["tolerance"] is None
    assert state["models"]["other"] == {"L": None, "merge": "mean", "tolerance": 0}


def test_the_engine_is_told_of_a_new_rule_and_only_where_it_differs(client: Client, engine: FakeEngine) -> None:
    engine.configured.clear()
    client.patch({"merge": "mean", "models": {"other": {"merge": "projection"}}})
    assert engine.configured == [("small", "mean", 0.03)]
    client.patch({"L": 5})
    client.patch({"tolerance": 0})
    assert engine.configured[1:] == [("small", "mean", 0.0), ("other", "projection", 0.0)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('{"L": 0}', "0"),
        ('{"L": 33}', "33"),
        ('{"L": null}', "L"),
        ('{"L": true}', "True"),
        ('{"L": "10"}', "'10'"),
        ('{"L": 10.5}', "10.5"),
        ('{"L": NaN}', "nan"),
        ('{"L": ' + "9" * 50 + "}", "'999"),
        ('{"merge": "avg"}', "'avg'"),
        ('{"merge": null}', "merge"),
        ('{"merge": 3}', "3"),
        ('{"tolerance": -0.1}', "-0.1"),
        ('{"tolerance": NaN}', "nan"),
        ('{"tolerance": 1e999}', "inf"),
        ('{"tolerance": true}', "True"),
        ('{"controller": {"enabled": 1}}', "'controller.enabled'"),
        ('{"controller": {"enabled": null}}', "controller.enabled cannot be null"),
        ('{"controller": {"slo_ms": 0}}', "0"),
        ('{"controller": {"slo_ms": 10.5}}', "10.5"),
        ('{"controller": {"L_min": 33}}', "controller.L_min must be a whole number in 1..32"),
        ('{"controller": {"L_min": "lossy"}}', "'lossy'"),
        ('{"controller": {"x": 1}}', "'controller.x'; known: enabled, slo_ms, L_min"),
        ('{"controller": null}', "controller"),
        ('{"version": 7}', "'version'"),
        ('{"models": {"nope": {"L": 3}}}', "'nope'"),
        ('{"models": {"other": {"L": 99}}}', "models.other.L"),
        ('{"models": {"other": {"x": 1}}}', "models.other.x"),
        ('{"models": {"other": null}}', "models.other"),
        ('{"models": {"\\ud800": {"L": 3}}}', "ud800"),
        ('{"\\ud800": 3}', "ud800"),
        ('{"L": 8, "L": 9}', "'L' is given twice"),
        ("[]", "[]"),
        ("3", "3"),
    ],
)
def test_a_bad_value_answers_422_is_named_and_nothing_changes(client: Client, body: str, named: str) -> None:
    before = client.get("/config").json()
    for part in (body, body[:-1] + ', "tolerance": 0.5}' if body.startswith('{"L": 33') else body):
        answer = client.request("PATCH", "/config", content=part.encode())
        assert answer.status_code == 422, answer.text
        assert named in answer.json()["detail"]
    assert client.get("/config").json() == before
    assert client.sample("haste_config_changes_total", result="refused") == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 20_000, b"\xff"])
def test_a_body_that_is_no_json_answers_400(client: Client, body: bytes) -> None:
    assert client.request("PATCH", "/config", content=body).status_code == 400


def test_a_huge_body_answers_413(client: Client) -> None:
    assert client.request("PATCH", "/config", content=b" " * 70_000).status_code == 413


def test_if_match_guards_against_a_change_of_another_version(client: Client) -> None:
    assert client.patch({"L": 5}, headers={"If-Match": '"1"'}).status_code == 200
    assert client.patch({"L": 6}, headers={"If-Match": '"1"'}).status_code == 412
    assert client.get("/config").json()["L"] == 5


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"1", "3"', 200),
        ('"3","1"', 200),
        ("*", 200),
        (" * ", 200),
        ('"2", "3"', 412),
        ('W/"1"', 412),
        ('"3", W/"1"', 412),
        ("1", 412),
        ("", 412),
        ('"1" "3"', 412),
        ('*, "3"', 412),
    ],
)
def test_if_match_takes_a_list_of_strong_tags_or_any(client: Client, tags: str, status: int) -> None:
    assert client.patch({"L": 5}, headers={"If-Match": tags}).status_code == status


def test_if_match_may_come_in_several_headers(client: Client) -> None:
    headers = [("If-Match", '"3"'), ("If-Match", '"1"')]
    assert client.patch({"L": 5}, headers=headers).status_code == 200


def test_when_one_model_cannot_follow_all_keep_the_old_rule(client: Client, engine: FakeEngine) -> None:
    engine.unconfigurable.add("other")
    engine.configured.clear()
    assert client.patch({"merge": "mean", "L": 3}).status_code == 500
    assert client.get("/config").json()["version"] == 1
    assert engine.configured[-2:] == [("small", "projection", 0.03), ("other", "projection", 0.03)]


def test_a_change_waits_for_the_running_batch_and_holds_for_the_next(client: Client, engine: FakeEngine) -> None:
    engine.running.clear()
    engine.gate.clear()
    first = client.background("POST", "/classify", content=encoded())
    assert engine.running.wait(10)
    change = client.background("PATCH", "/config", json={"L": 4})
    second = client.background("POST", "/classify", content=encoded())
    client.wait_until(lambda: client.service.batching.depth("small") == 1)
    assert not change.done()
    engine.gate.set()
    assert first.result().json()["L"]["used"] == 12
    assert change.result().status_code == 200
    assert second.result().json()["L"]["used"] == 4


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_beyond_loopback_without_a_key_changes_answer_403_with_the_remedy(engine: FakeEngine, host: str) -> None:
    with serving(engine, host=host) as client:
        answer = client.patch({"L": 5})
        assert answer.status_code == 403
        assert "HASTE_ADMIN_KEY" in answer.json()["detail"]
        assert client.classify(encoded()).status_code == 200
        assert client.get("/config").json()["L"] == 12


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_changes_need_no_key(engine: FakeEngine, host: str) -> None:
    with serving(engine, host=host) as client:
        assert client.patch({"L": 5}).status_code == 200


def test_with_a_key_changes_need_it_and_nothing_else_does(engine: FakeEngine) -> None:
    with serving(engine, host="0.0.0.0", admin_key="s3cret") as client:
        assert client.patch({"L": 5}).status_code == 401
        for wrong in ("Bearer no", "Basic s3cret", "s3cret", "Bearer ", "Bearer s3cr\xe9t".encode("latin-1")):
            answer = client.patch({"L": 5}, headers={"Authorization": wrong})
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert client.get("/config").json()["L"] == 12
        assert client.patch({"L": 5}, headers=KEY).json()["L"] == 5
        assert [client.get(path).status_code for path in ("/metrics", "/readyz", "/models")] == [200] * 3


def test_another_site_s_page_cannot_change_anything(client: Client) -> None:
    assert client.patch({"L": 5}, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.patch({"L": 5}, headers={"Origin": "null"}).status_code == 403
    rebound = {"Origin": "http://evil.example:8000", "Host": "evil.example:8000"}  # a name bound to 127.0.0.1
    assert client.patch({"L": 5}, headers=rebound).status_code == 403
    for host in ("evil.example:8000", "", "[", "127.0.0.1.evil.example", "localhost.evil.example"):
        assert client.patch({"L": 5}, headers={"Host": host}).status_code == 403
    assert client.patch({"L": 5}, headers={"Origin": "http://["}).status_code == 403
    assert client.get("/config").json()["version"] == 1
    assert client.patch({"L": 5}, headers={"Host": "[::1]:8000"}).status_code == 200
    assert client.patch({"L": 5}, headers={"Origin": "http://localhost"}).status_code == 200


def test_a_state_file_keeps_changes_over_a_restart(engine: FakeEngine, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    with serving(engine, state_file=file) as client:
        changed = client.patch({"L": "dense", "merge": "mean", "models": {"other": {"tolerance": 0.5}}}).json()
    again = FakeEngine()
    with serving(again, state_file=file) as client:
        assert client.get("/config").json() == changed
    assert again.methods == {"small": ("mean", 0.03), "other": ("mean", 0.5)}


def test_a_change_that_cannot_be_saved_is_not_made(engine: FakeEngine, tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    with serving(engine, state_file=folder / "state.json") as client:
        folder.rmdir()
        answer = client.patch({"L": 5, "merge": "mean"})
        assert answer.status_code == 500
        assert "could not be saved" in answer.json()["detail"]
        assert client.get("/config").json()["version"] == 1
    assert engine.configured[-1] == ("other", "projection", 0.03)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"L": 5}', '{"version": 2, "L": 99}', '{"version": 2, "models": {"x": {}}}']
)
def test_a_state_file_that_does_not_fit_stops_the_start_and_is_named(
    engine: FakeEngine, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "state.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"state\.json"), serving(engine, state_file=file):
        pass


def test_a_change_before_a_model_is_loaded_holds_once_it_is(engine: FakeEngine) -> None:
    engine.gate.clear()
    with serving(engine, ready=False) as client:
        change = client.background("PATCH", "/config", json={"merge": "mean"})  # falls between the two loads
        engine.gate.set()
        assert change.result(10).status_code == 200
        client.wait_until(lambda: client.service.loaded)
    assert {name: merge for name, (merge, _) in engine.methods.items()} == {"small": "mean", "other": "mean"}


def test_every_documented_example_is_accepted(client: Client) -> None:
    documented: Any = client.get("/openapi.json").json()["paths"]["/config"]
    for method in ("patch", "post"):
        content = documented[method]["requestBody"]["content"]["application/json"]
        assert content["examples"] == json.loads(json.dumps(CONFIG_EXAMPLES))
    for example in CONFIG_EXAMPLES.values():
        assert client.patch(example["value"]).status_code == 200


def test_the_real_engine_starts_with_the_level_and_preset_of_the_settings() -> None:
    paper = TorchEngine((), "paper", None, 1, Calibrator()).method
    assert (paper.level, paper.merge, paper.tolerance) == (14, "mean", None)
    assert TorchEngine((), "default", "exact", 1, Calibrator()).method.level == "exact"
    with pytest.raises(ValueError, match="99"):
        TorchEngine((), "default", 99, 1, Calibrator())
    with pytest.raises(ValueError, match="'nope'"):
        TorchEngine(("nope",), "default", None, 1, Calibrator())
