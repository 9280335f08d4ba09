"""What the overload benchmark needs before it starts anything."""

import sys
from pathlib import Path

import pytest

from benchmarks import overload


def test_an_evaluation_of_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.json"
    file.write_text("[]")
    monkeypatch.setattr(sys, "argv", ["overload", "--images", str(tmp_path), "--evaluation", str(file)])
    assert overload.main() == 2
    assert "no row of resnet18_cifar10 with the present settings; run haste eval anew" in capsys.readouterr().err
