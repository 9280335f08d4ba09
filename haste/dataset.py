"""Labelled images on disk: a folder a class, or an npz, and an evenly strided part of them."""

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from haste.images import SUFFIXES, normalise, open_image, preprocess
from haste.models import WeightsRecord

SAMPLES = Path(__file__).parent / "samples"
"""The packaged photos."""
_MOST_PHOTOS = 64
Labels = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Dataset:
    """`labels`: (N,) int64; `load(index)`: the normalised image (3, S, S) float32, decoded when it is asked for."""

    labels: Labels
    load: Callable[[int], Tensor]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, limit: int | None) -> "Dataset":
        """At most `limit` images: as many of every class as possible, evenly strided in each; None takes all.

        The choice depends on the labels alone. ValueError where `limit` is not positive.
        """
        if limit is None:
            return self
        chosen = strided(self.labels, limit)
        return Dataset(self.labels[chosen], lambda index: self.load(int(chosen[index])))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (B, 3, S, S) float32 and labels (B,) int64, B <= `size`, in order."""
        for start in range(0, len(self), size):
            indices = range(start, min(start + size, len(self)))
            yield torch.stack([self.load(i) for i in indices]), torch.from_numpy(self.labels[start : indices.stop])


def strided(labels: Labels, limit: int) -> Labels:
    """Indices, ascending, of at most `limit` labels: shares as equal as the classes allow, strided within a class."""
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = _shares([len(m) for m in members], limit)
    picks = [m[np.arange(n) * len(m) // n] for m, n in zip(members, shares, strict=True) if n]
    return np.sort(np.concatenate(picks)).astype(np.int64)


def _shares(sizes: list[int], limit: int) -> list[int]:
    """How many to take of each class: equal shares; what small classes leave over goes to the others."""
    shares, left = [0] * len(sizes), min(limit, sum(sizes))
    while left:
        hungry = [i for i, size in enumerate(sizes) if shares[i] < size]
        portion, extra = divmod(left, len(hungry))
        for rank, i in enumerate(hungry):
            taken = min(portion + (rank < extra), sizes[i] - shares[i])
            shares[i] += taken
            left -= taken
    return shares


def read_dataset(path: str | Path, record: WeightsRecord) -> Dataset:
    """`read_folder` for a folder, `read_npz` for a file; ValueError where there is neither."""
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    return read_folder(path, record) if path.is_dir() else read_npz(path, record)


def find_images(folder: Path) -> list[Path]:
    """Image files below a folder by their suffix, sorted, hidden ones left out."""
    paths = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in paths if p.is_file())


def read_photos(folder: Path, record: WeightsRecord) -> Tensor:
    """At most 64 images below a folder, evenly strided: (N, 3, S, S) float32; ValueError where there is none."""
    files = find_images(folder)
    if not files:
        raise ValueError(f"{folder}: no images in it" if folder.exists() else f"{folder}: no such folder")
    count = min(len(files), _MOST_PHOTOS)
    return torch.stack([preprocess(open_image(files[i * len(files) // count]), record) for i in range(count)])


def read_folder(path: str | Path, record: WeightsRecord) -> Dataset:
    """One folder a class, named as the record's classes; images of any size, decoded one by one as they are loaded.

    ValueError for a folder that is no class of the record, or when there is no image at all.
    """
    index = {name: label for label, name in enumerate(record.classes)}
    files: list[tuple[int, Path]] = []
    for folder in sorted(p for p in Path(path).iterdir() if p.is_dir() and not p.name.startswith(".")):
        if folder.name not in index:
            raise ValueError(f"{folder}: {folder.name!r} is not a class of {record.name}")
        files += [(index[folder.name], file) for file in find_images(folder)]
    if not files:
        raise ValueError(f"{path}: no images in folders named as the classes of {record.name}")
    files.sort()
    labels = np.array([label for label, _ in files], np.int64)
    return Dataset(labels, lambda i: preprocess(open_image(files[i][1]), record))


def read_npz(path: str | Path, record: WeightsRecord) -> Dataset:
    """`images` uint8 (N, S, S, 3), S the record's input size, and `labels` (N,): normalised, never resized.

    ValueError, which names the file, for anything else in it; pickled objects are not read.
    """
    try:
        with Path(path).open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not an npz of images and labels ({' '.join(str(error).split())})") from None
    side, classes = record.input_size, len(record.classes)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3):
        raise ValueError(f"{path}: images are {images.dtype} {images.shape}, not uint8 (N, {side}, {side}, 3)")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu" or not len(labels):
        raise ValueError(f"{path}: labels are {labels.dtype} {labels.shape}, not {len(images)} integers")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"{path}: labels span {labels.min()}..{labels.max()}, not 0..{classes - 1}")
    return Dataset(labels.astype(np.int64), lambda i: normalise(images[i : i + 1], record)[0])
