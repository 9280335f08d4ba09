"""`haste bench` end to end with real children, and one line for what is wrong."""

import json
import shutil
from pathlib import Path

import pytest

import haste
from haste import cli
from haste.bench import contenders
from tests.haste.bench.test_rows import KEYS

EVALUATION = Path(__file__).parents[3] / "benchmarks" / "results" / "test-default.json"

SAMPLES = Path(haste.__file__).parent / "samples"


def test_bench_times_ours_and_a_rival_and_names_the_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    shutil.copy(SAMPLES / "cat.jpg", tmp_path / "images")
    absent = contenders.Contender("torch", lambda job: lambda images: images, ("no_such_runtime",))
    monkeypatch.setitem(contenders.PEERS, "ncnn", absent)
    file = tmp_path / "rows.json"
    options = ["--L", "exact", "--peers", "pytorch-eager,ncnn", "--rounds", "2", "--batch", "2"]
    assert cli.main(["bench", *options, "--images", str(tmp_path / "images"), "--json", str(file)]) == 0
    printed = capsys.readouterr()
    assert "ncnn skipped: no_such_runtime not installed" in printed.err
    assert "L = exact" in printed.err
    rows = json.loads(file.read_text())
    assert [list(row) for row in rows] == [KEYS] * 2
    assert [(row["runtime"], row["L"]) for row in rows] == [("haste", "exact"), ("pytorch-eager", "dense")]
    assert all(0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"] for row in rows)
    assert [row["top1_loss"] for row in rows] == [None, 0]


WRONG_CALLS: dict[str, tuple[list[str], str]] = {
    "L": (["--L", "8,33"], "not 33"),
    "threads zero": (["--threads", "1,0"], "threads must be whole numbers in 1..256, comma-separated, not '0'"),
    "threads text": (["--threads", "two"], "'two'"),
    "batch": (["--batch", "-1"], "'-1'"),
    "rounds": (["--rounds", "1"], "not 1"),
    "peer": (["--peers", "tensorflow"], "'tensorflow'"),
    "no folder": (["--images", "absent"], "absent: no such folder"),
    "no data": (["--data", "absent"], "absent: no such file or folder"),
    "no evaluation": (["--evaluation", "absent", "--calibration", "none"], "absent: No such file"),
    "evaluation of the method in full": (["--evaluation", str(EVALUATION)], "needs --calibration none"),
    "limit without data": (["--limit", "5"], "of --data"),
    "no limit": (["--data", "absent", "--limit", "0"], "--limit 0"),
    "both": (["--data", "a", "--evaluation", "b"], "not allowed with"),
    "unwritable": (["--json", "/"], "directory"),
    "model": (["--model", "vgg99"], "'vgg99'"),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_wrong_call_is_one_line_and_exit_2(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv, message = WRONG_CALLS[case]
    try:
        status = cli.main(["bench", *argv])
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    printed = capsys.readouterr()
    assert (status, printed.out, printed.err.count("\n")) == (2, "", 1), printed
    assert message in printed.err
