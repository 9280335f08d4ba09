"""GET /models, POST /models/{m}/load and /unload."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from app.contract import Calibration, ModelInfo
from app.routes.access import check_may_use, service_of
from app.routes.loading import load, unload
from app.routes.model_paths import NAME
from app.routes.problems import problems
from app.schemas import CalibrationAnswer, ModelAnswer, ModelsAnswer, ModelState, PointAnswer

router = APIRouter(tags=["models"])
_DOCUMENTED: dict[str, Any] = {
    "openapi_extra": NAME,
    "responses": problems(401, 403, 404, 500, 503),
}


@router.get("/models", summary="What is served", responses=problems(401))
async def models(request: Request) -> ModelsAnswer:
    """Classes, input size, where the weights come from, and the latency frontier measured here."""
    check_may_use(request)
    service = service_of(request)
    bounds = (service.engine.levels.minimum, service.engine.levels.maximum)
    answers = [
        ModelAnswer(
            **(asdict(info) | {"classes": list(info.classes)}),
            default=info.name == service.names[0],
            ready=service.repository.ready(info.name),
            L=bounds,
            calibration=_calibration(service.engine.calibration(info.name)),
        )
        for info in service.engine.models
    ]
    return ModelsAnswer(models=answers)


@router.post("/models/{model}/load", summary="Load a model that was unloaded", **_DOCUMENTED)
async def load_model(request: Request) -> ModelState:
    """Answered once the model is warm; nothing happens where it is. Meanwhile the engine
    answers for no model: what was accepted is finished first, what is new gets 503 with Retry-After."""
    return _state(request, await load(request))


@router.post("/models/{model}/unload", summary="Free the memory of a model", **_DOCUMENTED)
async def unload_model(request: Request) -> ModelState:
    """New requests for it are answered 503 at once, what was accepted is finished; answered once it is freed."""
    return _state(request, await unload(request))


def _state(request: Request, info: ModelInfo) -> ModelState:
    return ModelState(model=info.name, state=service_of(request).repository.entries[info.name].state)


def _calibration(found: Calibration | None) -> CalibrationAnswer | None:
    if found is None:
        return None
    frontier = [PointAnswer.model_validate(asdict(point)) for point in found.points if point.frontier]
    return CalibrationAnswer.model_validate(asdict(found) | {"frontier": frontier})
