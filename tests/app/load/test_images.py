"""What is sent, and which class is known to be right."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.load.images import label_of, read_images

CLASSES = ("cat", "cat fish", "dog")


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("dog/1.png", "dog"),
        ("train/dog/1.png", "dog"),
        ("dog/cat.png", "dog"),
        ("cat.jpg", "cat"),
        ("cat_12.png", "cat"),
        ("cat-12.png", "cat"),
        ("cat fish 2.png", "cat fish"),
        ("category.png", None),
        ("my_cat.png", None),
        ("wolf/1.png", None),
    ],
)
def test_a_class_is_known_by_its_folder_or_by_the_beginning_of_the_name(path: str, label: str | None) -> None:
    assert label_of(Path(path), CLASSES) == label


def test_files_are_sent_as_they_are_and_other_files_are_not(photos: Path) -> None:
    (photos / "notes.txt").write_text("no image")
    (photos / ".cat.png").write_bytes(b"hidden")
    (photos / "x.jpeg").write_bytes(b"whatever it holds")
    found = read_images(photos, CLASSES)
    assert [(image.content_type, image.label) for image in found] == [
        ("image/png", "cat"),
        ("image/png", "dog"),
        ("image/jpeg", None),
    ]
    assert [image.body for image in found] == [(photos / f).read_bytes() for f in ("cat.png", "dog.png", "x.jpeg")]


def test_an_npz_is_sent_as_pngs_of_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=pixels, labels=[2, 0, 1])
    found = read_images(tmp_path / "data.npz", CLASSES)
    assert [image.label for image in found] == ["dog", "cat", "cat fish"]
    assert all(np.array_equal(np.asarray(Image.open(BytesIO(f.body))), p) for f, p in zip(found, pixels, strict=True))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 8, 8, 3)), [0, 1], "float64"),
        (np.zeros((2, 8, 8, 1), np.uint8), [0, 1], r"\(2, 8, 8, 1\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), [0], "not 2 integers"),
        (np.zeros((2, 8, 8, 3), np.uint8), [0, 3], r"span 0..3, not 0..2"),
        (np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, int), "no images"),
    ],
)
def test_an_npz_of_something_else_is_refused(
    tmp_path: Path, images: np.ndarray[Any, Any], labels: Any, message: str
) -> None:
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    with pytest.raises(ValueError, match=message):
        read_images(tmp_path / "data.npz", CLASSES)


def test_what_holds_no_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"x")
    for path, message in (("absent", "no such file"), ("", "no images"), ("broken.npz", "neither a folder")):
        with pytest.raises(ValueError, match=message):
            read_images(tmp_path / path, CLASSES)
