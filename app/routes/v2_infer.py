"""POST /v2/models/{m}/infer (Open Inference Protocol)."""

import time
from functools import partial

from fastapi import APIRouter, Request, Response

from app.classifying import Answer
from app.contract import ModelInfo, Prepared
from app.disconnect import until_gone
from app.oip.parameters import choice_of
from app.oip.request import InferRequest, parse_infer
from app.oip.response import ImageAnswer, encode
from app.routes.access import service_of
from app.routes.direct import DirectRoute
from app.routes.examples import INFER_BODY
from app.routes.model_paths import model_of, versioned
from app.schemas import PROTOCOL_ERRORS
from app.service import Service
from app.uploads import read_body

router = APIRouter(tags=["Open Inference Protocol"], responses=PROTOCOL_ERRORS, route_class=DirectRoute)
_HEADER_LENGTH = "Inference-Header-Content-Length"


async def infer(request: Request) -> Response:
    """Encoded images in `image` (BYTES) or a normalised tensor in `input` (FP32); answers `probabilities`.

    The request's parameter `haste_l` is the level of all its images. The answer's `haste_l` is the one that was used.
    """
    service, limits = service_of(request), service_of(request).upload_limits
    with service.classifying.inference(request.scope) as tally:
        info = model_of(request)
        tally.model = info.name
        with service.classifying.admit(choice_of({}, info, service.engine).before_body()) as hold:
            body = await read_body(request, limits.max_request_bytes, limits.body_timeout_ms, hold)
            arrived = service.classifying.arrived(request.scope)
            parse = partial(_parse, service, info, body, request.headers.get(_HEADER_LENGTH))
            with service.repository.using(info.name):
                asked, prepared = await service.decoders.run(parse)
                choice = choice_of(asked.parameters, info, service.engine)
                if prepared:
                    work = service.classifying.classify_prepared(prepared, choice, arrived)
                else:
                    work = service.classifying.classify(asked.images, choice, arrived)
                answers = await until_gone(request, work)
            return _respond(service, info, asked, answers)


def _parse(
    service: Service, info: ModelInfo, body: bytes, header_length: str | None
) -> tuple[InferRequest, list[Prepared]]:
    """In a decoder's thread: what is asked, and the network inputs of a tensor."""
    asked = parse_infer(body, header_length, info, service.upload_limits)
    rows = () if asked.tensor is None else asked.tensor
    return asked, [service.engine.prepare_array(row) for row in rows]


def _respond(service: Service, info: ModelInfo, asked: InferRequest, answers: list[Answer]) -> Response:
    """Build the whole answer, then count it, as /classify does."""
    begin = time.perf_counter()
    images = [ImageAnswer(answer.done.result, answer.done.level, degraded=answer.done.degraded) for answer in answers]
    encoded = encode(info, asked, images)
    headers = {} if encoded.header_length is None else {_HEADER_LENGTH: str(encoded.header_length)}
    kind = "application/json" if encoded.header_length is None else "application/octet-stream"
    response = Response(encoded.body, media_type=kind, headers=headers)
    service.classifying.answered(info.name, answers, time.perf_counter() - begin)
    return response


versioned(router, "POST", "/infer", infer, summary="Classify images", openapi_extra={"requestBody": INFER_BODY})
