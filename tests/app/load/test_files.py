"""Files that a command is to write."""

import importlib.util
from pathlib import Path

import pytest

from app.load.files import check_files


def test_files_in_a_directory_may_be_written_and_overwritten(tmp_path: Path) -> None:
    (tmp_path / "old.json").touch()
    check_files(None, None)
    check_files(tmp_path / "old.json", tmp_path / "new.png")


def test_a_directory_and_a_file_in_none_are_refused(tmp_path: Path) -> None:
    for wrong in (tmp_path, tmp_path / "absent" / "x"):
        for files in ((wrong, None), (None, wrong)):
            with pytest.raises(ValueError, match="not a file in an existing directory"):
                check_files(*files)


@pytest.mark.parametrize("name", ["x.foo", "x"])
def test_a_picture_of_a_kind_that_is_not_drawn_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"--plot draws .png, .svg, .pdf, not '{name}'"):
        check_files(None, tmp_path / name)


def test_a_picture_needs_the_drawing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    check_files(tmp_path / "x.json", None)
    with pytest.raises(ValueError, match=r"haste-edge\[figures\]"):
        check_files(None, tmp_path / "x.png")
