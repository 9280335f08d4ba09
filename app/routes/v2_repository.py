"""POST /v2/repository/...: which models are loaded, and loading and unloading them (Open Inference Protocol)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from app.errors import InvalidParameter, named
from app.oip.metadata import VERSION
from app.routes.access import check_may_use, service_of
from app.routes.loading import load, optional_object, unload
from app.routes.model_paths import NAME
from app.schemas import PROTOCOL_ERRORS

router = APIRouter(tags=["Open Inference Protocol"], responses=PROTOCOL_ERRORS)


@router.post("/v2/repository/index", summary="All models with their state; of {'ready': true}, those that answer")
async def index(request: Request) -> list[dict[str, Any]]:
    check_may_use(request)
    wanted = (await optional_object(request)).get("ready", False)
    if not isinstance(wanted, bool):
        raise InvalidParameter(f"'ready' must be true or false, not {named(wanted)}")
    return [
        {"name": name, "version": VERSION, "state": entry.state, "reason": entry.reason}
        for name, entry in service_of(request).repository.entries.items()
        if entry.state == "READY" or not wanted
    ]


@router.post("/v2/repository/models/{model}/load", summary="As /models/{model}/load", openapi_extra=NAME)
async def load_model(request: Request) -> Response:
    await load(request)
    return Response()


@router.post("/v2/repository/models/{model}/unload", summary="As /models/{model}/unload", openapi_extra=NAME)
async def unload_model(request: Request) -> Response:
    await unload(request)
    return Response()
