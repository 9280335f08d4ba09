"""The command line keeps its contracts: what it prints, what it writes, and one line with exit 2 for what is wrong."""

import csv
import io
import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import haste
from haste import cli, kernel
from haste.config import HasteConfig
from haste.models import DEFAULT, create_model, list_pretrained, registry
from haste.models.resnet import ResNet

SAMPLES = Path(haste.__file__).parent / "samples"
ROW = {
    "model", "preset", "L", "merge", "planes", "patch_outputs", "tolerance", "threshold", "images", "dense_top1",
    "top1", "agreement", "kl", "flop_reduction", "skipped", "overhead",
}  # fmt: skip


class SmallResNet(ResNet):
    """Four stages of one narrow block."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__((1, 1, 1, 1), num_classes, small_images=True, widths=(16, 16, 16, 16))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options that select a narrow network with a checkpoint of its own."""
    monkeypatch.setitem(registry._BUILDERS, "small_cifar10", SmallResNet)
    torch.manual_seed(2)
    torch.save({"state_dict": SmallResNet().state_dict()}, tmp_path / "small.pt")
    return ["--model", "small_cifar10", "--checkpoint", str(tmp_path / "small.pt")]


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    images = np.random.default_rng(3).integers(0, 256, (30, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(30) % 10)
    return tmp_path / "data.npz"


def error_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that a wrong call prints."""
    try:
        status = cli.main(argv)
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    captured = capsys.readouterr()
    assert status == 2, captured
    assert captured.out == ""
    assert captured.err.startswith("haste: ")
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def test_models_lists_the_weights_with_what_is_known_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [record.name for record in list_pretrained()]
    fields = "name default embedded dense_top1 parameters input_size classes sha256 licence source"
    assert all(set(row) == set(fields.split()) for row in rows)
    assert [row["name"] for row in rows if row["default"]] == [DEFAULT]
    assert cli.main(["models"]) == 0
    assert "top-1" in capsys.readouterr().out


def test_info_tells_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["implementation"] == kernel.implementation()
    assert facts["available"][-1] == "reference"
    assert facts["embedded weights"] == [record.name for record in list_pretrained()]
    assert facts["presets"].keys() == {"paper", "default"}
    assert cli.main(["info"]) == 0
    assert "torch threads" in capsys.readouterr().out


def test_classify_answers_every_image_with_classes_and_flops(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["classify", str(SAMPLES / "cat.jpg"), str(SAMPLES), "--json", "--L", "exact", "--top-k", "3"]) == 0
    rows = json.loads(capsys.readouterr().out)
    names = [Path(row["path"]).name for row in rows]
    assert names == ["cat.jpg", *sorted(path.name for path in SAMPLES.glob("*.jpg"))]
    for row in rows:
        probabilities = [best["probability"] for best in row["predictions"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert len(probabilities) == 3
        flops = row["flops"]
        assert flops["executed"] == flops["dense"] - flops["skipped"] - flops["merged"] + flops["overhead"]
        assert flops["reduction"] == pytest.approx(1 - flops["executed"] / flops["dense"])
        assert flops["merged"] == 0
        assert row["L"] == "exact"


def test_classify_prints_csv_and_tables(capsys: pytest.CaptureFixture[str], small: list[str]) -> None:
    assert cli.main(["classify", str(SAMPLES), *small, "--csv", "--top-k", "2", "--L", "exact"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["rank"] for row in rows] == ["1", "2"] * 8
    assert {row["L"] for row in rows} == {"exact"}
    assert cli.main(["classify", str(SAMPLES / "dog.jpg"), *small]) == 0
    assert str(HasteConfig.preset("default").num_hyperplanes) in capsys.readouterr().out


def test_classify_takes_images_of_every_kind_and_size(tmp_path: Path, small: list[str]) -> None:
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for mode, size in (("L", (1, 1)), ("CMYK", (1, 900)), ("RGB", (70, 40))):
        Image.new(mode, size).save(tmp_path / "photos" / "more" / f"[{mode}] \u00e9.JPEG")
    Image.new("I;16", (5, 5)).save(tmp_path / "photos" / "sixteen.png")
    assert cli.main(["classify", str(tmp_path / "photos"), *small, "--L", "dense"]) == 0


def evaluated(argv: list[str], file: Path) -> list[dict[str, Any]]:
    assert cli.main(["eval", *argv, "--json", str(file)]) == 0
    rows: list[dict[str, Any]] = json.loads(file.read_text())
    assert all(set(row) == ROW for row in rows)
    return rows


def test_eval_writes_one_row_a_level(tmp_path: Path, npz: Path, small: list[str]) -> None:
    options = [*small, "--data", str(npz), "--limit", "5", "--L", "dense,exact,14,8"]
    rows = evaluated(options, tmp_path / "rows.json")
    assert [row["L"] for row in rows] == ["dense", "exact", 14, 8]
    for row in rows:
        assert (row["model"], row["preset"], row["images"]) == ("small_cifar10", "default", 5)
        assert all(
            row[name] == getattr(HasteConfig.preset("default"), name) for name in ("merge", "planes", "tolerance")
        )
    assert rows[0]["flop_reduction"] == rows[0]["kl"] == 0
    assert rows[1]["flop_reduction"] == pytest.approx(rows[1]["skipped"])


def test_options_override_the_preset(tmp_path: Path, npz: Path, small: list[str]) -> None:
    options = ["--merge", "projection", "--planes", "dct", "--patch-outputs", "4", "--tolerance", "none"]
    data = [*small, "--data", str(npz), "--limit", "2", "--L", "10"]
    (paper,) = evaluated([*data, "--preset", "paper"], tmp_path / "paper.json")
    assert (paper["merge"], paper["planes"], paper["patch_outputs"], paper["tolerance"]) == ("mean", "random", 3, None)
    (row,) = evaluated([*data, *options], tmp_path / "row.json")
    assert (row["merge"], row["planes"], row["patch_outputs"], row["tolerance"]) == ("projection", "dct", 4, None)
    (row,) = evaluated([*data, "--preset", "paper", "--tolerance", "0.05"], tmp_path / "row.json")
    assert row["tolerance"] == 0.05


def test_eval_reads_a_folder_of_classes(tmp_path: Path, small: list[str]) -> None:
    for path in SAMPLES.glob("*.jpg"):
        (tmp_path / "data" / path.stem).mkdir(parents=True)
        (tmp_path / "data" / path.stem / path.name).write_bytes(path.read_bytes())
    (row,) = evaluated(["--data", str(tmp_path / "data"), "--L", "dense", "--limit", "3"], tmp_path / "r.json")
    assert (row["model"], row["images"]) == (DEFAULT, 3)
    assert row["top1"] == row["dense_top1"]


WRONG_CALLS: dict[str, tuple[list[str], str]] = {
    "no command": ([], "required"),
    "unknown command": (["clasify"], "invalid choice: 'clasify'"),
    "unknown option": (["models", "--jsn"], "--jsn"),
    "L out of bounds": (["classify", "CAT", "--L", "33"], "not 33"),
    "L not a number": (["classify", "CAT", "--L", "ten"], "'ten'"),
    "empty L": (["eval", "--data", "X", "--L", "8,,9"], "''"),
    "top-k zero": (["classify", "CAT", "--top-k", "0"], "not 0"),
    "top-k huge": (["classify", "CAT", "--top-k", "1000000000"], "not 1000000000"),
    "unknown weights": (["classify", "CAT", "--model", "vgg99"], "'vgg99'"),
    "unknown network": (["classify", "CAT", "--model", "vgg99", "--checkpoint", "SMALL"], "'vgg99'"),
    "wrong network": (["classify", "CAT", "--model", "resnet18", "--checkpoint", "SMALL"], "'layer1.1.conv1.weight'"),
    "missing checkpoint": (["classify", "CAT", "--checkpoint", "absent.pt"], "absent.pt: No such file"),
    "missing image": (["classify", "absent.jpg"], "absent.jpg: No such file"),
    "not an image": (["classify", "NPZ"], "data.npz: not a JPEG"),
    "no data": (["eval", "--data", "absent"], "absent: no such file or folder"),
    "limit zero": (["eval", "--data", "NPZ", "--limit", "0"], "not 0"),
    "patch outputs": (["eval", "--data", "NPZ", "--patch-outputs", "0"], "patch_outputs"),
    "tolerance": (["eval", "--data", "NPZ", "--tolerance", "some"], "'some'"),
    "negative tolerance": (["eval", "--data", "NPZ", "--tolerance", "-1"], "-1"),
    "unwritable": (["eval", "--data", "NPZ", "--limit", "1", "--L", "dense", "--json", "/"], "directory"),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_wrong_call_is_one_line_and_exit_2(
    case: str, tmp_path: Path, npz: Path, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv, message = WRONG_CALLS[case]
    names = {"CAT": str(SAMPLES / "cat.jpg"), "NPZ": str(npz), "SMALL": str(tmp_path / "small.pt")}
    assert message in error_of(capsys, *[names.get(word, word) for word in argv])


def test_a_checkpoint_of_another_family_is_classified_with_by_its_own_number_of_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(create_model("vgg13_bn_half_cifar10", 7).state_dict(), tmp_path / "vgg.safetensors")
    options = ("--model", "vgg13_bn_half_cifar10", "--checkpoint", str(tmp_path / "vgg.safetensors"))
    assert cli.main(["classify", str(SAMPLES / "cat.jpg"), *options, "--json", "--top-k", "7"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert {best["index"] for best in row["predictions"]} == set(range(7))


def test_a_checkpoint_with_code_is_refused_and_never_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    torch.save({"fc.weight": Attack()}, tmp_path / "bad.pt")
    assert "bad.pt" in error_of(capsys, "classify", str(SAMPLES), "--checkpoint", str(tmp_path / "bad.pt"))
    assert not (tmp_path / "executed").exists()


def test_a_folder_without_images_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no images" in error_of(capsys, "classify", str(tmp_path))


@pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt(), 130), (OSError(5, "disk broke"), 2)])
def test_interruption_and_system_errors_end_in_one_line(
    raised: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise raised

    monkeypatch.setattr("haste.commands.models.list_pretrained", fail)
    assert cli.main(["models"]) == status
    assert capsys.readouterr().err.count("\n") == 1


def test_a_reader_that_left_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "haste", "models", "--json"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_installed_packages_add_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = [EntryPoint("greet", f"{__name__}:add_greet", cli.GROUP), EntryPoint("gone", "no.such:thing", cli.GROUP)]
    monkeypatch.setattr(cli, "entry_points", lambda group: found)
    assert cli.main(["greet"]) == 0
    assert capsys.readouterr().out == "hello\n"
    assert "`haste gone` cannot start: No module named 'no'" in error_of(capsys, "gone")


def add_greet(commands: Any) -> None:
    commands.add_parser("greet").set_defaults(run=lambda args: sys.stdout.write("hello\n") and 0)
