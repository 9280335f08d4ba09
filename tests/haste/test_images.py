"""Every kind of image becomes the picture a person sees, upright, at the size the network expects."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from haste.images import normalise, open_image, preprocess, to_rgb
from haste.models import WeightsRecord

RED, HALF_RED_ON_WHITE = (255, 0, 0), (255, 127, 127)


def filled(mode: str, value: float | tuple[int, ...]) -> Image.Image:
    return Image.new(mode, (4, 4), value)


def palette(transparent: bool) -> Image.Image:
    image = filled("P", 1)
    image.putpalette([0, 0, 0, *RED])
    if transparent:
        image.info["transparency"] = bytes([255, 128])
    return image


def sixteen_bits(value: int, kind: str) -> Image.Image:
    return Image.fromarray(np.full((4, 4), value, kind))


def grey_with_a_transparent_shade() -> Image.Image:
    image = filled("L", 9)
    image.info["transparency"] = 9
    return image


KINDS: dict[str, tuple[Callable[[], Image.Image], tuple[int, int, int]]] = {
    "RGB": (lambda: filled("RGB", RED), RED),
    "bilevel": (lambda: filled("1", 1), (255, 255, 255)),
    "grey": (lambda: filled("L", 100), (100, 100, 100)),
    "grey, alpha": (lambda: filled("LA", (0, 0)), (255, 255, 255)),
    "grey, premultiplied": (lambda: filled("LA", (0, 128)).convert("La"), (127, 127, 127)),
    "RGB, alpha": (lambda: filled("RGBA", (*RED, 128)), HALF_RED_ON_WHITE),
    "RGB, premultiplied": (lambda: filled("RGBA", (*RED, 128)).convert("RGBa"), HALF_RED_ON_WHITE),
    "palette": (lambda: palette(False), RED),
    "palette, alpha": (lambda: palette(True), HALF_RED_ON_WHITE),
    "a transparent shade": (grey_with_a_transparent_shade, (255, 255, 255)),
    "CMYK": (lambda: filled("CMYK", (0, 255, 255, 0)), RED),
    "YCbCr": (lambda: filled("YCbCr", (100, 128, 128)), (100, 100, 100)),
    "16 bits": (lambda: sixteen_bits(100 * 257, "<u2"), (100, 100, 100)),
    "16 bits, big end first": (lambda: sixteen_bits(65535, ">u2"), (255, 255, 255)),
    "32 bits": (lambda: filled("I", 100 * 257), (100, 100, 100)),
    "32 bits, too bright": (lambda: filled("I", 2**30), (255, 255, 255)),
    "float": (lambda: filled("F", 0.4), (102, 102, 102)),
    "float, not a number": (lambda: filled("F", float("nan")), (0, 0, 0)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_mode_becomes_the_colour_a_person_sees(kind: str) -> None:
    make, colour = KINDS[kind]
    image = to_rgb(make())
    assert image.mode == "RGB"
    found = np.asarray(image).reshape(-1, 3).astype(int)
    assert np.abs(found - np.array(colour)).max() <= 1, found[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_exif_orientation_is_applied_once(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255  # bright at the top left, wider than high
    undo = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, 1), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"turned.{suffix}"
    stored = np.ascontiguousarray(undo[orientation](upright))
    Image.fromarray(stored).save(file, exif=exif, quality=100)
    found = open_image(file)
    assert found.size == (32, 16)
    assert np.abs(np.asarray(found).astype(int) - upright).max() < 30
    assert np.array_equal(np.asarray(to_rgb(found)), np.asarray(found))


def test_broken_exif_data_leaves_the_image_as_it_is(tmp_path: Path) -> None:
    filled("RGB", RED).save(tmp_path / "x.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage", quality=100)
    assert open_image(tmp_path / "x.jpg").size == (4, 4)


def test_an_image_of_the_right_size_is_not_resampled(record: WeightsRecord) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    x = preprocess(Image.fromarray(pixels), record)
    assert (x.shape, x.dtype) == ((3, 8, 8), torch.float32)
    back = (x.permute(1, 2, 0) * torch.tensor(record.std) + torch.tensor(record.mean)) * 255
    assert np.array_equal(back.round().numpy().astype(np.uint8), pixels)


@pytest.mark.parametrize("size", [(8, 8), (8, 12), (3, 5)])
def test_the_values_of_an_image_are_as_good_as_the_image(size: tuple[int, int], record: WeightsRecord) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    assert torch.equal(preprocess(pixels, record), preprocess(Image.fromarray(pixels), record))


@pytest.mark.parametrize(
    "pixels", [np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)]
)
def test_values_that_are_no_image_are_named(pixels: NDArray[Any], record: WeightsRecord) -> None:
    with pytest.raises(ValueError, match=rf"\(H, W, 3\) uint8, not .*{pixels.dtype}"):
        preprocess(pixels, record)


def test_normalised_is_to_the_bit_what_the_formula_says(record: WeightsRecord) -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 7, 9, 3), np.uint8)
    x = (torch.from_numpy(images).float() / 255 - torch.tensor(record.mean)) / torch.tensor(record.std)
    found = normalise(images, record)
    assert found.is_contiguous()
    assert torch.equal(found, x.permute(0, 3, 1, 2))


@pytest.mark.parametrize("size", [(1, 1), (1, 9000), (9000, 1), (7, 9), (8, 64), (641, 333)])
def test_every_size_gives_the_networks_size_and_keeps_the_colour(size: tuple[int, int], record: WeightsRecord) -> None:
    x = preprocess(Image.new("RGB", size, (51, 102, 204)), record)
    expected = (torch.tensor([0.2, 0.4, 0.8]) - torch.tensor(record.mean)) / torch.tensor(record.std)
    torch.testing.assert_close(x, expected[:, None, None].expand(3, 8, 8))


@pytest.mark.parametrize("size", [(16, 16), (20, 16), (16, 28), (64, 16)])
def test_the_network_sees_the_centre_of_the_resized_image(size: tuple[int, int], record: WeightsRecord) -> None:
    noise = np.random.default_rng(6).integers(0, 256, (size[1], size[0], 3), np.uint8)
    half = Image.fromarray(noise).resize((size[0] // 2, size[1] // 2), Image.Resampling.BILINEAR)
    left, top = (half.width - 8) // 2, (half.height - 8) // 2
    expected = preprocess(half.crop((left, top, left + 8, top + 8)), record)
    found = preprocess(Image.fromarray(noise), record)
    assert float((found - expected).abs().max()) < 1.5 / 255 / min(record.std)  # rounded once more, in between


def test_shrinking_averages_instead_of_picking(record: WeightsRecord) -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    x = preprocess(Image.fromarray(stripes), record)
    grey = x.permute(1, 2, 0) * torch.tensor(record.std) + torch.tensor(record.mean)
    assert 0.4 < float(grey.min()) <= float(grey.max()) < 0.6


def broken(tmp_path: Path, kind: str) -> Path:
    file = tmp_path / "x.jpg"
    filled("RGB", RED).resize((64, 64)).save(file)
    content = {"empty": b"", "garbage": b"GIF89a nonsense", "truncated": file.read_bytes()[:-60]}
    file.write_bytes(content[kind])
    return file


@pytest.mark.parametrize("kind", ["empty", "garbage", "truncated"])
def test_a_broken_image_is_a_value_error_that_names_the_file(tmp_path: Path, kind: str) -> None:
    file = broken(tmp_path, kind)
    with pytest.raises(ValueError, match=r"x\.jpg: "):
        open_image(file)


def test_other_formats_missing_files_and_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled("RGB", RED).save(tmp_path / "x.gif")
    with pytest.raises(ValueError, match=r"x\.gif: not a JPEG"):
        open_image(tmp_path / "x.gif")
    with pytest.raises(ValueError, match=r"y\.png: No such file"):
        open_image(tmp_path / "y.png")
    filled("RGB", RED).save(tmp_path / "z.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"z\.png: Image size \(16 pixels\)"):
        open_image(tmp_path / "z.png")


def test_a_deep_image_is_converted_in_little_memory() -> None:
    image = Image.new("I;16", (3000, 1500), 40_000)
    image.load()
    tracemalloc.start()
    assert to_rgb(image).getpixel((2999, 1499)) == (156, 156, 156)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 3000 * 64 * 4  # a few strips of float64, not the image
