"""Hostile requests of every kind, the same each time: answered in the one shape, never by a failure of ours."""

import asyncio
import json
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from fuzz import CLASSIFYING, LEAST_SHARE, Findings, judge, try_one
from hostile import Attempt, attempt
from hostile_bodies import v2_body
from hostile_images import cut, flipped, seeds, spliced
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_cases import check_openapi
from soak import good
from wire import Answer, request

from app.errors import InvalidParameter, MalformedBody, ServiceError
from app.images import ImageLimits, decode
from app.json_body import parse_json
from app.multipart import parse_multipart
from app.oip.request import InferRequest, parse_infer
from app.uploads import UploadLimits
from tests.app.harness import FakeEngine, info
from tests.app.live import Live, live

SEED, REQUESTS = 20, 400
LIMITS = ImageLimits(100_000, 1_000_000, 5_000)
UPLOADS = UploadLimits(1_000_000, 100_000, 16, 1_000)
few = settings(max_examples=30, derandomize=True, database=None, deadline=None)
randoms = st.integers(0, 2**32).map(random.Random)
whole = st.sampled_from(seeds())
damages = st.lists(st.sampled_from((flipped, cut, spliced)), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live(FakeEngine("resnet18_cifar10"), slo_ms=60_000, queue_images=1024) as running:
        yield running


async def send_all(server: Live, attempts: Callable[[int], Attempt], number: int) -> Findings:
    """One after another; what offends is noted, not kept."""
    findings, link = Findings(), None
    for index in range(number):
        one = attempts(index)
        link, offence = await try_one(server.port, link, one, findings)
        if offence is not None:
            findings.note(f"{index} {one.kind}: {offence}")
    if link is not None:
        assert (await link.ask(request("GET", "/livez"))).status == 200
        link.close()
    return findings


def test_hostile_requests_make_no_5xx_and_are_answered_in_the_one_shape(server: Live) -> None:
    findings = asyncio.run(send_all(server, lambda number: attempt(SEED, number, v2=True), REQUESTS))
    findings.require_share(LEAST_SHARE, CLASSIFYING)
    assert findings.offences == []
    assert len(findings.statuses) > 5


def test_where_the_controller_is_to_move_most_requests_leave_it_the_level_and_none_makes_its_calibration_stale() -> (
    None
):
    sent = [good(random.Random(number), steered=True) for number in range(200)]
    classified = [one.data for one in sent if b"/classify?" in one.data]
    assert sum(b"?L=" not in data for data in classified) > len(classified) / 2
    assert not any(b"merge" in one.data or b"tolerance" in one.data for one in sent if one.kind == "good config")


def test_good_requests_are_answered_200(server: Live) -> None:
    findings = asyncio.run(send_all(server, lambda number: good(random.Random(number)), 60))
    assert {kind for kind, _ in findings.answers} == {
        f"good {form}" for form in ("raw", "json", "form", "v2", "config")
    }
    findings.require_share(1, {kind for kind, _ in findings.answers})
    assert findings.offences == []


@pytest.mark.parametrize("status", [500, 501, 503])
def test_every_5xx_offends(status: int) -> None:
    body = b'{"type": "", "title": "", "detail": "", "request_id": ""}'
    one = Attempt("image", "POST", b"POST /classify HTTP/1.1\r\n")
    assert judge(one, Answer(429, {"retry-after": "5"}, body)) is None
    assert judge(one, Answer(status, {"retry-after": "5"}, body)) is not None


def test_a_server_that_refuses_nearly_everything_offends() -> None:
    findings = Findings()
    findings.answers.update({("image", "422"): 99, ("image", "200"): 1, ("v2", "200"): 900})
    findings.require_share(0.01, CLASSIFYING)
    assert findings.offences == []
    findings.require_share(0.05, CLASSIFYING)
    assert findings.offences == ["1.0% of 100 answers are 200, not 5%: image, json, multipart"]


def test_no_hostile_request_unloads_what_is_served() -> None:
    sent = [attempt(SEED, number, v2=True).data for number in range(REQUESTS)]
    assert any(b"/unload" in data for data in sent)
    assert not any(b"resnet18_cifar10/unload" in data for data in sent)


def test_hostile_v2_bodies_reach_every_form_of_the_answer() -> None:
    forms: set[str] = set()
    for number in range(4000):
        body, headers = v2_body(random.Random(number))
        with suppress(ServiceError):
            output = parse_infer(body, headers.get("Inference_Header_Content_Length"), info("small"), UPLOADS).output
            forms |= {"classes" if output.classification else "numbers", "binary" if output.binary else "JSON"}
    assert forms == {"classes", "numbers", "binary", "JSON"}


def test_answers_are_as_the_openapi_document_says(server: Live) -> None:
    assert check_openapi(f"http://127.0.0.1:{server.port}", examples=10) == []


@few
@given(whole, damages, randoms)
def test_a_damaged_image_is_an_image_or_refused(
    data: bytes, how: list[Callable[..., bytes]], rng: random.Random
) -> None:
    for damage in how:
        data = damage(data, rng)
    with suppress(ServiceError):
        assert decode(data, LIMITS).mode == "RGB"


@few
@given(
    st.recursive(
        st.none() | st.floats(allow_nan=False) | st.text(max_size=9),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    )
)
def test_json_is_read_as_it_was_meant_and_anything_near_it_is_refused(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    with suppress(MalformedBody, InvalidParameter):
        parse_json(repr(value).encode("utf-8", "surrogatepass"))


def infer_body(images: list[bytes], lengths: list[int]) -> tuple[bytes, bytes]:
    """The JSON and the binary data of images whose lengths may lie."""
    packed = b"".join(struct.pack("<I", length) + one for length, one in zip(lengths, images, strict=True))
    tensor: dict[str, object] = {"name": "image", "datatype": "BYTES", "shape": [len(images)]}
    tensor["parameters"] = {"binary_data_size": len(packed)}
    return json.dumps({"inputs": [tensor]}).encode(), packed


@few
@given(st.lists(st.tuples(whole, st.none() | st.integers(0, 2**32 - 1)), min_size=1, max_size=3))
def test_bytes_elements_are_split_where_their_lengths_are_true_or_refused(told: list[tuple[bytes, int | None]]) -> None:
    images = [one for one, _ in told]
    lengths = [len(one) if lie is None else lie for one, lie in told]
    head, packed = infer_body(images, lengths)
    with suppress(InvalidParameter, ServiceError):
        asked = parse_infer(head + packed, str(len(head)), info("small"), UPLOADS)
        assert sum(map(len, asked.images)) + 4 * len(images) == len(packed)
        assert asked.images == tuple(images) or lengths != [len(one) for one in images]


@few
@given(
    st.integers(-1, 800).map(str) | st.sampled_from(("", "+5", "1e2", "\u0661", "0x10", "9" * 19)) | st.text(max_size=5)
)
def test_any_header_length_is_the_true_one_or_refused(length: str) -> None:
    image = seeds()[0]
    head, packed = infer_body([image], [len(image)])
    with suppress(ServiceError):
        asked = parse_infer(head + packed, length, info("small"), UPLOADS)
        whole_body = InferRequest(output=asked.output, images=(head + packed,))
        assert asked.images == (image,) if length.strip("0") else asked == whole_body


@few
@given(whole, damages, randoms, st.sampled_from(("b", "'()+_,-./:=?", "a" * 70)))
def test_a_damaged_form_of_the_right_boundary_is_multipart_or_refused(
    image: bytes, how: list[Callable[..., bytes]], rng: random.Random, boundary: str
) -> None:
    mark = f"--{boundary}".encode()
    head = b'\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    body, kind = mark + head + image + b"\r\n" + mark + b"--\r\n", f'multipart/form-data; boundary="{boundary}"'
    (part,) = parse_multipart(body, kind)
    assert (part.name, bytes(part.content)) == ("image", image)
    for damage in how:
        body = damage(body, rng)
    with suppress(MalformedBody):
        parse_multipart(body, kind)
