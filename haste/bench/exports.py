"""The dense network as files that other runtimes read: ONNX, and what their own converters make of it."""

import subprocess
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

ONNX, MNN, NCNN = ".onnx", ".mnn", ".ncnn.param"
_LIMIT_S = 600
# The converter itself: MNN's own script around it installs a package with pip and reports what was converted.
_MNNCONVERT = "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)"


def exported(folder: Path, batch: int, suffix: str) -> Path:
    """Where the network for that batch size lies."""
    return folder / f"batch{batch}{suffix}"


def folded(model: nn.Module) -> nn.Module:
    """A copy with BatchNorm folded into the convolutions, by torch's own means."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's module uses what torch deprecates
        from torch.fx.experimental.optimization import fuse

        return fuse(model)


def export(model: nn.Module, side: int, batch: int, folder: Path, suffix: str) -> None:
    """Write the dense network, BatchNorm folded, for images (batch, 3, side, side), unless it is there already.

    Its input is `x`, its output `y`; float32 in every format. ValueError where a converter fails, RuntimeError
    where torch does.
    """
    file, source, shape = exported(folder, batch, suffix), exported(folder, batch, ONNX), (batch, 3, side, side)
    if not source.exists():
        _export_onnx(model, shape, source)
    if suffix == MNN:
        files = ("--modelFile", str(source), "--MNNModel", str(file), "--bizCode", "haste")
        _convert([sys.executable, "-c", _MNNCONVERT, "-f", "ONNX", *files], file)
    elif suffix == NCNN:
        pnnx = str(import_module("pnnx").EXEC_PATH)
        _convert([pnnx, str(source), f"inputshape={list(shape)}".replace(" ", ""), "fp16=0"], file)


def _export_onnx(model: nn.Module, shape: tuple[int, ...], file: Path) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch would rather be asked for its new exporter, which needs more packages
        network, example = folded(model), (torch.zeros(shape),)
        torch.onnx.export(network, example, str(file), dynamo=False, input_names=["x"], output_names=["y"])


def _convert(command: Sequence[str], file: Path) -> None:
    """Run a converter; ValueError tells its last words where it makes no file."""
    if file.exists():
        return
    done = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, errors="replace", timeout=_LIMIT_S, check=False, cwd=file.parent
    )
    if done.returncode or not file.exists():
        words = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise ValueError(f"no {file.name}: {words}")
