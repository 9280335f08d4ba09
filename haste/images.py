"""Images of any mode, size and orientation -> the normalised tensor that a record's network expects."""

import struct
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from haste.models import WeightsRecord

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_STRIP_ROWS = 64
_ORIENTATION_TAG = 0x0112
_BROKEN = (SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error)  # from Pillow's own parsers
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(path: str | Path) -> Image.Image:
    """The first frame of a JPEG, PNG, WebP or BMP file as RGB, upright.

    ValueError, which names the file, where it is missing, truncated, too large to be a photo or of another format.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # broken EXIF data does not spoil a picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return to_rgb(image)
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not a JPEG, PNG, WebP or BMP image") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except (*_BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path}: {error}") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """The same picture in mode RGB, turned upright as its EXIF data says.

    16-bit and float values are scaled to 8 bits, transparency (alpha or a transparent colour) is composited on white,
    greyscale, palette and CMYK converted. Decodes the image; Pillow's errors for broken files pass through.
    """
    turn = _turn(image)
    image = _eight_bits(image)
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    image = _on_white(image) if image.has_transparency_data else image.convert("RGB")
    image = image if turn is None else image.transpose(turn)
    image.info = {}  # or a second call would turn it again
    return image


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How to turn the image upright; None where EXIF data is absent or broken."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except _BROKEN:
        return None


def _on_white(image: Image.Image) -> Image.Image:
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    paper = Image.new("RGB", layer.size, "white")
    paper.paste(layer, mask=layer)
    return paper


def _eight_bits(image: Image.Image) -> Image.Image:
    """Modes of more than 8 bits a channel -> L: integers are 16 bits wide; floats span 0..1, else 0..255.

    Worked off in strips, so that a file of a few kilobytes cannot ask for many times its pixels in memory.
    """
    if image.mode not in ("F", "I") and not image.mode.startswith("I;16"):
        return image
    scale = 1 / 257
    if image.mode == "F":
        extrema = image.getextrema()
        scale = 1.0 if float(np.nan_to_num(np.max(extrema))) > 1 else 255.0
    out = Image.new("L", image.size)
    for top in range(0, image.height, _STRIP_ROWS):
        box = (0, top, image.width, min(top + _STRIP_ROWS, image.height))
        values = np.nan_to_num(np.asarray(image.crop(box)).astype(np.float64)) * scale
        out.paste(Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)), box)
    return out


def preprocess(image: Image.Image | NDArray[np.uint8], record: WeightsRecord) -> Tensor:
    """Any image, or the (H, W, 3) uint8 RGB of one, -> (3, S, S) float32, normalised; S is the record's input size."""
    return torch.from_numpy(preprocess_array(image, record))


def preprocess_array(image: Image.Image | NDArray[np.uint8], record: WeightsRecord) -> NDArray[np.float32]:
    """The same as an array."""
    normalised: NDArray[np.float32] = _normalised(_square(image, record.input_size)[None], record)[0]
    return normalised


def _square(image: Image.Image | NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(S, S, 3) RGB.

    The largest centred square is resized (bilinear, antialiased), which is the shorter side to S and a centre crop in
    one step; an image of S x S is not resampled. Any mode is taken (`to_rgb`).
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ValueError(f"an image must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
        if image.shape == (side, side, 3):
            return image
        image = Image.fromarray(image)
    image = to_rgb(image)
    if image.size != (side, side):
        width, height = image.size
        square = min(width, height)
        left, top = (width - square) / 2, (height - square) / 2
        box = (left, top, left + square, top + square)
        image = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return np.array(image)


def normalise(images: NDArray[np.uint8], record: WeightsRecord) -> Tensor:
    """(N, S, S, 3) uint8 -> (N, 3, S, S) float32: (x / 255 - mean) / std per channel, contiguous."""
    return torch.from_numpy(_normalised(images, record))


def _normalised(images: NDArray[np.uint8], record: WeightsRecord) -> NDArray[np.float32]:
    """Looked up in tables of the 256 values, which for one small image takes less than half of the time to compute."""
    tables = _tables(record.mean, record.std)
    out = np.empty((len(images), len(tables), *images.shape[1:-1]), np.float32)
    for c, table in enumerate(tables):
        np.take(table, images[..., c], out=out[:, c], mode="clip")  # else it takes into a copy first
    return out


@cache
def _tables(mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """(3, 256): every value of 8 bits, in every channel."""
    values = torch.arange(256).float() / 255
    table: NDArray[np.float32] = ((values - torch.tensor(mean)[:, None]) / torch.tensor(std)[:, None]).numpy()
    return table
