"""The block of docs/model-card.md that the weights' records tell."""

from typing import Any

from result_tables import table

from haste.models.weights import WeightsRecord, list_pretrained


def model_record() -> str:
    """For each set of weights in the package: what it is, where it comes from, what it was measured at."""
    return "\n\n".join(f"## {record.name}\n\n{table(('what', 'value'), _rows(record))}" for record in list_pretrained())


def _rows(record: WeightsRecord) -> list[tuple[str, ...]]:
    return [
        ("network", f"`{record.model}`, {record.parameters:,} parameters, float32"),
        (
            "input",
            f"RGB, {record.input_size} x {record.input_size}; mean {_list(record.mean)}, std {_list(record.std)}",
        ),
        ("classes", ", ".join(record.classes)),
        ("file", f"`{record.file}`, SHA-256 `{record.sha256}`"),
        ("source", record.source),
        ("licence of the weights", record.licence),
        *_training(record.training),
        *(_measured(name, values) for name, values in record.training.get("measured", {}).items()),
    ]


def _training(training: Any) -> list[tuple[str, ...]]:
    """How it was trained, where the record says so."""
    if "script" not in training:
        return []
    took = f"{training['steps']:,} steps, {training['hours']} hours on {training['machine']}"
    return [("training", f"`{training['script']}`, seed {training['seed']}, {took}")]


def _measured(name: str, values: Any) -> tuple[str, ...]:
    return f"top-1, dense, {name}", f"{values['top1']:.2%} of {values['images']:,} images"


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
