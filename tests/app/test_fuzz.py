"""Hostile requests of every kind, the same each time: answered in the one shape, never by a failure of ours."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest
from fuzz import Findings, try_one
from hostile import attempt
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_cases import check_openapi
from wire import request

from app.errors import InvalidParameter, MalformedBody, ServiceError
from app.images import ImageLimits, decode
from app.json_body import parse_json
from app.multipart import parse_multipart
from tests.app.harness import FakeEngine
from tests.app.live import Live, live

SEED, REQUESTS = 20, 400
LIMITS = ImageLimits(100_000, 1_000_000, 5_000)
few = settings(max_examples=60, derandomize=True, database=None, deadline=None)


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live(FakeEngine()) as running:
        yield running


def test_hostile_requests_make_no_5xx_and_are_answered_in_the_one_shape(server: Live) -> None:
    async def send_all() -> list[str]:
        findings, link, offences = Findings(), None, []
        for number in range(REQUESTS):
            one = attempt(SEED, number, v2=False)
            link, offence = await try_one(server.port, link, one, findings)
            offences += [f"{number} {one.kind}: {offence}"] if offence else []
        if link is not None:
            assert (await link.ask(request("GET", "/livez"))).status == 200
            link.close()
        assert len(findings.statuses) > 5
        return offences

    assert asyncio.run(send_all()) == []


def test_answers_are_as_the_openapi_document_says(server: Live) -> None:
    assert check_openapi(f"http://127.0.0.1:{server.port}", examples=20) == []


@few
@given(st.binary(max_size=300))
def test_any_bytes_are_an_image_or_refused(data: bytes) -> None:
    with suppress(ServiceError):
        assert decode(data, LIMITS).mode == "RGB"


@few
@given(
    st.recursive(
        st.none() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    )
)
def test_any_text_is_json_or_refused(value: object) -> None:
    for text in (str(value), repr(value)):
        with suppress(MalformedBody, InvalidParameter):
            parse_json(text.encode("utf-8", "surrogatepass"))


@few
@given(st.binary(max_size=300), st.text(st.characters(max_codepoint=255), max_size=80))
def test_any_bytes_are_multipart_or_refused(data: bytes, boundary: str) -> None:
    with suppress(MalformedBody):
        parse_multipart(data, f"multipart/form-data; boundary={boundary}")
