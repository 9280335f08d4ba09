"""Encoded bytes -> an upright RGB image, within limits; broken, huge and foreign files are refused."""

import io
import time
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from app.errors import DecodeTimeout, TooManyBytes, TooManyPixels, Undecodable, UnsupportedFormat
from haste.images import FORMATS, to_rgb

_BLOCK_BYTES = 4096  # 64 KiB of a JPEG can hold thousands of scans, seconds of work
_ACCEPTED = "JPEG, PNG, WebP and BMP are accepted"

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"%PDF-", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"\0\0\2\0", "CUR"),
    (0, b"icns", "ICNS"),
    (0, b"8BPS", "PSD"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"),
    (0, b"gimp xcf", "XCF"),
    (8, b"AVI ", "AVI"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC"}
_BRANDS |= {b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF"}


@dataclass(frozen=True)
class ImageLimits:
    """What an image may be at most: encoded bytes, pixels by its header, time to decode."""

    max_image_bytes: int
    max_image_pixels: int
    decode_timeout_ms: int


class _TimedBytes(io.BytesIO):
    """A file whose reads raise DecodeTimeout once its time is up, so that a decoder ends at its next block."""

    def __init__(self, data: bytes, timeout_ms: int) -> None:
        super().__init__(data)
        self._timeout_ms, self._end = timeout_ms, time.monotonic() + timeout_ms / 1000

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise DecodeTimeout(f"an image may take {self._timeout_ms} ms to decode, this one takes longer")

    def read(self, size: int | None = -1, /) -> bytes:
        self.check()
        return super().read(size)


def decode(data: bytes, limits: ImageLimits) -> Image.Image:
    """The first frame of a JPEG, PNG, WebP or BMP file as RGB, upright; the format is told by its bytes.

    Caps are checked before a pixel is decoded. Transparency is composited on white, 16-bit values are scaled, EXIF
    orientation is applied. Raises TooManyBytes, TooManyPixels, UnsupportedFormat, Undecodable or DecodeTimeout.

    The time is checked wherever Pillow reads a block of the file, and at the end: an image that overruns gives its
    thread back by itself. Between two reads runs C code that cannot be stopped; the caps on bytes and pixels bound it.
    """
    if not data:
        raise Undecodable("the image is empty")
    if len(data) > limits.max_image_bytes:
        raise TooManyBytes(f"an image may have {limits.max_image_bytes} bytes, this one has {len(data)}")
    if foreign := foreign_format(data):
        raise UnsupportedFormat(f"{foreign} is not accepted; {_ACCEPTED}")
    try:
        file = _TimedBytes(data, limits.decode_timeout_ms)
        with Image.open(file, formats=FORMATS) as image:
            _check_pixels(image, limits)
            image.decodermaxblock = _BLOCK_BYTES
            rgb = to_rgb(image)
        file.check()
    except (TooManyPixels, DecodeTimeout, MemoryError):
        raise
    except UnidentifiedImageError:
        raise Undecodable(f"not an image, or damaged at its beginning; {_ACCEPTED}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooManyPixels(f"an image may have {limits.max_image_pixels} pixels, this one announces more") from None
    except Exception as error:  # noqa: BLE001  Pillow's parsers raise a dozen types on damaged bytes
        raise Undecodable(f"damaged or truncated image: {error}") from None
    return rgb


def _check_pixels(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_image_pixels:
        raise TooManyPixels(f"an image may have {limits.max_image_pixels} pixels, this one has {width} x {height}")


def silence_pillow() -> None:
    """Let Pillow's warning about huge images count as an error, and its others not at all, for the whole process.

    It puts what a damaged file says into the text of its warnings, and Python keeps every text that it has shown.
    """
    warnings.filterwarnings("ignore", module="PIL")
    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def foreign_format(data: bytes) -> str | None:
    """The name of a known format outside the accepted ones, by its signature; None for anything else."""
    for offset, magic, name in _SIGNATURES:
        if data.startswith(magic, offset):
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "an ISO media file")
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    is_svg = head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!")) and b"<svg" in head)
    return "SVG" if is_svg else None
