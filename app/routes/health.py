"""GET /livez, /startupz and /readyz."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from app.errors import Unavailable
from app.routes.access import service_of
from app.schemas import PROBLEM

router = APIRouter(tags=["operation"], default_response_class=PlainTextResponse)


@router.get("/livez", summary="Whether the process answers; never touches a model")
async def livez() -> str:
    return "ok"


@router.get("/startupz", summary="Whether every model was loaded", responses={503: PROBLEM})
async def startupz(request: Request) -> str:
    service = service_of(request)
    if not service.loaded:
        raise Unavailable(service.failure or "still loading", retry_after_seconds=2)
    return "ok"


@router.get(
    "/readyz",
    summary="Whether requests are taken: every model is loaded, and the service is not stopping",
    responses={503: PROBLEM},
)
async def readyz(request: Request) -> str:
    if service_of(request).draining:
        raise Unavailable("the service is stopping", retry_after_seconds=5)
    return await startupz(request)
