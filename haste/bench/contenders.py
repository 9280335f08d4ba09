"""The contenders of a race: our engine and its rivals, each built from a job, each a function from images to logits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from haste import kernel, program
from haste.bench.exports import MNN, NCNN, ONNX, export, exported, folded
from haste.calibration import Calibration
from haste.config import HasteConfig, Level, Preset
from haste.convert import convert_
from haste.models import load_pretrained, model_from_checkpoint
from haste.steering import num_hyperplanes

Floats: TypeAlias = NDArray[np.float32]
Run: TypeAlias = Callable[[Floats], Floats]
"""Images (batch, 3, S, S) -> logits (batch, classes), NumPy arrays on both sides."""


@dataclass(frozen=True)
class Job:
    """One contender and all that its process needs to build it, ready for JSON.

    folder: holds images.npy (N, 3, S, S) float32 and the exported networks. level: "dense" for every rival.
    calibration: the file that tells our engine the form of every layer; None: all that the level asks for.
    """

    runtime: str
    model: str
    checkpoint: str | None
    dataset: Literal["cifar10", "imagenet"]
    preset: Preset
    level: Level
    threads: int
    batch: int
    side: int
    folder: str
    calibration: str | None = None

    @property
    def title(self) -> str:
        return f"{self.runtime} {self.level}" if self.runtime == HASTE else self.runtime


@dataclass(frozen=True)
class Contender:
    """package: whose version it bears; build: called once, in the contender's process.

    needs: modules it cannot do without; reads: the form of the network's file that it reads, if it reads one.
    """

    package: str
    build: Callable[[Job], Run]
    needs: tuple[str, ...] = ()
    reads: str | None = None

    def version(self) -> str:
        """Of the runtime; of ours with the implementation in use."""
        own = f" {kernel.implementation()}" if self.build is _haste else ""
        return version(self.package) + own

    def absent(self) -> list[str]:
        """What of its needs is not installed."""
        return [name for name in self.needs if find_spec(name) is None]


def _network(job: Job) -> nn.Module:
    found = model_from_checkpoint(job.model, job.checkpoint) if job.checkpoint else load_pretrained(job.model)
    torch.set_num_threads(job.threads)
    return found[0].requires_grad_(False)


def _haste(job: Job) -> Run:
    """ValueError where there is no native program though there is a native implementation."""
    model = _network(job)
    convert_(model, HasteConfig.preset(job.preset, dataset=job.dataset))
    fast = program.compile(model, threads=job.threads)
    if isinstance(fast, program.CompiledModel):  # else the reference would be timed under the engine's name
        fast.layers(torch.zeros(1, 3, job.side, job.side))
        fast.forms = Calibration.load(Path(job.calibration)).form if job.calibration else None

    def run(images: Floats) -> Floats:
        with num_hyperplanes(job.level):
            logits: torch.Tensor = fast(torch.from_numpy(images))
            return logits.numpy()

    return run


def _torch(job: Job, wrap: Callable[[nn.Module], Any]) -> Run:
    """BatchNorm folded, channels last."""
    model = wrap(folded(_network(job)).to(memory_format=torch.channels_last))  # type: ignore[call-overload]

    @torch.inference_mode()
    def run(images: Floats) -> Floats:
        x = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = model(x)
        return logits.numpy()

    return run


def _torch_compile(job: Job) -> Run:
    """With its weights frozen into the compiled code, its fastest form for inference."""
    return _torch(job, lambda model: torch.compile(model, options={"freezing": True}))


def _onnxruntime(job: Job) -> Run:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = job.threads, 1
    file = str(exported(Path(job.folder), job.batch, ONNX))
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda images: np.array(session.run(None, {"x": images})[0])


def _openvino(job: Job) -> Run:
    core = import_module("openvino").Core()
    options = {"INFERENCE_NUM_THREADS": job.threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    network = core.read_model(str(exported(Path(job.folder), job.batch, ONNX)))
    request = core.compile_model(network, "CPU", options).create_infer_request()
    return lambda images: np.array(request.infer({0: images})[0])


def _mnn(job: Job) -> Run:
    layers, arrays = import_module("MNN.nn"), import_module("MNN.expr")
    options = {"backend": "CPU", "numThread": job.threads, "precision": "high"}
    manager = layers.create_runtime_manager((options,))
    file = str(exported(Path(job.folder), job.batch, MNN))
    network = layers.load_module_from_file(file, ["x"], ["y"], runtime_manager=manager)
    return lambda images: np.array(network.forward(arrays.const(images, list(images.shape), arrays.NCHW)).read())


def _ncnn(job: Job) -> Run:
    ncnn = import_module("ncnn")
    network, file = ncnn.Net(), exported(Path(job.folder), job.batch, NCNN)
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(network.opt, option, False)
    network.opt.use_packing_layout, network.opt.num_threads = True, job.threads
    if network.load_param(str(file)) or network.load_model(str(file.with_suffix(".bin"))):
        raise ValueError(f"{file}: ncnn cannot load it")

    def run(images: Floats) -> Floats:
        extractor = network.create_extractor()
        extractor.input("in0", ncnn.Mat(images, batch_index=0))
        return np.array(extractor.extract("out0")[1].numpy(batch_index=0))

    return run


def _torch_eager(job: Job) -> Run:
    return _torch(job, lambda model: model)


HASTE = "haste"
PEERS = {
    "pytorch-eager": Contender("torch", _torch_eager),
    "pytorch-compile": Contender("torch", _torch_compile),
    "onnxruntime": Contender("onnxruntime", _onnxruntime, ("onnx", "onnxruntime"), ONNX),
    "openvino": Contender("openvino", _openvino, ("onnx", "openvino"), ONNX),
    "mnn": Contender("MNN", _mnn, ("onnx", "MNN"), MNN),
    "ncnn": Contender("ncnn", _ncnn, ("onnx", "ncnn", "pnnx"), NCNN),
}
CONTENDERS = {HASTE: Contender("haste-edge", _haste), **PEERS}


def able(
    peers: Sequence[str], model: nn.Module, side: int, batches: Sequence[int], folder: Path
) -> tuple[list[str], list[str]]:
    """The rivals that can start, their files written to `folder`, and a line for each that cannot."""
    starting, notes = [], []
    for name in peers:
        if absent := PEERS[name].absent():
            notes.append(f"{name} skipped: {', '.join(absent)} not installed (pip install 'haste-edge[bench]')")
            continue
        try:
            for batch in batches if PEERS[name].reads else ():
                export(model, side, batch, folder, str(PEERS[name].reads))
            starting.append(name)
        except (ValueError, OSError, RuntimeError, SubprocessError) as error:
            notes.append(f"{name} skipped: {(str(error).splitlines() or [type(error).__name__])[0]}")
    return starting, notes
