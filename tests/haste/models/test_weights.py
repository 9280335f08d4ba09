"""The embedded weights are the recorded ones and give the recorded logits."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

import haste
from haste.images import open_image, preprocess
from haste.models import (
    DEFAULT,
    CheckpointError,
    WeightsRecord,
    create_model,
    list_pretrained,
    load_pretrained,
    weights,
)
from tests.tolerances import GOLDEN_LOGITS

SAMPLES = Path(haste.__file__).parent / "samples"


@pytest.mark.parametrize("name", [record.name for record in list_pretrained()])
def test_every_embedded_network_gives_its_golden_logits(name: str) -> None:
    model, record = load_pretrained(name)
    golden = weights.golden_logits(name)
    assert len(golden) == 8
    images = torch.stack([preprocess(open_image(SAMPLES / image), record) for image in golden])
    with torch.inference_mode():
        found = model(images)
    torch.testing.assert_close(found, torch.tensor(list(golden.values())), rtol=0, atol=GOLDEN_LOGITS)


def test_the_golden_logits_belong_to_the_weights_of_the_record() -> None:
    for record in list_pretrained():
        assert json.loads((weights.FOLDER / f"{record.name}.golden.json").read_text())["sha256"] == record.sha256


def test_a_loaded_network_is_float32_in_evaluation_mode_and_as_large_as_recorded() -> None:
    model, record = load_pretrained()
    assert record.name == DEFAULT
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert sum(p.numel() for p in model.parameters()) == record.parameters
    assert model.get_parameter("fc.weight").shape[0] == len(record.classes)


def test_the_default_comes_first_and_its_network_is_known() -> None:
    records = list_pretrained()
    assert records[0].name == DEFAULT
    for record in records:
        create_model(record.model)


def test_one_changed_byte_of_the_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = list_pretrained()[0]
    shutil.copyfile(weights.FOLDER / f"{record.name}.json", tmp_path / f"{record.name}.json")
    data = bytearray((weights.FOLDER / record.file).read_bytes())
    data[-1] ^= 1
    (tmp_path / record.file).write_bytes(data)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match=f"not {record.sha256}"):
        load_pretrained()


def test_unknown_weights_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=f"'vgg99'; known: {DEFAULT}"):
        load_pretrained("vgg99")


WRONG: list[tuple[str, Any]] = [
    ("sha256", "abc"),
    ("file", "../weights.safetensors"),
    ("input_size", 0),
    ("input_size", True),
    ("mean", (0.5, 0.5)),
    ("std", (0.2, 0.0, 0.2)),
    ("classes", ()),
    ("classes", ("cat", "cat")),
    ("dense_top1", 93.0),
    ("parameters", -1),
    ("licence", ""),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_record_with_a_wrong_value_names_the_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        WeightsRecord(**(asdict(list_pretrained()[0]) | {field: value}))


def test_a_record_without_a_field_is_refused(tmp_path: Path) -> None:
    values = asdict(list_pretrained()[0])
    del values["licence"]
    (tmp_path / "r.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"missing or unknown: \['licence'\]"):
        weights.read_record(tmp_path / "r.json")
