"""What a request asks for, from its query and its body: known names, each once, within bounds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.contract import Engine, Level, ModelInfo, order
from app.errors import InvalidParameter, named

NAMES = ("L", "top_k", "model", "deadline_ms", "min_L")
EXPLAIN_NAMES = ("L", "model", "layer", "row", "column")
LONGEST_DEADLINE_MS = 600_000


@dataclass(frozen=True)
class Choice:
    """A checked choice; a level of None leaves it to the state and the controller, a deadline of None to the state."""

    model: ModelInfo
    level: Level | None
    top_k: int
    deadline_ms: int | None = None
    min_level: Level | None = None

    def before_body(self) -> "Choice":
        """What is known before a body is read that may bring more: a deadline of its own least of all."""
        return replace(self, deadline_ms=LONGEST_DEADLINE_MS) if self.deadline_ms is None else self


@dataclass(frozen=True)
class ExplainChoice:
    """What is to be shown; None leaves the level to the state, and layer, row and column to the engine."""

    model: ModelInfo
    level: Level | None
    layer: str | None
    row: int | None
    column: int | None


def from_text(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, object]]:
    """Parameters of a query or a form: digits become numbers, except in the name of a model or a layer."""
    return [(name, text if name in ("model", "layer") else _number(text)) for name, text in pairs]


def _number(text: str) -> object:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else text


def collect(pairs: Iterable[tuple[str, object]], known: Sequence[str] = NAMES) -> dict[str, object]:
    """All parameters by name; InvalidParameter where one is unknown or given twice. None counts as absent."""
    values: dict[str, object] = {}
    for name, value in pairs:
        if name not in known:
            raise InvalidParameter(f"unknown parameter {named(name)}; known: {', '.join(known)}")
        if name in values:
            raise InvalidParameter(f"{name} is given twice: {named(values[name])} and {named(value)}")
        values[name] = value
    return {name: value for name, value in values.items() if value is not None}


def model_is_known(query: Sequence[tuple[str, object]], engine: Engine, *, body_has_parameters: bool) -> bool:
    """Whether a request's model is known before its body is: there is but one, it is named, or it is the default."""
    return not body_has_parameters or len(engine.models) == 1 or any(name == "model" for name, _ in query)


def without_top_k(pairs: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """What can be checked before the model is known, whose classes bound `top_k`."""
    return [pair for pair in pairs if pair[0] != "top_k"]


def choose(values: dict[str, object], engine: Engine, default_top_k: int) -> Choice:
    """Check every value; InvalidParameter names the first that does not fit."""
    model = _model(values.get("model"), engine.models)
    level, least = _level("L", values, engine), _level("min_L", values, engine)
    if level is not None and least is not None and order(level) < order(least):
        raise InvalidParameter(f"L {named(level)} is under min_L {named(least)}; send one of them")
    top_k = _top_k(values.get("top_k"), model, default_top_k)
    return Choice(model, level, top_k, _deadline_ms(values.get("deadline_ms")), least)


def choose_explained(values: dict[str, object], engine: Engine) -> ExplainChoice:
    """The same for what `/explain` is asked; which layers and patches there are, only the engine knows."""
    layer = values.get("layer")
    if not (layer is None or isinstance(layer, str)):
        raise InvalidParameter(f"layer must be a name, not {named(layer)}")
    row, column = (_place(name, values.get(name)) for name in ("row", "column"))
    return ExplainChoice(_model(values.get("model"), engine.models), _level("L", values, engine), layer, row, column)


def _place(name: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise InvalidParameter(f"{name} must be a whole number of at least 0, not {named(value)}")


def _model(name: object, served: tuple[ModelInfo, ...]) -> ModelInfo:
    if name is None:
        return served[0]
    for info in served:
        if info.name == name:
            return info
    raise InvalidParameter(f"unknown model {named(name)}; served: {', '.join(info.name for info in served)}")


def _level(name: str, values: dict[str, object], engine: Engine) -> Level | None:
    value = values.get(name)
    if value is None:
        return None
    try:
        return engine.levels.check(value)
    except ValueError as error:
        raise InvalidParameter(f"{name} {error}, not {named(value)}") from None


def _top_k(value: object, model: ModelInfo, default: int) -> int:
    classes = len(model.classes)
    return min(default, classes) if value is None else _whole("top_k", value, classes)


def _deadline_ms(value: object) -> int | None:
    return None if value is None else _whole("deadline_ms", value, LONGEST_DEADLINE_MS)


def _whole(name: str, value: object, most: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    raise InvalidParameter(f"{name} must be a whole number in 1..{most}, not {named(value)}")
