"""Bytes -> RGB: what is accepted and how it is converted, what is refused and with which answer."""

import struct
import time
import warnings
import zlib
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.errors import DecodeTimeout, TooManyBytes, TooManyPixels, Undecodable, UnsupportedFormat
from app.images import ImageLimits, decode, foreign_format, silence_pillow
from app.settings import Settings
from tests.app.harness import Client, FakeEngine, encoded, serving

LIMITS = ImageLimits(max_image_bytes=1_000_000, max_image_pixels=1_000_000, decode_timeout_ms=60_000)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP")


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def first(data: bytes) -> tuple[int, ...]:
    image = decode(data, LIMITS)
    assert image.mode == "RGB"
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


@pytest.mark.parametrize("kind", FORMATS)
def test_each_accepted_format_decodes(kind: str) -> None:
    assert first(encoded(kind)) == pytest.approx((200, 0, 0), abs=3)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded("PNG", mode="L"), (200, 200, 200)),
        (encoded("JPEG", mode="L"), (200, 200, 200)),
        (encoded("PNG", mode="1", color=1), (255, 255, 255)),
        (encoded("PNG", mode="LA", color=(0, 0)), (255, 255, 255)),
        (encoded("PNG", mode="RGBA", color=(0, 0, 0, 0)), (255, 255, 255)),
        (encoded("PNG", mode="RGBA", color=(200, 0, 0, 255)), (200, 0, 0)),
        (encoded("PNG", mode="RGBA", color=(0, 0, 0, 127)), (128, 128, 128)),
        (encoded("WEBP", mode="RGBA", color=(0, 0, 0, 0)), (255, 255, 255)),
        (save(Image.new("RGB", (8, 8), (9, 9, 9)), "PNG", transparency=(9, 9, 9)), (255, 255, 255)),
        (save(Image.new("RGB", (8, 8), (200, 0, 0)).quantize(4), "PNG"), (200, 0, 0)),
        (save(Image.new("RGB", (8, 8), (200, 0, 0)).quantize(4), "PNG", transparency=b"\0" * 4), (255, 255, 255)),
        (save(Image.new("RGB", (8, 8), (200, 0, 0)).quantize(4), "BMP"), (200, 0, 0)),
        (encoded("JPEG", mode="CMYK"), (200, 0, 0)),
        (save(Image.fromarray(np.full((8, 8), 51_400, np.uint16)), "PNG"), (200, 200, 200)),
        (save(Image.fromarray(np.full((8, 8), 256, np.uint16)), "PNG"), (1, 1, 1)),
    ],
)  # fmt: skip
def test_every_mode_is_converted_properly(data: bytes, expected: tuple[int, ...]) -> None:
    assert first(data) == pytest.approx(expected, abs=3)


