"""GET, PATCH and POST /config."""

from fastapi import APIRouter, Request, Response

from app.routes.access import check_may_change, check_may_use, service_of
from app.routes.examples import CONFIG_BODY
from app.routes.problems import problems
from app.schemas import Bounds, ConfigAnswer, ControllerAnswer, ModelConfig, StandingAnswer
from app.service import Service
from app.uploads import read_object

router = APIRouter(tags=["config"])


@router.get(
    "/config",
    summary="What can be changed, with bounds",
    response_model=ConfigAnswer,
    responses=problems(401),
)
async def read(request: Request) -> Response:
    """The current values and the version, which the ETag repeats."""
    check_may_use(request)
    return _answer(service_of(request))


async def change(request: Request) -> Response:
    """Takes any part of the state, checks it whole, applies it between two batches, answers the new state.

    `null` clears a model's own value. With `If-Match`, the change is made only to that version.
    """
    service = service_of(request)
    with service.metrics.config_change():
        check_may_change(request)
        patch = await read_object(request, service.settings.request_body_timeout_ms)
        versions = request.headers.getlist("if-match")
        await service.steering.change(patch, ", ".join(versions) if versions else None)
    return _answer(service)


for _method in ("PATCH", "POST"):
    router.add_api_route(
        "/config",
        change,
        methods=[_method],
        operation_id=f"change_config_{_method.lower()}",
        summary="Change L, merge rule, tolerance or the objective, of all models or of one",
        response_model=ConfigAnswer,
        responses=problems(400, 401, 403, 408, 412, 413, 415, 422, 500),
        openapi_extra={"requestBody": CONFIG_BODY},
    )


def _answer(service: Service) -> Response:
    state, engine = service.steering.state, service.engine
    answer = ConfigAnswer(
        version=state.version,
        L=state.L,
        merge=state.merge,
        tolerance=state.tolerance,
        controller=_controller(service),
        bounds=Bounds(L=(engine.levels.minimum, engine.levels.maximum), merge=engine.method.merges),
        models={
            name: ModelConfig(L=own.L, merge=own.merge, tolerance=own.tolerance) for name, own in state.models.items()
        },
    )
    headers = {"ETag": f'"{state.version}"', "Cache-Control": "no-store"}
    return Response(answer.model_dump_json(), media_type="application/json", headers=headers)


def _controller(service: Service) -> ControllerAnswer:
    objective = service.steering.state.controller
    standings = {name: service.standing(name) for name in service.names}
    models = {
        name: StandingAnswer(
            L=own.level,
            configured=own.configured,
            lowest=own.lowest,
            degraded=own.degraded,
            off=own.off,
            warning=own.warning,
            pressure=round(own.pressure, 4),
        )
        for name, own in standings.items()
    }
    return ControllerAnswer(enabled=objective.enabled, slo_ms=objective.slo_ms, L_min=objective.L_min, models=models)
