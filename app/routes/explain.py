"""POST /explain."""

import time
from dataclasses import replace
from functools import partial

from fastapi import APIRouter, Request, Response

from app.disconnect import until_gone
from app.log import request_id
from app.parameters import EXPLAIN_NAMES, choose_explained, collect, from_text, model_is_known
from app.routes.access import check_may_use, service_of
from app.routes.examples import EXPLAIN_BODY, EXPLAIN_PARAMETERS, EXPLAINED
from app.routes.problems import problems
from app.schemas import ExplainAnswer, LevelAnswer, TotalTimingAnswer
from app.uploads import body_parser, read_body

router = APIRouter(tags=["classify"])


@router.post(
    "/explain",
    summary="Show what merging does to one image",
    response_model=ExplainAnswer,
    responses={
        200: EXPLAINED,
        **problems(400, 401, 404, 408, 413, 415, 422, 429, 500, 503),
    },
    openapi_extra={"requestBody": EXPLAIN_BODY, "parameters": EXPLAIN_PARAMETERS},
)
async def explain(request: Request) -> Response:
    """The channels of one patch of one layer with their codes and buckets, the compression ratio of all its patches,
    and what every layer executes. The image is sent as to /classify, one alone.

    It shows the method at this L as it is specified, after verification, on the activations that this L gives.
    `served_form` tells where /classify does less on this machine. Slower than /classify; `HASTE_EXPLAIN_PER_MINUTE`
    bounds how often all clients together may ask.
    """
    started, service = time.perf_counter(), service_of(request)
    check_may_use(request)
    query = from_text(request.query_params.multi_items())
    limits = replace(service.upload_limits, max_images=1)
    parser = body_parser(request.headers.get("content-type", ""), limits)
    choice = choose_explained(collect(query, EXPLAIN_NAMES), service.engine)
    service.check_open()
    named = model_is_known(query, service.engine, body_has_parameters=parser.has_parameters)
    service.repository.check_ready(choice.model.name, named=named)
    with service.explaining.admit(), service.admission.admit() as hold:
        body = await read_body(request, parser.max_bytes, limits.body_timeout_ms, hold)
        upload = await service.decoders.run(partial(parser.parse, body))
        choice = choose_explained(collect([*query, *upload.fields], EXPLAIN_NAMES), service.engine)
        level, found = await until_gone(request, service.explain(upload.images[0], choice))
    answer = ExplainAnswer(
        model=choice.model.name,
        L=LevelAnswer(requested=choice.level, used=level),
        request_id=request_id.get(),
        layer=found.layer,
        patch=found.patch,
        map=found.map,
        layers=found.layers,
        timing_ms=TotalTimingAnswer(total=round((time.perf_counter() - started) * 1000, 3)),
    )
    return Response(answer.model_dump_json(), media_type="application/json")
