"""What is sent: encoded images read once, each with the name of its class where that is known."""

import mimetypes
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

_MOST_BYTES = 2**30


@dataclass(frozen=True)
class Payload:
    """A request's body, its content type, and the class that is right; None where nobody knows."""

    body: bytes
    content_type: str
    label: str | None


def read_images(path: Path, classes: Sequence[str]) -> list[Payload]:
    """Image files below a folder as they are, or an npz as PNGs. ValueError where there is none, or over 1 GiB."""
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    payloads, size = [], 0
    for payload in _folder(path, classes) if path.is_dir() else _npz(path, classes):
        size += len(payload.body)
        if size > _MOST_BYTES:
            raise ValueError(f"{path}: more than {_MOST_BYTES} bytes of images; name a folder with fewer")
        payloads.append(payload)
    if not payloads:
        raise ValueError(f"{path}: no images in it")
    return payloads


def _folder(folder: Path, classes: Sequence[str]) -> Iterator[Payload]:
    for file in sorted(folder.rglob("*")):
        kind = mimetypes.guess_type(file.name)[0] or ""
        if kind.startswith("image/") and not file.name.startswith(".") and file.is_file():
            yield Payload(file.read_bytes(), kind, label_of(file.relative_to(folder), classes))


def label_of(file: Path, classes: Sequence[str]) -> str | None:
    """The class that the nearest folder or the file is named by: `cat/1.png`, `cat.jpg`, `cat_12.png`; else None."""
    for folder in reversed(file.parent.parts):
        if folder in classes:
            return folder
    prefixes = (name for name in classes if re.match(re.escape(name) + r"(?![^\W_])", file.stem))
    return max(prefixes, key=len, default=None)


def _npz(path: Path, classes: Sequence[str]) -> Iterator[Payload]:
    """`images` uint8 (N, S, S, 3) and `labels` (N,), whole numbers that count the classes, as `haste eval` reads."""
    try:
        with path.open("rb") as handle:
            if not zipfile.is_zipfile(handle):
                raise ValueError(f"{path}: neither a folder of images nor an npz of images and labels")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not an npz of images and labels ({' '.join(str(error).split())})") from None
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"{path}: images are {images.dtype} {images.shape}, not uint8 (N, S, S, 3)")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: labels are {labels.dtype} {labels.shape}, not {len(images)} integers")
    if len(labels) and (labels.min() < 0 or labels.max() >= len(classes)):
        raise ValueError(f"{path}: labels span {labels.min()}..{labels.max()}, not 0..{len(classes) - 1}")
    for pixels, label in zip(images, labels, strict=True):
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        yield Payload(buffer.getvalue(), "image/png", classes[label])
