"""POST /classify."""

import time
from contextlib import nullcontext
from functools import partial

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from app.classifying import Answer
from app.connection_state import has_arrived
from app.disconnect import until_gone
from app.log import request_id
from app.parameters import Choice, choose, collect, from_text, model_is_known, without_top_k
from app.routes.access import check_may_use, service_of
from app.routes.direct import DirectRoute
from app.routes.examples import CLASSIFY_BODY, CLASSIFY_PARAMETERS
from app.routes.problems import problems
from app.schemas import (
    Classification,
    Classifications,
    FlopsAnswer,
    LevelAnswer,
    PredictionAnswer,
    TimingAnswer,
)
from app.service import Service
from app.uploads import BodyParser, Upload, body_parser, read_body

router = APIRouter(tags=["classify"], route_class=DirectRoute)


@router.post(
    "/classify",
    summary="Classify one image or several",
    responses={
        200: {"model": Classification | Classifications, "description": "One object, or one a image in `results`"},
        **problems(400, 401, 408, 413, 415, 422, 429, 500, 503),
    },
    openapi_extra={"requestBody": CLASSIFY_BODY, "parameters": CLASSIFY_PARAMETERS},
)
async def classify(request: Request) -> Response:
    """Raw bytes, multipart or JSON; the image's format is told by its bytes. Images are neither stored nor logged.

    An explicit `L` is used or the request is refused. One bad image refuses the request and is named by its index.
    """
    service = service_of(request)
    started = service.classifying.arrived(request.scope)
    with service.classifying.inference(request.scope) as tally:
        check_may_use(request)
        query = from_text(request.query_params.multi_items())
        parser = body_parser(request.headers.get("content-type", ""), service.upload_limits)
        named = model_is_known(query, service.engine, body_has_parameters=parser.has_parameters)
        choice = choose(collect(query if named else without_top_k(query)), service.engine, service.settings.top_k)
        tally.model = choice.model.name if named else tally.model
        there = not parser.has_parameters and has_arrived(request.scope)
        least = choice.before_body() if parser.has_parameters else choice
        with service.classifying.admit(least, named=named, there=there) as hold:
            body = await read_body(request, parser.max_bytes, service.upload_limits.body_timeout_ms, hold)
            arrived = service.classifying.arrived(request.scope)
            with service.repository.using(choice.model.name) if named else nullcontext():
                upload = await _parsed(service, parser, body)
                if parser.has_parameters:
                    choice = choose(collect([*query, *upload.fields]), service.engine, service.settings.top_k)
                    tally.model = choice.model.name
                answers = await until_gone(request, service.classifying.classify(upload.images, choice, arrived))
            return _respond(service, choice, answers, started)


async def _parsed(service: Service, parser: BodyParser, body: bytes) -> Upload:
    """A raw image is there at once; what must be taken apart is, in a decoder's thread."""
    return await service.decoders.run(partial(parser.parse, body)) if parser.has_parameters else parser.parse(body)


def _respond(service: Service, choice: Choice, answers: list[Answer], started: float) -> Response:
    """Build the whole answer, then count it: what is counted is what goes out."""
    begin = time.perf_counter()
    results = [_result(choice, answer, started) for answer in answers]
    whole = results[0] if len(results) == 1 else Classifications(results=results)
    response = Response(to_json(whole, inf_nan_mode="null"), media_type="application/json")
    service.classifying.answered(choice.model.name, answers, time.perf_counter() - begin)
    return response


def _result(choice: Choice, answer: Answer, started: float) -> Classification:
    done, flops = answer.done, answer.done.result.flops
    return Classification(
        model=choice.model.name,
        L=LevelAnswer(requested=choice.level, used=done.level),
        predictions=[
            PredictionAnswer(label=p.label, index=p.index, probability=p.probability) for p in done.result.predictions
        ],
        flops=FlopsAnswer(
            dense=flops.dense,
            executed=flops.executed,
            skipped=flops.skipped,
            merged=flops.merged,
            overhead=flops.overhead,
            reduction=flops.reduction,
        ),
        timing_ms=TimingAnswer(
            decode=_ms(answer.stages.seconds),
            queue=_ms(done.queue_seconds),
            forward=_ms(done.forward_seconds),
            total=_ms(time.perf_counter() - started),
        ),
        degraded=done.degraded,
        request_id=request_id.get(),
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
