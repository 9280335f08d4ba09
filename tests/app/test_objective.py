"""The objective over HTTP: deadlines, refusals that tell the truth, a level that load lowers and that says so."""

import threading
import time
from collections.abc import Iterator

import pytest
from PIL import Image

from app.contract import Calibration, Level, Prepared
from app.images import ImageLimits, decode
from tests.app.frontiers import MS, points
from tests.app.harness import Client, FakeEngine, calibrated, encoded, serving
from tests.app.test_load import hold, waiting

PNG = encoded()
REJECTED = {"model": "small", "outcome": "rejected"}


@pytest.fixture
def engine() -> FakeEngine:
    return calibrated("small")


@pytest.fixture
def client(engine: FakeEngine) -> Iterator[Client]:
    with serving(engine, L_min=8, slo_ms=100) as running:
        yield running


def crowd(client: Client, number: int) -> None:
    """Arrivals that the controller counts, without their images."""

    def arrive() -> None:
        client.service.controller.arrived(time.perf_counter(), "small", None, number)

    client.call(arrive)


def test_under_load_the_level_goes_down_and_every_trace_says_so(client: Client, engine: FakeEngine) -> None:
    crowd(client, 500)
    answer = client.classify(PNG).json()
    assert answer["L"] == {"requested": None, "used": 8}
    assert answer["degraded"] is True
    assert client.get("/config").json()["L"] == 12
    standing = client.get("/config").json()["controller"]["models"]["small"]
    assert (standing["L"], standing["configured"], standing["lowest"], standing["degraded"]) == (8, 12, 8, True)
    assert standing["pressure"] > 0.1
    assert client.sample("haste_controller_degraded", model="small") == 1
    assert client.sample("haste_model_hyperplanes", model="small") == 8
    assert client.sample("haste_controller_adjustments_total", model="small", direction="down", reason="rate") == 1
    assert client.sample("haste_controller_pressure_ratio", model="small") > 0.1


def test_a_change_of_the_level_is_one_log_line_with_its_cause(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "app.service")
    crowd(client, 500)
    for _ in range(3):
        assert client.classify(PNG).json()["L"]["used"] == 8
    lines = [record.getMessage() for record in caplog.records if "the controller moves" in record.getMessage()]
    assert lines == ["the controller moves model small from L = 12 down to 8, because of the rate"]


def test_a_level_that_is_asked_for_is_a_contract_and_min_L_a_bound_under_load(client: Client) -> None:
    crowd(client, 500)
    for query, used in (("?L=dense", "dense"), ("?L=12", 12), ("?min_L=10", 10), ("?min_L=exact", "exact")):
        answer = client.classify(PNG, query).json()
        assert answer["L"]["used"] == used, query
    assert client.classify(PNG, "?L=12").json()["degraded"] is False
    assert client.classify(PNG, "?min_L=10").json()["degraded"] is True


def test_the_level_comes_back_when_the_load_is_gone_without_another_request(client: Client) -> None:
    crowd(client, 100)
    assert client.classify(PNG).json()["degraded"] is True
    client.wait_until(lambda: client.sample("haste_controller_degraded", model="small") == 0)
    assert client.sample("haste_controller_adjustments_total", model="small", direction="up", reason="relief") == 1


