"""CIFAR-10 read from its JPEG archive, with a fixed validation split; as a command it writes one split to an npz."""

import argparse
import io
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PER_CLASS = {"train": 5000, "test": 1000}
VALIDATION_PER_CLASS = 200


class Split(NamedTuple):
    """images: (N, 32, 32, 3) uint8; labels: (N,) int64."""

    images: np.ndarray
    labels: np.ndarray


def read_archive(path: Path) -> dict[str, Split]:
    """Decode the archive into `train` (48,000), `validation` (2,000) and `test` (10,000).

    Validation is the last 200 files of each class of the training part; order is (class, file name).
    Raises ValueError when a class does not hold the number of images it should.
    """
    files: dict[tuple[str, str], list[tuple[str, bytes]]] = defaultdict(list)
    with tarfile.open(path, "r:xz") as archive:
        for member in archive:
            parts = Path(member.name).parts[-3:]
            if member.isfile() and member.name.endswith(".jpg") and len(parts) == 3:
                handle = archive.extractfile(member)
                assert handle is not None
                files[parts[0], parts[1]].append((parts[2], handle.read()))
    decoded: dict[str, list[tuple[np.ndarray, int]]] = defaultdict(list)
    for part, count in PER_CLASS.items():
        for label, name in enumerate(CLASSES):
            members = sorted(files[part, name])
            if len(members) != count:
                raise ValueError(f"{path}: {part}/{name} holds {len(members)} images, not {count}")
            for index, (_, data) in enumerate(members):
                held_out = part == "train" and index >= count - VALIDATION_PER_CLASS
                pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                decoded["validation" if held_out else part].append((pixels, label))
    return {
        name: Split(np.stack([x for x, _ in rows]), np.array([y for _, y in rows], np.int64))
        for name, rows in decoded.items()
    }


def main() -> None:
    """Write one split as the npz that `haste eval --data` reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--split", choices=("train", "validation", "test"), default="validation")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    split = read_archive(args.archive)[args.split]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.out, images=split.images, labels=split.labels)
    print(f"{args.out}: {len(split.labels)} images")


if __name__ == "__main__":
    main()
