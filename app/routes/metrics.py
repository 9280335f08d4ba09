"""GET /metrics."""

from fastapi import APIRouter, Request, Response

from app.metrics import CONTENT_TYPE
from app.routes.access import service_of

router = APIRouter(tags=["operation"])


@router.get("/metrics", summary="Prometheus text", response_class=Response)
async def metrics(request: Request) -> Response:
    """All series; what was saved is 1 - haste_executed_flops_total / haste_dense_flops_total."""
    service = service_of(request)
    service.afterwards.now()
    return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})