def test_what_cannot_be_in_time_is_refused_before_it_is_decoded(engine: FakeEngine) -> None:
    slow = Calibration("file", "2026-11-24T12:00:00+00:00", 1, tuple(points({12: 1000.0}, batches=(1,))))
    engine.calibrations["small"] = slow
    with serving(engine) as client:
        first = hold(client, engine)
        asked = [client.background("POST", "/classify?deadline_ms=10000", content=PNG) for _ in range(20)]
        waiting(client, 6)  # 1.2 s each by a cautious estimate, 9 s to be done
        client.wait_until(lambda: client.sample("haste_inference_requests_total", **REJECTED) == 14)
        assert len(engine.seen) < 20
        engine.gate.set()
        answers = [future.result() for future in (first, *asked)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 14
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert "6 images wait" in refused[-1].json()["detail"]


def test_a_deadline_that_this_machine_never_meets_is_a_bad_parameter(client: Client) -> None:
    answer = client.classify(PNG, "?deadline_ms=2")
    assert answer.status_code == 422
    assert "deadline" in answer.json()["detail"]
    assert client.classify(PNG, "?deadline_ms=2000").status_code == 200


def test_in_time_or_not_is_counted(client: Client, engine: FakeEngine) -> None:
    client.classify(PNG)
    late = hold(client, engine)
    time.sleep(0.15)
    engine.gate.set()
    assert late.result().status_code == 200
    assert client.sample("haste_requests_within_slo_total", model="small") == 1
    assert client.sample("haste_slo_target_seconds", model="small") == 0.1


def test_a_late_answer_makes_the_next_ones_keep_a_reserve(client: Client, engine: FakeEngine) -> None:
    client.classify(PNG)
    assert client.service.batching.reserve(0.1) == 0
    late = hold(client, engine)
    time.sleep(0.15)
    engine.gate.set()
    assert late.result().status_code == 200
    assert client.service.batching.reserve(0.1) > 0


def test_a_client_that_left_after_its_deadline_teaches_as_much_as_a_late_answer(
    client: Client, engine: FakeEngine
) -> None:
    client.classify(PNG)
    late = hold(client, engine)
    time.sleep(0.15)
    late.cancel()
    client.wait_until(lambda: client.service.batching.reserve(0.1) > 0)
    engine.gate.set()


def test_at_the_lowest_level_there_is_nothing_left_to_lower(client: Client) -> None:
    assert client.sample("haste_controller_at_lowest", model="small") == 0
    crowd(client, 500)
    client.classify(PNG)
    assert client.sample("haste_controller_at_lowest", model="small") == 1
    client.patch({"controller": {"enabled": False}})
    assert client.sample("haste_controller_at_lowest", model="small") == 1


def test_what_a_batch_took_is_told_beside_what_it_takes_dense(client: Client) -> None:
    client.classify(files=[("image", PNG)] * 3)
    client.classify(PNG)
    assert client.sample("haste_dense_forward_seconds_total", model="small") == pytest.approx(4 * MS["dense"] / 1e3)
    took = client.sample("haste_forward_seconds_total", model="small")
    assert took == client.sample("haste_compared_forward_seconds_total", model="small")
    assert 0 < took < 1


def test_without_a_calibration_nothing_is_compared_with_dense() -> None:
    with serving(FakeEngine("small")) as client:
        client.classify(PNG)
        assert client.sample("haste_forward_seconds_total", model="small") > 0
        assert client.sample("haste_compared_forward_seconds_total", model="small") == 0
        assert client.sample("haste_dense_forward_seconds_total", model="small") == 0


def test_the_objective_can_be_changed_and_the_controller_switched_off(client: Client) -> None:
    crowd(client, 500)
    assert client.classify(PNG).json()["degraded"] is True
    state = client.patch({"controller": {"enabled": False, "slo_ms": 250}}).json()["controller"]
    assert (state["enabled"], state["slo_ms"], state["L_min"]) == (False, 250, 8)
    assert state["models"]["small"]["off"] == "it is switched off"
    assert client.classify(PNG).json()["L"]["used"] == 12
    assert client.sample("haste_slo_target_seconds", model="small") == 0.25


def test_an_objective_that_no_level_can_hold_is_taken_with_a_warning_in_the_answer_and_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    told = client.patch({"controller": {"slo_ms": 3}}).json()["controller"]["models"]["small"]
    assert told["warning"] == "one image takes 5.3 ms at L = 8, too long for 3 ms"
    assert "the objective of model small cannot be held: one image takes 5.3 ms" in caplog.text
    caplog.clear()
    client.patch({"tolerance": 0.03})
    assert "cannot be held" not in caplog.text
    assert client.patch({"controller": {"slo_ms": 100}}).json()["controller"]["models"]["small"]["warning"] is None


def test_a_calibration_that_no_longer_holds_switches_the_controller_off_until_it_does(
    client: Client, engine: FakeEngine
) -> None:
    held = engine.calibrations.pop("small")
    state = client.patch({"tolerance": 0.2}).json()["controller"]["models"]["small"]
    assert state["off"] == "there is no calibration that holds"
    engine.calibrations["small"] = held
    assert client.patch({"tolerance": 0.03}).json()["controller"]["models"]["small"]["off"] is None


def test_a_least_level_that_is_none_is_refused_at_start(engine: FakeEngine) -> None:
    said = r"HASTE_L_MIN must be a whole number in 1\.\.32, 'exact' or 'dense', not 40"
    with pytest.raises(ValueError, match=said), serving(engine, L_min=40):
        raise AssertionError


def test_a_deadline_that_decoding_alone_takes_up_is_a_bad_parameter_and_the_objective_is_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(data: bytes, limits: ImageLimits) -> Image.Image:
        time.sleep(0.2)
        return decode(data, limits)

    monkeypatch.setattr("app.preparation.decode", slowly)
    answer = client.classify(PNG, "?deadline_ms=100")
    assert answer.status_code == 422
    assert "to decode the image took" in answer.json()["detail"]
    assert client.classify(PNG).status_code == 200


def test_while_a_model_is_loaded_what_was_accepted_is_answered_and_nothing_else_is_taken() -> None:
    engine = calibrated("small", "other")
    with serving(engine) as client:
        assert client.request("POST", "/models/other/unload").status_code == 200
        accepted = [hold(client, engine), client.background("POST", "/classify", content=PNG)]
        waiting(client, 1)
        loading = client.background("POST", "/models/other/load")
        client.wait_until(lambda: client.service.batching.closed_for is not None)
        refused = client.classify(PNG)
        assert (refused.status_code, refused.json()["detail"]) == (503, "model other is being loaded")
        assert int(refused.headers["Retry-After"]) > 0
        engine.gate.set()
        assert [future.result().status_code for future in (*accepted, loading)] == [200, 200, 200]
        assert client.classify(PNG).status_code == 200


def test_an_image_that_is_being_decoded_when_a_load_begins_is_answered_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = calibrated("small", "other")
    prepare, decoding, go = engine.prepare, threading.Event(), threading.Event()

    def held(model: str, image: Image.Image) -> Prepared:
        decoding.set()
        go.wait(10)
        return prepare(model, image)

    with serving(engine) as client:
        assert client.request("POST", "/models/other/unload").status_code == 200
        monkeypatch.setattr(engine, "prepare", held)
        accepted = client.background("POST", "/classify", content=PNG)
        assert decoding.wait(10)
        engine.gate.clear()
        loading = client.background("POST", "/models/other/load")
        client.wait_until(lambda: client.service.batching.closed_for is not None)
        go.set()
        assert engine.running.wait(10)
        assert engine.loads == ["small", "other"]
        engine.gate.set()
        assert [future.result().status_code for future in (accepted, loading)] == [200, 200]


def test_what_is_refused_for_the_bytes_of_its_body_counts_as_offered(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[int] = []

    def arrived(_now: float, _model: str, _level: Level | None, images: int, _least: Level | None) -> None:
        offered.append(images)

    with serving(engine, max_bytes_in_flight=10, max_request_bytes=10, max_image_bytes=10) as client:
        client.service.admission.bytes = 10
        monkeypatch.setattr(client.service.controller, "arrived", arrived)
        assert client.classify(PNG[:5]).status_code == 429
    assert offered == [1]


def test_a_change_of_the_state_moves_the_rungs_before_the_next_batch(client: Client) -> None:
    crowd(client, 500)
    assert client.classify(PNG).json()["L"]["used"] == 8
    client.patch({"controller": {"L_min": 12}})
    assert client.classify(PNG).json()["L"]["used"] == 12


def test_a_fault_behind_a_batch_costs_no_answer_of_it_nor_of_the_next(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(client.service.statistics, "batch", lambda *_: 1 / 0)
        assert client.classify(PNG).status_code == 200  # what the engine said had gone out
    assert client.classify(PNG).status_code == 200


def test_where_dispatching_fails_the_service_ends_instead_of_leaving_clients_waiting(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []
    client.service.on_failure = lambda: ended.append(True)
    monkeypatch.setattr(client.service.batching, "take", lambda _: 1 / 0)
    client.wait_until(lambda: bool(ended))
    assert client.service.failure == "dispatching failed: division by zero"
