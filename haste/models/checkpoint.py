"""State dicts from files that are not trusted: what does not fit is refused in one line, and no code ever runs."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import safetensors.torch
import torch
from torch import Tensor, nn

from haste.models.registry import create_model

_WRAPPERS = ("state_dict", "model")
_COUNTER, _MOST_CLASSES = ".num_batches_tracked", 100_000
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message is one line and names the first thing that does not fit."""


def load_checkpoint(model: nn.Module, path: str | Path, sha256: str | None = None) -> None:
    """Copy the state dict in `path` into `model`, cast to its dtypes; the model is unchanged on an error.

    The file is a safetensors file (by its suffix) or what `torch.save` wrote; a state dict inside `state_dict` or
    `model` and the prefix `module.` on every key are unwrapped. BatchNorm's counters may be missing, no other key may.
    Raises CheckpointError for a file that cannot be read, holds anything but tensors, has another sha256, or lacks,
    adds or reshapes a key.
    """
    state, _ = read_checkpoint(path, sha256)
    _copy_into(model, state, Path(path))


def model_from_checkpoint(name: str, path: str | Path, sha256: str | None = None) -> tuple[nn.Module, str]:
    """`create_model(name)` with as many classes as the checkpoint's last linear layer has rows, and the file's sha256.

    The model is loaded and in evaluation mode. Raises CheckpointError as `load_checkpoint` does, ValueError for an
    unknown name.
    """
    state, found = read_checkpoint(path, sha256)
    linear = sorted(key for key, weight in state.items() if weight.ndim == 2)  # `classifier.6.weight` is VGG's last
    rows = len(state[linear[-1]]) if linear else None
    classes = rows if rows is not None and rows <= _MOST_CLASSES else None
    model = create_model(name, classes)
    _copy_into(model, state, Path(path))
    return model.eval(), found


def read_checkpoint(path: str | Path, sha256: str | None = None) -> tuple[dict[str, Tensor], str]:
    """The state dict in a file, unwrapped, on the CPU, in the file's dtypes, and the file's sha256.

    Raises as `load_checkpoint` does.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise CheckpointError(f"{path}: sha256 is {found}, not {sha256}")
    return _unwrap(_decode(data, path), path), found


def _decode(data: bytes, path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(data)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - readers of foreign bytes raise what they like
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(f"{path}: not a checkpoint of tensors alone ({type(error).__name__}: {reason})") from None


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path}: holds no state dict")
    for key, value in content.items():
        if not isinstance(key, str):
            raise CheckpointError(f"{path}: key {key!r:.100} is not a string")
        if not isinstance(value, Tensor) or not _is_plain(value):
            raise CheckpointError(f"{path}: {key!r:.100} is not a plain tensor")
        if value.dtype not in _DTYPES:
            raise CheckpointError(f"{path}: {key!r:.100} is {value.dtype}, not a float of 16 to 64 bits or a counter")
    prefixed = all(key.startswith("module.") for key in content)
    return {key.removeprefix("module.") if prefixed else key: value for key, value in content.items()}


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_nested


def _copy_into(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own = cast(dict[str, Tensor], model.state_dict())
    for key in own:
        if key not in state and not key.endswith(_COUNTER):
            raise CheckpointError(f"{path}: key {key!r} is missing")
    for key, value in state.items():
        if key not in own:
            raise CheckpointError(f"{path}: key {key!r:.100} does not belong to this network")
        if value.shape != own[key].shape:
            raise CheckpointError(f"{path}: {key!r} has shape {tuple(value.shape)}, not {tuple(own[key].shape)}")
        if own[key].is_floating_point() != value.is_floating_point():
            raise CheckpointError(f"{path}: {key!r} is {value.dtype}, not {own[key].dtype}")
        if not bool(torch.isfinite(value.to(own[key].dtype)).all()):
            raise CheckpointError(f"{path}: {key!r} holds values that are not finite in {own[key].dtype}")
        if key.endswith(".running_var") and bool((value < 0).any()):
            raise CheckpointError(f"{path}: {key!r} holds a negative variance")
    model.load_state_dict({**own, **state})
