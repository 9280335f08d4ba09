"""The real engine behind the real server, by its command: start, classify, steer, count, stop."""

import base64
import gc
import re
import weakref
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from app.calibrator import Calibrator
from app.contract import Item
from app.engine import TorchEngine

SAMPLES = Path(__file__).parents[2] / "haste" / "samples"
CAT, DOG = ((SAMPLES / f"{name}.jpg").read_bytes() for name in ("cat", "dog"))
FLOPS = ("dense", "executed", "overhead", "skipped", "merged")


def counters(server: httpx.Client) -> dict[str, int]:
    text = server.get("/metrics").text
    found = re.findall(r'^haste_(\w+)_flops_total\{model="resnet18_cifar10"\} (\S+)$', text, re.MULTILINE)
    return {name: int(float(value)) for name, value in found}


def test_the_sum_of_twenty_answers_flops_is_the_difference_of_the_counters(server: httpx.Client) -> None:
    before, flops = counters(server), []
    for level in ("8", "10", "14", "exact", "dense"):
        answer = server.post(f"/classify?L={level}", content=CAT).json()
        flops.append(answer["flops"])
        assert answer["L"]["used"] == (level if level in ("exact", "dense") else int(level))
        files = [("image", CAT), ("file", DOG), ("image", CAT)]
        results = server.post(f"/classify?L={level}", files=files).json()["results"]
        flops += [result["flops"] for result in results]
        assert server.post(f"/classify?L={level}", files=[*files, ("image", CAT[:300])]).status_code == 400
        assert server.post("/classify?L=99", content=CAT).status_code == 422
    assert len(flops) == 20
    after = counters(server)
    assert {name: after[name] - before[name] for name in FLOPS} == {name: sum(f[name] for f in flops) for name in FLOPS}
    for one in flops:
        assert one["dense"] == flops[0]["dense"] > 1_000_000_000
        assert one["executed"] == one["dense"] - one["skipped"] - one["merged"] + one["overhead"]


def test_the_three_forms_agree_and_dense_executes_everything(server: httpx.Client) -> None:
    answers: list[Any] = [
        server.post("/classify?L=dense", content=CAT).json(),
        server.post("/classify", files={"image": CAT}, data={"L": "dense"}).json(),
        server.post("/classify", json={"image": base64.b64encode(CAT).decode(), "L": "dense"}).json(),
    ]
    for answer in answers:
        assert answer["flops"] == {
            "dense": answer["flops"]["dense"], "executed": answer["flops"]["dense"],
            "skipped": 0, "merged": 0, "overhead": 0, "reduction": 0.0,
        }  # fmt: skip
        assert answer["predictions"] == answers[0]["predictions"]
        assert sum(p["probability"] for p in answer["predictions"]) <= 1.0001


def test_exact_changes_no_prediction_and_merges_nothing(server: httpx.Client) -> None:
    dense, exact = (server.post(f"/classify?L={level}&top_k=10", content=CAT).json() for level in ("dense", "exact"))
    wanted = {p["label"]: pytest.approx(p["probability"], abs=1e-4) for p in dense["predictions"]}
    assert {p["label"]: p["probability"] for p in exact["predictions"]} == wanted
    assert exact["flops"]["merged"] == exact["flops"]["overhead"] == 0 < exact["flops"]["skipped"]


def test_a_change_of_state_changes_what_is_executed(server: httpx.Client) -> None:
    start = server.get("/config").json()
    executed = []
    for state in ({"L": 4}, {"L": 20}, {"merge": "mean"}, {"tolerance": None}, {"L": "dense"}):
        assert server.patch("/config", json=state).status_code == 200
        executed.append(server.post("/classify", content=CAT).json()["flops"]["executed"])
    assert len(set(executed)) == len(executed)
    back = {name: start[name] for name in ("L", "merge", "tolerance")}
    assert server.patch("/config", json=back).json()["version"] == start["version"] + 6


def compression(server: httpx.Client) -> dict[str, float]:
    series = r'^haste_layer_compression_ratio\{layer="([^"]+)",model="resnet18_cifar10"\} (\S+)$'
    return {layer: float(ratio) for layer, ratio in re.findall(series, server.get("/metrics").text, re.MULTILINE)}


def test_layers_show_the_compression_of_the_last_batch_that_merged(server: httpx.Client) -> None:
    server.post("/classify?L=8", content=CAT)
    ratios = compression(server)
    assert len(ratios) > 5  # the deep layers
    assert all(0 <= ratio < 1 for ratio in ratios.values())
    assert any(ratio > 0 for ratio in ratios.values())
    for level in ("exact", "dense"):
        server.post(f"/classify?L={level}", content=CAT)
        assert compression(server) == ratios


def test_what_was_unloaded_is_freed_and_comes_back() -> None:
    engine = TorchEngine((), "default", None, threads=1, calibrator=Calibrator())
    (model,) = (info.name for info in engine.models)
    engine.unload(model)  # not loaded yet: nothing to do, and no error
    engine.load(model, "projection", 0.05)
    network = weakref.ref(engine._loaded[model].network)
    engine.unload(model)
    gc.collect()
    assert network() is None
    engine.load(model, "projection", 0.05)
    values = np.zeros((3, 32, 32), np.float32)
    values.flags.writeable = False
    item = Item(engine.prepare_array(values), 8, 1)
    assert len(engine.forward(model, [item]).images) == 1


def test_a_network_is_configured_only_where_it_is_loaded() -> None:
    engine = TorchEngine((), "default", None, threads=1, calibrator=Calibrator())
    (model,) = (info.name for info in engine.models)
    engine.configure(model, "mean", None)  # not loaded yet: nothing to do, and no error
    engine.load(model, "projection", 0.05)
    item = Item(torch.zeros(3, 32, 32), 8, 1)
    before = engine.forward(model, [item]).images[0].flops
    engine.configure(model, "mean", None)
    assert engine.forward(model, [item]).images[0].flops != before
