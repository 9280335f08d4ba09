"""GET /models."""

from dataclasses import asdict

from fastapi import APIRouter, Request

from app.contract import Calibration
from app.routes.access import check_may_use, service_of
from app.schemas import PROBLEM, CalibrationAnswer, ModelAnswer, ModelsAnswer

router = APIRouter(tags=["models"])


@router.get("/models", summary="What is served", responses={401: PROBLEM})
async def models(request: Request) -> ModelsAnswer:
    """Classes, input size, where the weights come from, and the latency frontier measured here."""
    check_may_use(request)
    service = service_of(request)
    bounds = (service.engine.levels.minimum, service.engine.levels.maximum)
    answers = [
        ModelAnswer(
            **(asdict(info) | {"classes": list(info.classes)}),
            default=info.name == service.names[0],
            ready=info.name in service.ready,
            L=bounds,
            calibration=_calibration(service.engine.calibration(info.name)),
        )
        for info in service.engine.models
    ]
    return ModelsAnswer(models=answers)


def _calibration(found: Calibration | None) -> CalibrationAnswer | None:
    return None if found is None else CalibrationAnswer.model_validate(asdict(found))
