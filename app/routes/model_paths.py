"""Paths that name a model, and under /v2 a version of it or none."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request

from app.contract import ModelInfo
from app.errors import NotFound, named
from app.oip.metadata import VERSION
from app.routes.access import check_may_use, service_of

NAME: dict[str, Any] = {
    "parameters": [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}],
}
"""What /docs shows of these paths, as an `openapi_extra`."""

_PROBE = "/ready"


def model_of(request: Request) -> ModelInfo:
    """The model that the path names, for who may use it; NotFound where it is not served, or not in that version.

    Whether a model is ready may be asked without a key, as of all probes.
    """
    if not request.scope["route"].path.endswith(_PROBE):
        check_may_use(request)
    name, version = request.path_params["model"], request.path_params.get("version", VERSION)
    models = service_of(request).engine.models
    for info in models:
        if info.name == name:
            if version != VERSION:
                raise NotFound(f"model {name} has version {VERSION} alone, not {named(version)}")
            return info
    raise NotFound(f"unknown model {named(name)}; served: {', '.join(info.name for info in models)}")


def versioned(
    router: APIRouter, method: str, path: str, function: Callable[[Request], Awaitable[Any]], **options: Any
) -> None:
    """Register /v2/models/{model}<path> and the same with /versions/{version}, which /docs leaves out."""
    extra = NAME | options.pop("openapi_extra", {})
    router.add_api_route(f"/v2/models/{{model}}{path}", function, methods=[method], openapi_extra=extra, **options)
    whole = f"/v2/models/{{model}}/versions/{{version}}{path}"
    router.add_api_route(whole, function, methods=[method], include_in_schema=False, **options)
