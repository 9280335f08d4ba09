"""A small, plain, sound JPEG -> its pixels, fast enough for the event loop. Decision 0009."""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from app.images import ImageLimits

SMALL_BYTES, SMALL_SIDE = 4096, 64
_START, _COLOURS = b"\xff\xd8", ("YCbCr", "Gray")
_ELSEWHERE = (b"Exif", b"Orientation", b"\xff\xc2")
"""EXIF or XMP data may turn the picture, and a progressive one may have hundreds of scans."""


def may_be_small(data: bytes, limits: ImageLimits) -> bool:
    """Whether `decode_small` is worth a try, by a look at the bytes."""
    within = len(data) <= min(SMALL_BYTES, limits.max_image_bytes)
    return within and data.startswith(_START) and not any(mark in data for mark in _ELSEWHERE)


def decode_small(data: bytes, limits: ImageLimits) -> NDArray[np.uint8] | None:
    """The pixels that `images.decode` gives, to the bit, (H, W, 3) RGB.

    None where that has to look: over a limit, damaged, of four colours. One call of libjpeg-turbo, which Pillow uses
    too, without the many small steps that Pillow takes in Python.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        small = max(height, width) <= SMALL_SIDE and height * width <= limits.max_image_pixels and colours in _COLOURS
        pixels: NDArray[np.uint8] | None = simplejpeg.decode_jpeg(data) if small else None
    except Exception:  # noqa: BLE001  whatever it cannot do, 4:4:1 subsampling for one, the other decoder may
        return None
    return pixels
