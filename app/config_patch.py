"""A change of the state as it comes from outside: checked whole, the first value that does not fit is named."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from app.contract import Engine, Level
from app.errors import InvalidParameter, named
from app.schemas import ConfigPatch, ControllerConfig, ModelConfig

_LEAVES = (*ModelConfig.model_fields, *ControllerConfig.model_fields)


def parse_patch(body: object, engine: Engine) -> ConfigPatch:
    """Check a change whole; InvalidParameter names the first value that does not fit."""
    try:
        patch = ConfigPatch.model_validate(body)
    except ValidationError as error:
        raise InvalidParameter(_explain(error)) from None
    _check_no_null(patch.model_dump(exclude_unset=True, exclude={"tolerance", "models"}))
    parts: dict[str, ConfigPatch | ModelConfig] = {"": patch}
    parts |= {f"models.{name}.": own for name, own in patch.models.items()}
    for where, part in parts.items():
        _check_level(f"{where}L", part.L, engine)
        if part.merge is not None and part.merge not in engine.method.merges:
            known = ", ".join(map(repr, engine.method.merges))
            raise InvalidParameter(f"{where}merge must be one of {known}, not {named(part.merge)}")
    _check_level("controller.L_min", patch.controller.L_min, engine)
    served = [info.name for info in engine.models]
    for name in patch.models:
        if name not in served:
            raise InvalidParameter(f"unknown model {named(name)}; served: {', '.join(served)}")
    return patch


def _check_no_null(values: dict[str, Any], where: str = "") -> None:
    for name, value in values.items():
        if value is None:
            raise InvalidParameter(f"{where}{name} cannot be null; only a model's own value can be cleared")
        if isinstance(value, dict):
            _check_no_null(value, f"{name}.")


def _check_level(name: str, level: Level | None, engine: Engine) -> None:
    if level is not None:
        try:
            engine.levels.check(level)
        except ValueError as error:
            raise InvalidParameter(f"{name} {error}, not {named(level)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    place = list(first["loc"])
    cut = next((i + 1 for i, part in enumerate(place) if part in _LEAVES), len(place))
    name = ".".join(str(part)[:80] for part in place[:cut])
    if first["type"] == "extra_forbidden":
        return f"unknown field {named(name)}; known: {', '.join(_known(place[:-1]))}"
    if place[cut - 1 : cut] in (["L"], ["L_min"]):
        return f"{name} must be a whole number, 'exact' or 'dense', not {named(first['input'])}"
    message = (first["msg"][0].lower() + first["msg"][1:]).partition(" or instance of")[0]
    return f"{named(name) if name else 'the body'}: {message}, not {named(first['input'])}"


def _known(place: Sequence[object]) -> Iterable[str]:
    """The fields of the object at a place of the body."""
    if place[:1] == ["controller"]:
        return ControllerConfig.model_fields
    return ModelConfig.model_fields if place[:1] == ["models"] else ConfigPatch.model_fields
