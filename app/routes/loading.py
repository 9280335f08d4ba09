"""Loading and unloading a model, as both paths to it do it."""

from fastapi import Request

from app.contract import ModelInfo
from app.errors import InvalidParameter, named
from app.repository import Repository
from app.routes.access import check_may_change, service_of
from app.routes.model_paths import model_of
from app.uploads import read_object


async def load(request: Request) -> ModelInfo:
    """Warm when this returns, as at start; nothing happens where it is loaded."""
    info, repository = await _checked(request)
    await repository.load(info.name)
    return info


async def unload(request: Request) -> ModelInfo:
    """Freed when this returns; nothing happens where it is not loaded."""
    info, repository = await _checked(request, "unload_dependents")
    await repository.unload(info.name)
    return info


async def optional_object(request: Request) -> dict[str, object]:
    """What a verb of the repository says beside its path, which may be nothing."""
    return await read_object(request, service_of(request).settings.request_body_timeout_ms, may_be_empty=True)


async def _checked(request: Request, *accepted: str) -> tuple[ModelInfo, Repository]:
    """Who asks may, the model exists, and no parameter asks for more than there is."""
    check_may_change(request)
    info, service = model_of(request), service_of(request)
    parameters = (await optional_object(request)).get("parameters") or {}
    unknown = [name for name in parameters if name not in accepted] if isinstance(parameters, dict) else [parameters]
    if unknown:
        raise InvalidParameter(f"parameter {named(unknown[0])} is not taken: a model is loaded as the service has it")
    service.check_started()
    return info, service.repository
