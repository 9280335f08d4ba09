"""A checkpoint either fits wholly or is refused in one line that names what does not fit; no code in it runs."""

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from haste.models import CheckpointError, create_model, load_checkpoint, model_from_checkpoint

State = dict[str, Tensor]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


@pytest.fixture
def state() -> State:
    torch.manual_seed(5)
    return {k: torch.rand_like(v) if v.is_floating_point() else v for k, v in network().state_dict().items()}


def wrap(content: Any) -> Any:
    return {"epoch": 3, "state_dict": content}


def parallel(content: State) -> State:
    return {f"module.{key}": value for key, value in content.items()}


FORMS: dict[str, Callable[[State], Any]] = {
    "plain": dict,
    "wrapped": wrap,
    "parallel": parallel,
    "wrapped parallel": lambda state: wrap(parallel(state)),
    "model": lambda state: {"model": state},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_every_common_form_of_a_state_dict_loads(tmp_path: Path, state: State, form: str, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    torch.save(FORMS[form](state), file)
    model = network()
    load_checkpoint(model, file, hashlib.sha256(file.read_bytes()).hexdigest())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_half_precision_safetensors_load_as_float32(tmp_path: Path, state: State) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(half, tmp_path / "half.safetensors")
    model = network()
    load_checkpoint(model, tmp_path / "half.safetensors")
    assert model.state_dict()["0.weight"].dtype == torch.float32
    assert torch.equal(model.state_dict()["0.weight"], half["0.weight"].float())


def test_the_counters_of_batch_norm_may_be_missing(tmp_path: Path, state: State) -> None:
    del state["1.num_batches_tracked"]
    torch.save(state, tmp_path / "old.pt")
    load_checkpoint(network(), tmp_path / "old.pt")


def without(key: str) -> Callable[[State], Any]:
    return lambda state: {name: value for name, value in state.items() if name != key}


MISFITS: dict[str, tuple[Callable[[State], Any], str]] = {
    "missing key": (without("1.bias"), "'1.bias' is missing"),
    "extra key": (lambda s: s | {"head.bias": torch.zeros(1)}, "'head.bias' does not belong"),
    "wrong shape": (lambda s: s | {"3.weight": torch.zeros(5, 4)}, r"'3.weight' has shape \(5, 4\), not \(2, 4\)"),
    "not finite": (lambda s: s | {"3.bias": torch.tensor([0.0, torch.nan])}, "'3.bias' holds values that are not"),
    "not a tensor": (lambda s: s | {"3.bias": [0.0, 0.0]}, "'3.bias' is not a plain tensor"),
    "sparse": (lambda s: s | {"3.bias": torch.zeros(2).to_sparse()}, "'3.bias' is not a plain tensor"),
    "not finite in float32": (
        lambda s: s | {"3.bias": torch.tensor([0.0, 1e300], dtype=torch.float64)},
        "'3.bias' holds values that are not finite in torch.float32",
    ),
    "nested": (lambda s: s | {"3.bias": torch.nested.nested_tensor([torch.zeros(2)])}, "'3.bias' is not a plain"),
    "quantized": (
        lambda s: s | {"3.weight": torch.quantize_per_tensor(torch.zeros(2, 4), 0.1, 0, torch.qint8)},
        "'3.weight' is torch.qint8",
    ),
    "float8": (lambda s: s | {"3.bias": torch.zeros(2).to(torch.float8_e4m3fn)}, "'3.bias' is torch.float8_e4m3fn"),
    "bool": (lambda s: s | {"3.bias": torch.zeros(2, dtype=torch.bool)}, "'3.bias' is torch.bool"),
    "whole numbers": (lambda s: s | {"3.bias": torch.zeros(2, dtype=torch.int64)}, "'3.bias' is torch.int64"),
    "nowhere": (lambda s: s | {"3.bias": torch.zeros(2, device="meta")}, "'3.bias' is not a plain tensor"),
    "negative variance": (lambda s: s | {"1.running_var": -torch.ones(4)}, "'1.running_var' holds a negative"),
    "key of a number": (lambda s: s | {7: torch.zeros(2)}, "key 7 is not a string"),
    "line break in a key": (lambda s: s | {"a\nb": torch.zeros(2)}, r"'a\\nb' does not belong"),
    "a list": (lambda s: list(s.values()), "holds no state dict"),
    "nothing": (lambda s: {}, "holds no state dict"),
}


@pytest.mark.filterwarnings("ignore:.*(quantized tensor|TypedStorage|nested tensor)")
@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_named_in_one_line_and_changes_nothing(tmp_path: Path, state: State, case: str) -> None:
    change, message = MISFITS[case]
    torch.save(change(state), tmp_path / "bad.pt")
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(model, tmp_path / "bad.pt")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_another_hash_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"anything")
    with pytest.raises(CheckpointError, match=f"sha256 is {hashlib.sha256(b'anything').hexdigest()}, not 00"):
        load_checkpoint(network(), tmp_path / "w.pt", "00")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04", b"\x80\x02.", b"\xff" * 100, b"[" * 10_000])
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_bytes_that_are_no_checkpoint_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not a checkpoint|no state dict") as caught:
        load_checkpoint(network(), tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_checkpoint_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        load_checkpoint(network(), tmp_path / "absent.pt")


class Attack:
    """Unpickled carelessly, it leaves a folder behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("writer", ["torch", "torch, old format", "pickle"])
@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.safetensors", "w"])
def test_code_in_a_pickle_never_runs(tmp_path: Path, state: State, name: str, writer: str) -> None:
    marker, file = tmp_path / "executed", tmp_path / name
    content = state | {"3.bias": Attack(marker)}
    if writer == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(CheckpointError, match=name) as caught:
        load_checkpoint(network(), file)
    assert not marker.exists()
    assert "\n" not in str(caught.value)


def test_a_named_network_takes_its_number_of_classes_from_the_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "three.pt"
    torch.save(create_model("resnet18_cifar10", 3).state_dict(), file)
    model, sha256 = model_from_checkpoint("resnet18_cifar10", file)
    assert sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert model.get_parameter("fc.weight").shape == (3, 512)
    assert not model.training
