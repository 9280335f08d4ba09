"""A request's body, in any of its three forms -> encoded images and parameters, within limits."""

import asyncio
import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request

from app.connection_state import has_arrived
from app.errors import (
    BodyTimeout,
    ClientGone,
    InvalidParameter,
    MalformedBody,
    ServiceError,
    TooManyBytes,
    TooManyImages,
    Undecodable,
    UnsupportedFormat,
)
from app.errors import named as named_value
from app.json_body import parse_object
from app.multipart import parse_multipart
from app.parameters import from_text

_MAX_OBJECT_BYTES = 65_536
_IMAGE_FIELDS = ("image", "images", "file")


@dataclass(frozen=True)
class UploadLimits:
    """What a request may be at most, and how long its body may take."""

    max_request_bytes: int
    max_image_bytes: int
    max_images: int
    body_timeout_ms: int

    def check_images(self, count: int) -> None:
        """Raise TooManyImages where a request may not hold so many."""
        if count > self.max_images:
            raise TooManyImages(f"a request may hold {self.max_images} images, this one holds {count}")


@dataclass
class Upload:
    """Encoded images in order, and the parameters that came with them."""

    images: list[bytes] = field(default_factory=list)
    fields: list[tuple[str, object]] = field(default_factory=list)

    def check(self, limits: UploadLimits) -> "Upload":
        """Raise where there are too many or no images, or one is too long."""
        limits.check_images(len(self.images))
        if not self.images:
            raise Undecodable("the request holds no image")
        for index, image in enumerate(self.images):
            if len(image) > limits.max_image_bytes:
                detail = f"an image may have {limits.max_image_bytes} bytes, this one has {len(image)}"
                raise at_index(TooManyBytes(detail), index, len(self.images))
        return self


def at_index(error: ServiceError, index: int, of: int) -> ServiceError:
    """The same error, which names the image where there are several."""
    return error if of == 1 else type(error)(f"image {index}: {error.detail}")


async def read_body(
    request: Request, max_bytes: int, timeout_ms: int, hold: Callable[[int], None] = lambda _size: None
) -> bytes:
    """The whole body; refused as soon as it is announced to be, or gets, too long. `hold` is told of each chunk."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedFormat("content encodings are not accepted; send the bytes as they are")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise TooManyBytes(f"a body may have {max_bytes} bytes, this one announces {announced[:20]}")
    if has_arrived(request.scope):
        return await _whole_body(request, max_bytes, hold)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            async for chunk in request.stream():
                if len(body) + len(chunk) > max_bytes:
                    raise TooManyBytes(f"a body may have {max_bytes} bytes")
                hold(len(chunk))
                body += chunk
    except TimeoutError:
        raise BodyTimeout(f"the body did not arrive within {timeout_ms} ms") from None
    except ClientDisconnect:
        raise ClientGone("the client left while sending") from None
    return bytes(body)


async def _whole_body(request: Request, max_bytes: int, hold: Callable[[int], None]) -> bytes:
    """The body of a request that is there: one message, and no time limit is needed."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientGone("the client left before its answer")
    body: bytes = message["body"]
    if len(body) > max_bytes:
        raise TooManyBytes(f"a body may have {max_bytes} bytes")
    hold(len(body))
    return body


async def read_object(request: Request, timeout_ms: int, *, may_be_empty: bool = False) -> dict[str, object]:
    """A short body that is a JSON object; where it may be empty, that is an object of nothing."""
    body = await read_body(request, _MAX_OBJECT_BYTES, timeout_ms)
    return {} if may_be_empty and not body.strip() else parse_object(body)


@dataclass(frozen=True)
class BodyParser:
    """Reads a body of at most `max_bytes`; may it hold parameters beside images?"""

    parse: Callable[[bytes], Upload]
    max_bytes: int
    has_parameters: bool


def body_parser(content_type: str, limits: UploadLimits) -> BodyParser:
    """What reads a body of this content type; anything unknown is one raw image."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("application/json", "text/json") or kind.endswith("+json"):
        return BodyParser(lambda body: _from_json(body, limits), limits.max_request_bytes, True)
    if kind.startswith("multipart/"):
        return BodyParser(lambda body: _from_multipart(body, content_type, limits), limits.max_request_bytes, True)
    return BodyParser(lambda body: Upload([body]).check(limits), limits.max_image_bytes, False)


def _from_multipart(body: bytes, content_type: str, limits: UploadLimits) -> Upload:
    upload = Upload()
    for part in parse_multipart(body, content_type):
        if part.name in _IMAGE_FIELDS:
            upload.images.append(bytes(part.content))
        elif part.is_file:
            raise InvalidParameter(f"unknown file field {named_value(part.name)}; send 'image', once or more often")
        else:
            upload.fields += from_text([(part.name, part.content[:100].decode("utf-8", "replace"))])
    return upload.check(limits)


def _from_json(body: bytes, limits: UploadLimits) -> Upload:
    values = parse_object(body)
    if "image" in values and "images" in values:
        raise InvalidParameter("'image' and 'images' are both given; send one of them")
    encoded: Any = values.pop("images", None) if "images" in values else [values.pop("image", None)]
    if not isinstance(encoded, list):
        raise InvalidParameter(f"'images' must be a list of base64 texts, not {named_value(encoded)}")
    if not encoded:
        raise InvalidParameter("'images' is empty; it must hold at least one base64 text")
    limits.check_images(len(encoded))
    images = [from_base64(text, index, len(encoded)) for index, text in enumerate(encoded)]
    return Upload(images, list(values.items())).check(limits)


def from_base64(text: object, index: int, of: int) -> bytes:
    """One encoded image of several; InvalidParameter or MalformedBody name it."""
    if text is None:
        raise at_index(InvalidParameter("the image is missing; 'image' holds it as a base64 text"), index, of)
    if not isinstance(text, str):
        raise at_index(InvalidParameter(f"an image must be a base64 text, not {named_value(text)}"), index, of)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        detail = f"image {index}: not base64: {error}"
        raise MalformedBody(detail) from None
