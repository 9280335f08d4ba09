"""A small, plain, sound JPEG -> its pixels, fast enough for the event loop. Decision 0009."""

import simplejpeg
from PIL import Image

from app.images import ImageLimits

SMALL_BYTES, SMALL_SIDE = 4096, 64
_START, _PLAIN = b"\xff\xd8", ("YCbCr", "Gray")


def decode_small(data: bytes, limits: ImageLimits) -> Image.Image | None:
    """What `images.decode` gives, to the bit; None where that has to look: a JPEG not of this kind, or no JPEG.

    One call of libjpeg-turbo, which Pillow is built on too, without the many small steps that Pillow takes in Python.
    Whatever is damaged, turned by its EXIF data, of four colours or over a limit is left to it.
    """
    if len(data) > min(SMALL_BYTES, limits.max_image_bytes) or not data.startswith(_START) or b"Exif" in data:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if max(height, width) > SMALL_SIDE or height * width > limits.max_image_pixels or colours not in _PLAIN:
            return None
        return Image.fromarray(simplejpeg.decode_jpeg(data))
    except ValueError:
        return None
