"""Encoded images that are damaged, cut, spliced, enormous by their header or of a foreign format; from a seed."""

import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO

from PIL import Image, PngImagePlugin

Mutation = Callable[[bytes, random.Random], bytes]

_ODD_SIZES = (0, 1, 2, 255, 256, 4999, 5001, 32_767, 32_768, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_FOREIGN = (
    b"GIF89a\1\0\1\0\0\0\0;",
    b"GIF87a" + b"\xff" * 40,
    b"II*\0\x08\0\0\0\0\0",
    b"MM\0*\0\0\0\x08\xff\xff",
    b"<svg xmlns='http://www.w3.org/2000/svg'><image href='http://127.0.0.1/'/></svg>",
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><svg>&b;</svg>",
    b"%PDF-1.7\n1 0 obj<<>>endobj",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n",
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
    b"\0\0\1\0\1\0\0\0\0\0",
    b"8BPS\0\1",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"P6\n99999 99999\n255\n",
    b"PK\3\4",
    b"\x80\4\x95cposix\nsystem\n",
    b"",
    b"\0",
)


def _save(kind: str, mode: str = "RGB", size: tuple[int, int] = (24, 17), **options: object) -> bytes:
    picture = Image.frombytes(mode, size, random.Random(1).randbytes(len(Image.new(mode, size).tobytes())))
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def seeds() -> tuple[bytes, ...]:
    """Whole images of every accepted format and mode, with what may hang on them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_itxt("a", "b" * 1000, zip=True)
    pages = [Image.new("RGB", (24, 17), (shade, 0, 0)) for shade in (0, 99, 200)]
    jpegs = [_save("JPEG", mode) for mode in ("RGB", "L", "CMYK")]
    jpegs += [_save("JPEG", progressive=True), _save("JPEG", exif=exif.tobytes()), _save("JPEG", icc_profile=b"x" * 99)]
    pngs = [_save("PNG", mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")]
    pngs += [_save("PNG", pnginfo=text), _save("PNG", icc_profile=b"x" * 99), _save("PNG", exif=exif.tobytes())]
    pngs += [_save("PNG", save_all=True, append_images=pages)]
    webps = [_save("WEBP"), _save("WEBP", "RGBA"), _save("WEBP", lossless=True), _save("WEBP", exif=exif.tobytes())]
    webps += [_save("WEBP", save_all=True, append_images=pages)]
    bmps = [_save("BMP", mode) for mode in ("RGB", "RGBA", "L", "P", "1")]
    return (*jpegs, *pngs, *webps, *bmps)


def flipped(data: bytes, rng: random.Random) -> bytes:
    """With a few bits wrong."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Its beginning, or its end."""
    place = rng.randrange(len(data) + 1)
    return data[:place] if rng.random() < 0.8 else data[place:]


def spliced(data: bytes, rng: random.Random) -> bytes:
    """With a part of another image, or of itself, or of nothing, put in or over."""
    other = rng.choice((rng.choice(seeds()), data, rng.randbytes(rng.choice((1, 16, 4096)))))
    begin, place = rng.randrange(len(other) + 1), rng.randrange(len(data) + 1)
    part = other[begin : begin + rng.choice((1, 4, 64, 4096))]
    return data[:place] + part + data[place + rng.choice((0, len(part))) :]


def with_odd_number(data: bytes, rng: random.Random) -> bytes:
    """With a number somewhere, mostly near the beginning, that makes lengths and sizes absurd."""
    place = rng.randrange(min(len(data), rng.choice((64, 64, 65_536))) + 1)
    number = rng.choice(_ODD_SIZES)
    packed = struct.pack(rng.choice("<>") + "I", number)
    part = rng.choice((packed, packed[:2], packed[2:]))
    return data[:place] + part + data[place + len(part) :]


def with_odd_size(data: bytes, rng: random.Random) -> bytes:
    """With another width and height in its header, where the format is known; a PNG's check sum fits."""
    width, height = rng.choice(_ODD_SIZES), rng.choice(_ODD_SIZES)
    if data.startswith(b"\x89PNG"):
        header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
        return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<II", width, height) + data[26:]
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        if data.startswith(b"\xff\xd8") and (place := data.find(marker)) > 0:
            return data[: place + 5] + struct.pack(">HH", height % 65_536, width % 65_536) + data[place + 9 :]
    if (place := data.find(b"VP8X")) > 0:
        return data[: place + 12] + struct.pack("<II", width, height)[:6] + data[place + 18 :]
    return with_odd_number(data, rng)


def with_chunk(data: bytes, rng: random.Random) -> bytes:
    """With EXIF, ICC or text of rubbish that the format's rules let in."""
    rubbish = rng.choice((b"Exif\0\0II*\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"ICC_PROFILE\0\1\xff", b""))
    rubbish += rng.randbytes(rng.choice((0, 8, 300)))
    if data.startswith(b"\xff\xd8"):
        marker = rng.choice((b"\xff\xe1", b"\xff\xe2", b"\xff\xee", b"\xff\xfe", b"\xff\xdb", b"\xff\xc4"))
        return data[:2] + marker + struct.pack(">H", len(rubbish) + 2) + rubbish + data[2:]
    if data.startswith(b"\x89PNG"):
        name = rng.choice((b"eXIf", b"iCCP", b"zTXt", b"iTXt", b"tRNS", b"PLTE", b"acTL", b"fcTL", b"sBIT", b"pHYs"))
        bomb = b"a\0\0" + zlib.compress(bytes(10**6)) if name == b"zTXt" else rubbish
        chunk = name + bomb
        return data[:33] + struct.pack(">I", len(bomb)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    return spliced(data, rng)


_MUTATIONS: tuple[Mutation, ...] = (flipped, flipped, cut, spliced, with_odd_number, with_odd_size, with_chunk)


def image(rng: random.Random) -> bytes:
    """One image: sometimes whole, sometimes foreign, mostly wrong in one to three ways."""
    if rng.random() < 0.08:
        return rng.choice(_FOREIGN)
    data = rng.choice(seeds())
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        data = rng.choice(_MUTATIONS)(data, rng)
    return data
