"""Rows have the named keys, only what is known to lose little is quotable, and a stale evaluation is not believed."""

import json
from pathlib import Path
from typing import Any

import pytest

from haste.bench.contenders import Job
from haste.bench.gate import Verdict
from haste.bench.race import Result
from haste.bench.rows import DENSE, Quality, fastest_peer, quotable, row_of, stored
from haste.config import HasteConfig

KEYS = [
    "runtime", "version", "threads", "batch", "L", "median_ms", "p10_ms", "p90_ms", "flop_reduction", "top1_loss",
    "max_abs_error", "machine",
]  # fmt: skip


def row(runtime: str = "haste", quality: Quality | None = DENSE, times: tuple[float, ...] = (1.0, 2.0, 3.0)) -> Any:
    job = Job(runtime, "m", None, "cifar10", "default", 12, 2, 8, 32, "/tmp")
    return row_of(Result(job, "1.0", Verdict(0.5, wrong=not times), list(times)), quality, "a machine")


def test_rows_have_exactly_the_named_keys() -> None:
    assert list(row()) == KEYS
    assert (row()["p10_ms"], row()["median_ms"], row()["p90_ms"]) == (1.2, 2.0, 2.8)
    wrong = row(times=())
    assert list(wrong) == [*KEYS, "wrong"]
    assert (wrong["median_ms"], wrong["max_abs_error"], wrong["wrong"]) == (None, 0.5, True)
    assert json.dumps(wrong)


@pytest.mark.parametrize(("loss", "may"), [(0.0125, True), (0.0126, False), (-0.01, True), (None, False)])
def test_only_a_small_known_loss_may_be_quoted(loss: float | None, may: bool) -> None:
    assert quotable(row(quality=None if loss is None else Quality(0.5, loss))) is may
    assert not quotable(row(times=()))


def test_the_fastest_peer_is_right_and_not_ours() -> None:
    rows = [row(times=(0.1,)), row("mnn", times=(3.0,)), row("ncnn", times=(2.0,)), row("openvino", times=())]
    found = fastest_peer(rows)
    assert found is not None
    assert found["runtime"] == "ncnn"
    assert fastest_peer(rows[:1]) is None


def test_an_evaluation_of_other_settings_or_models_is_not_believed(tmp_path: Path) -> None:
    config = HasteConfig.preset("default")
    good = {"model": "m", "preset": "default", "L": 12, "patch_outputs": config.patch_outputs}
    good |= {"top1": 0.824, "dense_top1": 0.8365, "flop_reduction": 0.5}
    others = [good | {"L": 8, "patch_outputs": 63}, good | {"L": 9, "model": "n"}, good | {"L": 10, "preset": "paper"}]
    (tmp_path / "rows.json").write_text(json.dumps([good, *others]))
    found = stored(tmp_path / "rows.json", "m", "default", config)
    assert found == {12: Quality(0.5, 0.0125)}  # and not a rounding error more


@pytest.mark.parametrize("text", ["{", "[1]", '[{"L": 1}]', "null"])
def test_what_is_no_evaluation_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(ValueError, match=r"rows\.json: not the rows"):
        stored(tmp_path / "rows.json", "m", "default", HasteConfig())
    with pytest.raises(ValueError, match=r"absent\.json: No such file"):
        stored(tmp_path / "absent.json", "m", "default", HasteConfig())
