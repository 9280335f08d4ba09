"""GET /v2 and what it tells of health, models and statistics (Open Inference Protocol)."""

from typing import Any

from fastapi import APIRouter, Request

from app.oip import metadata
from app.routes.access import check_may_use, service_of
from app.routes.model_paths import model_of, versioned
from app.schemas import PROTOCOL_ERRORS

router = APIRouter(tags=["Open Inference Protocol"], responses=PROTOCOL_ERRORS)
_Answer = dict[str, Any]


@router.get("/v2", summary="The server and the extensions that it speaks")
async def server(request: Request) -> _Answer:
    check_may_use(request)
    return metadata.describe_server(service_of(request).engine)


@router.get("/v2/health/live", summary="As /livez")
async def live() -> _Answer:
    return {"live": True}


@router.get("/v2/health/ready", summary="As /readyz")
async def ready(request: Request) -> _Answer:
    service_of(request).check_started()
    return {"ready": True}


@router.get("/v2/models", summary="The names of all models")
async def models(request: Request) -> _Answer:
    check_may_use(request)
    return {"models": list(service_of(request).names)}


@router.get("/v2/models/stats", summary="Counts and times of all models since the start")
async def all_statistics(request: Request) -> _Answer:
    check_may_use(request)
    service = service_of(request)
    service.afterwards.now()
    return service.statistics.shown(service.names)


async def describe(request: Request) -> _Answer:
    return metadata.describe_model(model_of(request))


async def configuration(request: Request) -> _Answer:
    return metadata.describe_configuration(model_of(request), service_of(request).settings.max_images)


async def statistics(request: Request) -> _Answer:
    service = service_of(request)
    service.afterwards.now()
    return service.statistics.shown([model_of(request).name])


async def model_ready(request: Request) -> _Answer:
    """503 while the model loads or is unloaded, and while the service stops."""
    info, service = model_of(request), service_of(request)
    service.check_open()
    service.repository.check_ready(info.name)
    return {"name": info.name, "ready": True}


versioned(router, "GET", "", describe, summary="Inputs and outputs of a model")
versioned(router, "GET", "/config", configuration, summary="The same as Triton's clients read it")
versioned(router, "GET", "/stats", statistics, summary="Counts and times of a model since the start")
versioned(router, "GET", "/ready", model_ready, summary="Whether a model answers")
