"""GET /models."""

from dataclasses import asdict

from fastapi import APIRouter, Request

from app.routes.access import service_of
from app.schemas import ModelAnswer, ModelsAnswer

router = APIRouter(tags=["models"])


@router.get("/models", summary="What is served")
async def models(request: Request) -> ModelsAnswer:
    """Classes, input size, and where the weights come from."""
    service = service_of(request)
    bounds = (service.engine.levels.minimum, service.engine.levels.maximum)
    answers = [
        ModelAnswer(
            **(asdict(info) | {"classes": list(info.classes)}),
            default=info.name == service.names[0],
            ready=info.name in service.ready,
            L=bounds,
        )
        for info in service.engine.models
    ]
    return ModelsAnswer(models=answers)
