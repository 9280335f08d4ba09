"""The parameters of an infer request -> a choice, in one place."""

from collections.abc import Mapping

from app.contract import Engine, ModelInfo
from app.errors import InvalidParameter, named
from app.parameters import Choice, choose, collect

_OURS = {"haste_l": "L", "deadline_ms": "deadline_ms", "min_L": "min_L"}
_SEQUENCE = ("sequence_end", "sequence_id", "sequence_start")
_OTHERS = frozenset(("binary_data_output", "content_type", "headers", "priority", "timeout", *_SEQUENCE))
"""What clients of other servers send along; only `binary_data_output` means something here, to the answer's form."""


def choice_of(parameters: Mapping[str, object], info: ModelInfo, engine: Engine) -> Choice:
    """Of the model, with all classes. An unknown parameter is refused: a misspelt level would be used by nobody."""
    asked: list[tuple[str, object]] = [("model", info.name), ("top_k", len(info.classes))]
    for name, value in parameters.items():
        if name in _OURS:
            asked.append((_OURS[name], value))
        elif name not in _OTHERS and not name.startswith("triton_"):
            raise InvalidParameter(f"unknown parameter {named(name)}; known: {', '.join(_OURS)}")
    return choose(collect(asked), engine, len(info.classes))