@pytest.mark.parametrize("size", [(1, 1), (1, 9000), (9000, 1)])
def test_extreme_shapes_are_classified(client: Client, size: tuple[int, int]) -> None:
    assert client.classify(encoded(size=size)).status_code == 200


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(kind: str) -> None:
    picture = Image.new("RGB", (16, 32), (0, 0, 255))
    picture.paste((200, 0, 0), (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode(save(picture, kind, exif=exif), LIMITS)
    assert image.size == (32, 16)
    corner = image.getpixel((31, 0))
    assert isinstance(corner, tuple)
    assert corner[0] > 150


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1" * 40]
)
def test_a_broken_exif_block_does_not_spoil_the_image(exif: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow tells of corrupt EXIF data
        assert first(save(Image.new("RGB", (8, 8), (200, 0, 0)), "JPEG", exif=exif)) == pytest.approx(
            (200, 0, 0), abs=3
        )


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "MPO"])
def test_only_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ((200, 0, 0), (0, 0, 200))]
    assert first(save(frames[0], kind, save_all=True, append_images=frames[1:])) == pytest.approx((200, 0, 0), abs=8)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"not an image", b"\0" * 1000, b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF"]
)
def test_what_is_no_image_answers_400(client: Client, data: bytes) -> None:
    answer = client.classify(data)
    assert answer.status_code == 400
    assert answer.json()["title"] == "The image could not be decoded"


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_image_answers_400(client: Client, kind: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = save(Image.fromarray(noise), kind)
    assert client.classify(whole[: int(len(whole) * part)]).status_code == 400


FOREIGN = [
    (save(Image.new("RGB", (8, 8)), "GIF"), "GIF"),
    (save(Image.new("RGB", (8, 8)), "TIFF"), "TIFF"),
    (save(Image.new("RGB", (16, 16)), "ICO"), "ICO"),
    (save(Image.new("RGB", (8, 8)), "PDF"), "PDF"),
    (save(Image.new("RGB", (8, 8)), "EPS"), "PostScript"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "AVIF"),
    (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "an ISO media file"),
    (b"8BPS\0\1" + b"\0" * 20, "PSD"),
    (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 20, "JPEG 2000"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x --><svg/>", "SVG"),
    (b"RIFF\0\0\0\0AVI LIST", "AVI"),
]


@pytest.mark.parametrize(("data", "name"), FOREIGN, ids=range(len(FOREIGN)))
def test_a_known_format_that_is_not_allowed_answers_415_and_is_named(client: Client, data: bytes, name: str) -> None:
    answer = client.classify(data, headers={"Content-Type": "image/png"})
    assert answer.status_code == 415
    assert answer.json()["detail"].startswith(name)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_accepted_format_looks_foreign(kind: str) -> None:
    assert foreign_format(encoded(kind)) is None


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header announces this size, without pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def webp_of(width: int, height: int) -> bytes:
    """A WebP whose extended header announces this canvas."""
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    small = encoded("WEBP")[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + canvas + small
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("size", [(1001, 1000), (10_000, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_the_pixel_cap_is_checked_on_the_header(size: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TooManyPixels):
            decode(png_of(*size), LIMITS)


def test_too_many_pixels_answer_413_for_every_format(client: Client, engine: FakeEngine) -> None:
    width, height = 7000, 6000
    bmp = bytearray(encoded("BMP"))
    bmp[18:26] = struct.pack("<ii", width, height)
    jpeg = bytearray(encoded("JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", height, width)
    for data in (png_of(width, height), bytes(bmp), bytes(jpeg)):
        answer = client.classify(data)
        assert (answer.status_code, answer.json()["title"]) == (413, "Too many pixels")
    assert client.classify(webp_of(16_383, 16_383)).status_code in (400, 413)
    assert engine.seen == []
    assert client.sample("haste_image_rejections_total", reason="too_many_pixels") >= 3


def test_the_byte_cap_is_checked_before_decoding() -> None:
    with pytest.raises(TooManyBytes, match="may have 10 bytes, this one has 11"):
        decode(b"x" * 11, ImageLimits(10, 10, 10))
    with pytest.raises(UnsupportedFormat):
        decode(b"GIF89a", LIMITS)


def jpeg_of_many_scans(side: int, size: int) -> bytes:
    """A progressive JPEG that repeats its last scan, to about this many bytes; each costs a pass over the image."""
    data = encoded("JPEG", (side, side), progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    return data[:start] + scan * (size // len(scan)) + data[-2:]


def test_an_image_that_takes_too_long_gives_its_thread_back_soon_after_its_time() -> None:
    bomb, started = jpeg_of_many_scans(1000, 400_000), time.monotonic()  # half a minute without a limit
    with pytest.raises(DecodeTimeout, match="50 ms"):
        decode(bomb, replace(LIMITS, decode_timeout_ms=50))
    assert time.monotonic() - started < 10


def test_an_image_that_takes_too_long_answers_408_and_the_next_one_is_served(engine: FakeEngine) -> None:
    bomb = jpeg_of_many_scans(1000, 100_000)
    with serving(engine, decode_timeout_ms=200, decode_threads=1) as client:
        answer = client.classify(files=[("image", encoded()), ("image", bomb)])
        assert (answer.status_code, answer.json()["title"]) == (408, "The image took too long")
        assert answer.json()["detail"].startswith("image 1: ")
        assert client.sample("haste_image_rejections_total", reason="decode_timeout") == 1
        assert client.service.admission.requests == client.service.admission.bytes == 0
        assert client.classify(encoded()).status_code == 200


def test_an_image_that_does_not_fit_in_memory_answers_413(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_image: Image.Image) -> Image.Image:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("app.images.to_rgb", fail)
        answer = client.classify(encoded())
    assert answer.status_code == 413
    assert "memory" in answer.json()["detail"]
    assert client.classify(encoded()).status_code == 200


@pytest.mark.parametrize("size", [(6000, 4000), (5712, 4284)])
def test_a_phone_s_photo_of_24_megapixels_is_within_the_default_cap(size: tuple[int, int]) -> None:
    assert size[0] * size[1] <= Settings().max_image_pixels


SEEDS = [encoded(kind, (16, 16)) for kind in FORMATS] + [encoded("PNG", (16, 16), mode) for mode in ("LA", "P", "I;16")]


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), max_size=8),
    st.integers(0, 40),
)
def test_mutated_images_decode_or_are_refused_by_the_table(
    seed: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(seed)
    for place, value in changes:
        data[place % len(data)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = decode(bytes(data[: len(data) - cut]), LIMITS)
        except (Undecodable, TooManyPixels, UnsupportedFormat):
            return
    assert image.mode == "RGB"


def test_what_pillow_warns_of_is_kept_nowhere() -> None:
    registry: dict[str | tuple[str, type[Warning], int], int] = {}
    with warnings.catch_warnings():
        silence_pillow()
        for number in range(3):
            warnings.warn_explicit(f"text {number}", UserWarning, "PIL/x.py", 1, "PIL.x", registry)
        assert set(registry) <= {"version"}  # of the filters, not a text
        with pytest.raises(Image.DecompressionBombWarning):
            warnings.warn_explicit("huge", Image.DecompressionBombWarning, "PIL/Image.py", 1, "PIL.Image")
