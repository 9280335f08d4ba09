"""Parameters and bodies that break the rules of JSON, multipart and the Open Inference Protocol; from a seed."""

import base64
import json
import random
import struct
from urllib.parse import quote

from hostile_images import cut, flipped, image, seeds

NAMES = ("L", "top_k", "model", "deadline_ms", "min_L", "image", "images", "max_error", "", "L ", "__proto__", "\0")
_NUMBERS = (0, 1, -1, 8, 10, 32, 33, 2**31, 2**63, -(2**63), 10**18, 10**40, 1.5, -0.0, 1e308, 5e-324)
_TEXTS: tuple[str, ...] = (
    "",
    "exact",
    "dense",
    "8",
    "08",
    "1e1",
    "\u0661",
    "\ud800",
    "\0",
    "a" * 5000,
    "../../etc",
    "%00",
    "null",
    "é",
)
_TEXTS += ("resnet18_cifar10", "resnet18_cifar10\n", "'; --", "${jndi:x}", "{{7*7}}")


def value(rng: random.Random, depth: int = 0) -> object:
    """Any value of JSON, odd ones more often than not."""
    kind = rng.randrange(8 if depth < 4 else 6)
    if kind < 2:
        return rng.choice(_NUMBERS)
    if kind < 4:
        return rng.choice(_TEXTS)
    if kind < 6:
        return rng.choice((None, True, False, 8, "exact"))
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 17)))]
    return {rng.choice(NAMES): value(rng, depth + 1) for _ in range(rng.choice((0, 1, 3)))}


def encoded_image(rng: random.Random) -> object:
    """A text that stands for an image in JSON; not always in good base64, not always a text."""
    text = base64.b64encode(image(rng)).decode()
    return rng.choice(
        (text, text, text, text[:-1], text + "=", "data:image/png;base64," + text, text + "\n", value(rng))
    )


def damaged(text: bytes, rng: random.Random) -> bytes:
    """The same text, or one that is no JSON any more."""
    nested = (b"[" * 5000, b'{"a":' * 500, b"[" * 33 + b"]" * 33, b"[" + b"0," * 20_000 + b"0]", b"\xef\xbb\xbf" + text)
    odd = (b"", b"null", b"NaN", b'"', text * 2, text[:-1] + b',"L":8,"L":8}', text.decode().encode("utf-16"))
    how = rng.randrange(12)
    if how < 8:
        return text
    return (flipped, cut)[how % 2](text, rng) if how < 10 else rng.choice(nested + odd)


def json_body(rng: random.Random) -> bytes:
    """A body for /classify."""
    body: dict[str, object] = {"image": encoded_image(rng)}
    if rng.random() < 0.3:
        body = {"images": [encoded_image(rng) for _ in range(rng.choice((0, 1, 2, 5, 17)))]}
    for _ in range(rng.choice((0, 0, 1, 2))):
        body[rng.choice(NAMES)] = value(rng)
    return damaged(json.dumps(body).encode(), rng)


def config_patch(rng: random.Random) -> bytes:
    """A body for /config: sometimes a good one."""
    names = ("L", "merge", "tolerance", "models", "controller", "version", "bounds", rng.choice(NAMES))
    body: dict[str, object] = {rng.choice(names): value(rng) for _ in range(rng.choice((1, 1, 2)))}
    good = ({"L": 8}, {"L": "exact"}, {"models": {"resnet18_cifar10": {"L": rng.choice((None, 4, 8))}}})
    return damaged(json.dumps(rng.choice((body, body, *good))).encode(), rng)


def query(rng: random.Random) -> str:
    """With its question mark, or nothing."""
    if rng.random() < 0.4:
        return rng.choice(("", "?", "?L=8", "?L=exact&top_k=1"))
    pairs = [
        f"{_quoted(rng.choice(NAMES), rng)}={_quoted(str(value(rng)), rng)}" for _ in range(rng.choice((1, 2, 40)))
    ]
    return "?" + rng.choice(("&", "&", ";", "&&")).join(pairs)


def _quoted(text: str, rng: random.Random) -> str:
    text = quote(text[:600], errors="replace")
    return text if rng.random() < 0.9 else text + rng.choice(("%", "%zz", "%ff%fe", "%00", "+", "%E0%80"))


def multipart(rng: random.Random) -> tuple[bytes, str]:
    """A body and its content type."""
    boundary = rng.choice(("b", "----WebKitFormBoundary7MA4YWxk", "a" * 70, "a" * 300, "'()+_,-./:=?", ""))
    mark = b"--" + boundary.encode()
    parts = b"".join(mark + b"\r\n" + _part(rng) + b"\r\n" for _ in range(rng.choice((0, 1, 1, 1, 2, 17, 40))))
    body = rng.choice((b"", b"", b"preamble\r\n")) + parts + mark + rng.choice((b"--\r\n", b"--", b"", b"--\r\nmore"))
    if rng.random() < 0.15:
        body = (flipped, cut)[rng.randrange(2)](body, rng)
    told = rng.choice((f"; boundary={boundary}", f'; boundary="{boundary}"', f"; boundary={boundary}x", ""))
    return body, rng.choice(("multipart/form-data", "multipart/form-data", "multipart/mixed", "Multipart/X")) + told


