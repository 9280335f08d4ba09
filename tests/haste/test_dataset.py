"""Labelled images are read as they are, and a limit takes an even, repeatable part of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from haste.dataset import read_dataset, strided
from haste.images import normalise
from haste.models import WeightsRecord


def write_npz(path: Path, **changes: Any) -> Path:
    rng = np.random.default_rng(1)
    arrays = {"images": rng.integers(0, 256, (6, 8, 8, 3), np.uint8), "labels": np.array([0, 1, 2, 0, 1, 2])}
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return path


def test_npz_images_are_normalised_and_never_resized(tmp_path: Path, record: WeightsRecord) -> None:
    file = write_npz(tmp_path / "x.npz")
    with np.load(file) as content:
        expected = normalise(content["images"], record)
    batches = list(read_dataset(file, record).batches(4))
    assert [len(labels) for _, labels in batches] == [4, 2]
    assert torch.equal(torch.cat([x for x, _ in batches]), expected)
    assert torch.cat([labels for _, labels in batches]).tolist() == [0, 1, 2, 0, 1, 2]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "wrong size": ({"images": np.zeros((6, 9, 8, 3), np.uint8)}, r"uint8 \(6, 9, 8, 3\), not uint8 \(N, 8, 8, 3\)"),
    "wrong type": ({"images": np.zeros((6, 8, 8, 3), np.float32)}, "images are float32"),
    "channels first": ({"images": np.zeros((6, 3, 8, 8), np.uint8)}, r"\(6, 3, 8, 8\)"),
    "too few labels": ({"labels": np.zeros(5, np.int64)}, r"labels are int64 \(5,\), not 6 integers"),
    "labels with a fraction": ({"labels": np.zeros(6)}, "labels are float64"),
    "label too large": ({"labels": np.array([0, 1, 2, 3, 0, 0])}, r"labels span 0\.\.3, not 0\.\.2"),
    "label negative": ({"labels": np.array([0, 1, -1, 2, 0, 0])}, r"labels span -1\.\.2"),
    "no labels": ({"labels": None}, "not an npz of images and labels"),
    "objects": ({"labels": np.array([None] * 6)}, "not an npz of images and labels"),
    "nothing": ({"images": np.zeros((0, 8, 8, 3), np.uint8), "labels": np.zeros(0, np.int64)}, "not 0 integers"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_npz_that_does_not_fit_is_refused(tmp_path: Path, record: WeightsRecord, case: str) -> None:
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        read_dataset(write_npz(tmp_path / "x.npz", **changes), record)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04garbage", b"\x93NUMPY"])
def test_bytes_that_are_no_npz_are_refused(tmp_path: Path, record: WeightsRecord, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz: not an npz"):
        read_dataset(tmp_path / "x.npz", record)
    np.save(tmp_path / "y.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"y\.npy: not an npz"):
        read_dataset(tmp_path / "y.npy", record)


def test_a_folder_holds_one_folder_a_class_in_the_records_order(tmp_path: Path, record: WeightsRecord) -> None:
    for name, count in (("cow", 1), ("ant", 2)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (20, 10), (i, 0, 0)).save(tmp_path / name / f"{i}.png")
        (tmp_path / name / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    data = read_dataset(tmp_path, record)
    assert data.labels.tolist() == [0, 0, 2]
    (batch,) = data.batches(9)
    assert batch[0].shape == (3, 3, 8, 8)


def test_a_folder_of_another_name_or_without_images_is_refused(tmp_path: Path, record: WeightsRecord) -> None:
    with pytest.raises(ValueError, match="no images in folders"):
        read_dataset(tmp_path, record)
    (tmp_path / "dog").mkdir()
    with pytest.raises(ValueError, match="'dog' is not a class of small"):
        read_dataset(tmp_path, record)
    with pytest.raises(ValueError, match="absent: no such file or folder"):
        read_dataset(tmp_path / "absent", record)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 80))
def test_a_limit_takes_as_many_of_every_class_as_there_are(values: list[int], limit: int) -> None:
    labels = np.array(values)
    chosen = strided(labels, limit)
    assert len(chosen) == len(set(chosen.tolist())) == min(limit, len(values))
    assert chosen.tolist() == sorted(chosen.tolist())
    taken, present = np.bincount(labels[chosen], minlength=5), np.bincount(labels, minlength=5)
    short = taken[taken < present]  # classes that could have given more gave the same, to within one
    assert not len(short) or short.max() - short.min() <= 1
    assert not len(short) or taken.max() <= short.min() + 1


def test_a_limit_strides_through_each_class_instead_of_taking_its_head() -> None:
    assert strided(np.repeat([0, 1], 10), 10).tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    with pytest.raises(ValueError, match="limit must be at least 1, not 0"):
        strided(np.zeros(3, np.int64), 0)


def test_a_limited_set_loads_the_chosen_images(tmp_path: Path, record: WeightsRecord) -> None:
    data = read_dataset(write_npz(tmp_path / "x.npz"), record)
    part = data.take(4)
    chosen = strided(data.labels, 4).tolist()
    assert part.labels.tolist() == data.labels[chosen].tolist()
    assert torch.equal(part.load(3), data.load(chosen[3]))
    assert data.take(None) is data
