"""GET /livez, /startupz and /readyz."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from app.routes.access import service_of
from app.routes.problems import problems

router = APIRouter(tags=["operation"], default_response_class=PlainTextResponse)


@router.get("/livez", summary="Whether the process answers; never touches a model")
async def livez() -> str:
    return "ok"


@router.get("/startupz", summary="Whether every model was loaded", responses=problems(503))
async def startupz(request: Request) -> str:
    service_of(request).check_loaded()
    return "ok"


@router.get(
    "/readyz",
    summary="Whether requests are taken: every model was loaded, and the service is not stopping",
    responses=problems(503),
)
async def readyz(request: Request) -> str:
    service_of(request).check_started()
    return "ok"