def _part(rng: random.Random) -> bytes:
    name = rng.choice(("image", "image", "file", *NAMES))
    disposition = f'Content-Disposition: form-data; name="{name}"'
    disposition += rng.choice(("", '; filename="a.jpg"', "; filename*=UTF-8''%ff", '; filename="../../x"', "; name=x"))
    more = rng.choice(
        ("", "", "\r\nContent-Type: image/png", "\r\nX: " + "a" * 3000, "\r\nX: a" * 20, "\r\n: a", "\r\nX")
    )
    content = image(rng) if rng.random() < 0.7 else str(value(rng)).encode("utf-8", "replace")
    return (disposition + more).encode("utf-8", "replace") + b"\r\n\r\n" + content


def v2_target(rng: random.Random) -> str:
    """A path of the Open Inference Protocol; nothing that is served is unloaded."""
    model = rng.choice(
        ("resnet18_cifar10", "resnet18_cifar10", "resnet18_cifar10/versions/1", "x", "%2e%2e", "a" * 300)
    )
    models = ("", "/ready", "/stats", "/config", "/versions/99/infer", "/versions/x")
    rest = ("", "/health/live", "/health/ready", "/models", "/models/stats", "/repository/index", "/nope")
    loading = ("/repository/models/nope/load", "/repository/models/nope/unload")
    if rng.random() < 0.7:
        return f"/v2/models/{model}/infer"
    return "/v2" + rng.choice((*rest, *loading, *(f"/models/{model}{end}" for end in models)))


def v2_body(rng: random.Random) -> tuple[bytes, dict[str, str]]:
    """An inference request and its headers: JSON alone, or with binary tensors behind it."""
    images = [image(rng) if rng.random() < 0.7 else rng.choice(seeds()) for _ in range(rng.choice((1, 1, 2, 17)))]
    binary, tensor = _encoded(images, rng) if rng.random() < 0.6 else _floats(rng)
    if rng.random() < 0.2:
        tensor[rng.choice(tuple(tensor))] = value(rng)
    inputs: object = [tensor] * rng.choice((1, 1, 1, 1, 0, 2)) if rng.random() < 0.95 else value(rng)
    body: dict[str, object] = {"inputs": inputs}
    if rng.random() < 0.4:
        flag, best = rng.choice((True, False, value(rng))), rng.choice((3, 3, value(rng)))
        output: dict[str, object] = {"name": rng.choice(("probabilities", "probabilities", "probabilities", "output"))}
        told = output | {"parameters": {"binary_data": flag, "classification": best}}
        body["outputs"] = rng.choice(([output], [told], [told], value(rng)))
    if rng.random() < 0.4:
        body["parameters"] = rng.choice(({"haste_l": rng.choice((8, value(rng)))}, value(rng)))
    if rng.random() < 0.3:
        body["id"] = value(rng)
    text = damaged(json.dumps(body).encode(), rng)
    length = rng.choice((len(text), len(text), len(text), len(text) - 1, len(text) + 1, 0, -1, 10**20, "x", "", "+5"))
    headers = {"Content_Type": "application/octet-stream", "Inference_Header_Content_Length": str(length)}
    if not binary and rng.random() < 0.8:
        return text, {"Content_Type": "application/json"}
    return text + binary, headers


def _encoded(images: list[bytes], rng: random.Random) -> tuple[bytes, dict[str, object]]:
    """Images as BYTES, each behind its length, which may lie."""
    lies = (0, 1, 2**31, 2**32 - 1)
    lengths = [len(one) if rng.random() < 0.8 else rng.choice(lies) for one in images]
    packed = b"".join(struct.pack("<I", told) + one for told, one in zip(lengths, images, strict=True))
    size = rng.choice((len(packed), len(packed), len(packed), len(packed) + 1, 0, -5, 10**18, "x"))
    shape = rng.choice(([len(images)], [len(images)], [len(images), 1], [-1], [0], [2**40], [], value(rng)))
    return packed, {"name": "image", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": size}}


def _floats(rng: random.Random) -> tuple[bytes, dict[str, object]]:
    """FP32 numbers, in JSON or in binary."""
    shape = rng.choice(([1, 3, 32, 32], [1, 3, 32, 32], [0, 3, 32, 32], [2**20, 3, 32, 32], [1, 3, -1, 32], [3072]))
    tensor: dict[str, object] = {"name": rng.choice(("input", "image", "x")), "datatype": "FP32", "shape": shape}
    if rng.random() < 0.5:
        rows: object = [0.5] * 3072
        tensor["data"] = rng.choice((rows, rows, [rows], [float("nan")] * 3072, [10**400] * 3, ["a"], value(rng)))
        return b"", tensor
    packed = rng.choice((bytes(12_288), b"\xff" * 12_288, bytes(12_287), rng.randbytes(12_288)))
    tensor["parameters"] = {"binary_data_size": len(packed)}
    return packed, tensor
