"""`haste calibrate` writes what the service loads, draws it, and refuses what it cannot do in one line."""

import json
from pathlib import Path

import pytest
import torch

from haste import cli, kernel
from haste.calibration import Calibration
from haste.models import registry
from haste.models.resnet import ResNet

native = pytest.mark.skipif(kernel.implementations() == [kernel.REFERENCE], reason="built without a kernel")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    def build(num_classes: int = 10) -> ResNet:
        return ResNet((1, 1, 1, 1), num_classes, small_images=True, widths=(16, 16, 16, 16))

    monkeypatch.setitem(registry._BUILDERS, "small_cifar10", build)
    torch.manual_seed(2)
    torch.save({"state_dict": build().state_dict()}, tmp_path / "small.pt")
    return ["calibrate", "--model", "small_cifar10", "--checkpoint", str(tmp_path / "small.pt")]


@native
def test_it_writes_the_calibration_and_its_picture(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--minutes", "0.01", "--threads", "1", "--batch", "1,2", "--L", "exact,12"]
    assert cli.main([*small, *options, "--out", str(tmp_path / "c.json")]) == 0
    found = Calibration.load(tmp_path / "c.json")
    assert (found.identity.threads, found.images) == (1, 8)
    assert {(point.batch, point.level) for point in found.points} == {
        (batch, level) for batch in (1, 2) for level in ("dense", "exact", 12)
    }
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "c.json" in capsys.readouterr().out


@native
def test_it_measures_the_merge_rule_that_it_is_told(small: list[str], tmp_path: Path) -> None:
    options = ["--minutes", "0.001", "--threads", "1", "--batch", "1", "--L", "12", "--merge", "mean"]
    assert cli.main([*small, *options, "--tolerance", "none", "--out", str(tmp_path / "c.json")]) == 0
    configuration = json.loads(Calibration.load(tmp_path / "c.json").identity.configuration)
    assert (configuration["merge"], configuration["tolerance"]) == ("mean", None)


@native
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--batch", "0"], "'0'"),
        (["--batch", "1,x"], "'x'"),
        (["--threads", "-1"], "'-1'"),
        (["--L", "12,99"], "99"),
        (["--minutes", "0"], "0.0"),
        (["--minutes", "nan"], "nan"),
        (["--images", "/nowhere"], "/nowhere"),
        (["--tolerance", "much"], "'much'"),
        (["--out", "/nowhere/c.json"], "/nowhere/c.json"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(
    small: list[str], options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*small, *options]) == 2
    message = capsys.readouterr().err
    assert named in message
    assert message.count("\n") == 1


def test_the_reference_alone_is_not_calibrated(
    small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HASTE_IMPLEMENTATION", "reference")
    assert cli.main([*small, "--minutes", "0.01"]) == 2
    assert "native program" in capsys.readouterr().err
