"""Small JPEGs: the same pixels as the decoder of all images, which keeps what is damaged, turned or over a limit."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from app.images import ImageLimits, decode
from app.small_jpeg import SMALL_BYTES, SMALL_SIDE, decode_small, may_be_small
from tests.app.harness import Client, encoded

LIMITS = ImageLimits(max_image_bytes=1_000_000, max_image_pixels=1_000_000, decode_timeout_ms=60_000)


def small(data: bytes, limits: ImageLimits = LIMITS) -> NDArray[np.uint8] | None:
    return decode_small(data, limits) if may_be_small(data, limits) else None


def noise(width: int, height: int, seed: int, mode: str = "RGB", **options: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).resize((width, height)).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@given(
    width=st.integers(1, SMALL_SIDE),
    height=st.integers(1, SMALL_SIDE),
    seed=st.integers(0, 99),
    mode=st.sampled_from(("RGB", "L")),
    quality=st.integers(1, 90),
    subsampling=st.sampled_from((0, 1, 2)),
)
def test_a_small_jpeg_has_the_pixels_that_any_image_has_to_the_bit(
    width: int, height: int, seed: int, mode: str, quality: int, subsampling: int
) -> None:
    options = {} if mode == "L" else {"subsampling": subsampling}
    data = noise(width, height, seed, mode, quality=quality, **options)
    found = small(data)
    if len(data) > SMALL_BYTES or b"\xff\xc2" in data:
        assert found is None
    else:
        assert found is not None
        assert np.array_equal(found, np.asarray(decode(data, LIMITS)))


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.floats(0, 1))
def test_damage_never_changes_the_pixels_that_a_client_would_get_elsewhere(
    place: float, value: int, cut: float
) -> None:
    data = bytearray(noise(32, 24, 1))
    data[int(place * len(data))] = value
    damaged = bytes(data[: round(cut * len(data))])
    found = small(damaged)
    assert found is None or np.array_equal(found, np.asarray(decode(damaged, LIMITS)))


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return noise(32, 32, 1, exif=exif)


def sampled_4_4_1() -> bytes:
    """As many blocks as 4:2:0 has, four of them below each other."""
    data = noise(32, 32, 1, subsampling=2)
    place = data.index(b"\x01\x22\x00", data.index(b"\xff\xc0"))
    return data[: place + 1] + b"\x14" + data[place + 2 :]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        encoded("PNG"),
        encoded("JPEG", mode="CMYK"),
        encoded("JPEG", size=(SMALL_SIDE + 1, 8)),
        noise(64, 64, 1, quality=100, subsampling=0),
        noise(32, 32, 1)[:-30],
        turned(),
        noise(32, 32, 1, xmp=b'<x tiff:Orientation="6"/>'),
        noise(32, 32, 1, progressive=True),
        sampled_4_4_1(),
    ],
    ids=[
        "empty",
        "start",
        "png",
        "cmyk",
        "long",
        "many-bytes",
        "truncated",
        "exif",
        "xmp",
        "progressive",
        "4:4:1",
    ],
)
def test_what_is_not_small_plain_and_sound_is_left_to_the_decoder_of_all_images(data: bytes) -> None:
    assert small(data) is None


def test_the_settings_limits_hold_for_small_ones_too() -> None:
    data = noise(32, 32, 1)
    assert small(data) is not None
    assert small(data, replace(LIMITS, max_image_pixels=1023)) is None
    assert small(data, replace(LIMITS, max_image_bytes=len(data) - 1)) is None


def test_a_subsampling_that_the_fast_decoder_does_not_know_is_classified_all_the_same(client: Client) -> None:
    assert client.classify(sampled_4_4_1()).status_code == 200
